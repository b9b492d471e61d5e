//! DataFusion over the lake: questions in SQL or over HTTP come in, record batches, text and JSON go out.
//!
//! ```text
//! HTTP request ── http ────┐
//! Postgres wire ─ postgres ┼── session (limits, read-only) ── views ── provider ── files of the newest version
//! Flight SQL ──── flight ──┤      │
//! `plimsoll sql` ──────────┘      └── format ── table, JSON, lines of JSON, CSV, Arrow stream
//! ```
//! Everything here reads. A statement that would change something is refused before it is planned any further, and the
//! session knows no store but the lake's, so no statement reaches another file.
//!
//! Modules in reading order: `error` says what can go wrong and whose fault it is; `users` are those who may ask, and
//! `visible` is what they see of it, behind a `barrier`; `ahead` lets other threads compute; `session` is the service
//! and its limits; `views` is the SQL of every table that users see; `known` is what of it was known at an instant;
//! `statement` makes one ready for the planner, `arithmetic` is exact, and `patterns` write and read times as Postgres does;
//! `functions` are those of service levels, computed by what is `in_force`, and `availability` is made of them;
//! `defined` are tables of definitions, among them one of indicators (`kpi`); `dictionary` says what every column
//! means (by `described` where the contracts do not; `replaced` puts it into Postgres' catalog); `lossy` makes bytes
//! readable in them; `provider` reads one table of the lake, and `damaged` names the file that it could not read;
//! `format` writes answers; `metrics` counts them; `newest` reads what `/metrics` shows of the tables, and `alerts` what
//! people are told; `events` gives history as the engine takes it; `audit` what an audit asks; `http`, `postgres` and
//! `flight` are the doors, to which `connections` are made, over `tls` where that is asked.

mod ahead;
mod alerts;
mod arithmetic;
mod audit;
mod availability;
mod barrier;
mod chunks;
mod connections;
mod current;
mod damaged;
mod dead_letters;
mod defined;
mod described;
mod dictionary;
mod error;
mod events;
mod flight;
mod footers;
mod format;
mod functions;
mod http;
mod in_force;
mod known;
mod kpi;
mod lossy;
mod metrics;
mod newest;
mod patterns;
mod postgres;
mod provider;
mod replaced;
mod session;
mod size;
mod statement;
mod stop;
mod tls;
mod users;
mod views;
mod visible;

#[cfg(test)]
mod tests;

pub use datafusion::execution::SendableRecordBatchStream;

pub use crate::alerts::{AlertPlace, AlertRows};
pub use crate::audit::{Asked, StoredEvents};
pub use crate::error::QueryError;
pub use crate::events::Stored;
pub use crate::flight::serve_flight;
pub use crate::format::{Format, encode, encode_batch, texts};
pub use crate::http::{
    Asker, BODY_BYTES_MAX, More, Patience, Problem, Readiness, accepted_format, body_of, content_type, guard, openapi,
    router, serve,
};
pub use crate::postgres::serve_postgres;
pub use crate::session::{Limits, QueryService, STACK_BYTES};
pub use crate::tls::Tls;
pub use crate::users::{Grant, Scope, Users};
