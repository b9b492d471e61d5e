//! Definitions: what the provider promises, as text in files and as checked values.
//!
//! What comes in: the names and texts of YAML and iCalendar files (the caller reads them). What goes out:
//! `Definitions`, in which ids resolve and every target can be measured, or every problem there is, each with file,
//! line, field, what was found and what is allowed.
//!
//! ```text
//! text --yaml--> documents with lines --schema--> form is right --index--> ids are known
//!      --catalogue, composition, calendar, objective, credit, agreement, mapping, claims--> values that mean something
//!      --resolve--> Definitions
//! ```
//! Each step tells its problems and hands on what can still be checked, so that one run finds them all. The JSON
//! Schemas in `schemas/definitions/` say what form a definition has; editors can use them. What a schema cannot say
//! (references, circles, overlaps, units) is checked in Rust.

pub mod care;
pub mod composition;
pub mod model;
pub mod money;
pub mod source;

mod problem;

mod document;
mod yaml;

mod schema;

mod scalar;
mod versions;

mod index;

mod agreement;
mod calendar;
mod catalogue;
mod claims;
mod content_line;
mod credit;
mod holidays;
mod literal;
mod mapping;
mod objective;

mod record;
mod resolve;

#[cfg(test)]
mod tests;

pub use care::{Care, Due, Improvement};
pub use composition::{Composition, CompositionRule, Part};
pub use model::*;
pub use money::*;
pub use problem::{Problem, nearest};
pub use resolve::{File, load};
pub use scalar::parse_duration;
pub use schema::SCHEMAS;
