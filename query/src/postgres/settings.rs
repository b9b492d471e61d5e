//! What a client says and asks of its connection: `SET`, `SHOW`, `RESET`, and the bounds of transactions.
//!
//! Drivers and tools do so before they ask for anything. Nothing of it reaches DataFusion, whose options hold for everybody.
//! A transaction only bounds statements: each statement reads what is newest when it begins.

use std::sync::Arc;
use std::time::Duration;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Reset, Set, Statement};
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::{ClientInfo, Type};
use pgwire::error::PgWireResult;
use pgwire::messages::response::TransactionStatus;

use crate::postgres::refused;
use crate::postgres::tools::{POSTGRES_VERSION, POSTGRES_VERSION_NUMBER};

/// A setting that tools ask for: its name, what it is unless said, and whether a client may say something else.
struct Setting {
    name: &'static str,
    default: &'static str,
    is_free: bool,
}

const fn free(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default, is_free: true }
}

const fn fixed(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default, is_free: false }
}

const TIMEOUT: &str = "statement_timeout";

const SETTINGS: [Setting; 26] = [
    free("application_name", ""),
    free("bytea_output", "hex"),
    fixed("client_encoding", "UTF8"),
    free("client_min_messages", "notice"),
    free("datestyle", "ISO, MDY"),
    fixed("default_transaction_isolation", "read committed"),
    fixed("default_transaction_read_only", "on"),
    free("extra_float_digits", "1"),
    free("idle_in_transaction_session_timeout", "0"),
    fixed("integer_datetimes", "on"),
    free("intervalstyle", "postgres"),
    fixed("is_superuser", "off"),
    free("jit", "off"),
    free("lock_timeout", "0"),
    fixed("max_identifier_length", "63"),
    fixed("max_index_keys", "32"),
    free("row_security", "on"),
    free("search_path", "public"),
    fixed("server_encoding", "UTF8"),
    fixed("server_version", POSTGRES_VERSION),
    fixed("server_version_num", POSTGRES_VERSION_NUMBER),
    fixed("standard_conforming_strings", "on"),
    free(TIMEOUT, "0"),
    fixed("timezone", "UTC"),
    fixed("transaction_isolation", "read committed"),
    fixed("transaction_read_only", "on"),
];

/// Whether a statement is about the connection.
pub(super) fn is_one(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Set(_)
            | Statement::ShowVariable { .. }
            | Statement::Reset(_)
            | Statement::Discard { .. }
            | Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
            | Statement::Deallocate { .. }
    )
}

/// The columns of its answer.
pub(super) fn columns(statement: &Statement) -> Vec<FieldInfo> {
    match statement {
        Statement::ShowVariable { variable } => {
            vec![FieldInfo::new(name_of(variable), None, None, Type::VARCHAR, FieldFormat::Text)]
        }
        _ => Vec::new(),
    }
}

/// Answers it.
pub(super) fn answer<Client: ClientInfo>(statement: &Statement, client: &mut Client) -> PgWireResult<Response> {
    let done = |tag: &str| Ok(Response::Execution(Tag::new(tag)));
    match statement {
        Statement::Set(set) => {
            for (name, value) in said(set)? {
                put(client, &name, value)?;
            }
            done("SET")
        }
        Statement::Reset(reset) => {
            match &reset.reset {
                Reset::ALL => SETTINGS.iter().for_each(|setting| drop(client.metadata_mut().remove(setting.name))),
                Reset::ConfigurationParameter(name) => put(client, &plain(name), None)?,
            }
            done("RESET")
        }
        Statement::Discard { .. } => {
            SETTINGS.iter().for_each(|setting| drop(client.metadata_mut().remove(setting.name)));
            done("DISCARD ALL")
        }
        Statement::ShowVariable { variable } => show(client, statement, &name_of(variable)),
        Statement::StartTransaction { .. } => Ok(Response::TransactionStart(Tag::new("BEGIN"))),
        Statement::Commit { .. } if client.transaction_status() == TransactionStatus::Error => {
            Ok(Response::TransactionEnd(Tag::new("ROLLBACK")))
        }
        Statement::Commit { .. } => Ok(Response::TransactionEnd(Tag::new("COMMIT"))),
        Statement::Rollback { savepoint: Some(_), .. } => Ok(Response::TransactionStart(Tag::new("ROLLBACK"))),
        Statement::Rollback { .. } => Ok(Response::TransactionEnd(Tag::new("ROLLBACK"))),
        Statement::Savepoint { .. } => done("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => done("RELEASE"),
        _ => done("DEALLOCATE"),
    }
}

/// What a setting is unless a client says something else; `None` of what is none.
pub(super) fn default_of(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name)).map(|setting| setting.default)
}

/// All of them, with what they are unless a client says something else.
pub(super) fn defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
    SETTINGS.iter().map(|setting| (setting.name, setting.default))
}

/// How long a statement of this connection may take, if its client says so.
pub(super) fn time_max<Client: ClientInfo>(client: &Client) -> Option<Duration> {
    client.metadata().get(TIMEOUT).and_then(|text| duration(text)).filter(|time| !time.is_zero())
}

/// What a `SET` says: names and values, of which `None` is the default.
fn said(set: &Set) -> PgWireResult<Vec<(String, Option<String>)>> {
    let of = |name: &ObjectName, values: &[Expr]| {
        let values: Vec<String> = values.iter().map(text).collect();
        let value = Some(values.join(", ")).filter(|value| !value.eq_ignore_ascii_case("default"));
        (plain(name), value)
    };
    Ok(match set {
        Set::SingleAssignment { variable, values, .. } => vec![of(variable, values)],
        Set::MultipleAssignments { assignments } => {
            assignments.iter().map(|one| of(&one.name, std::slice::from_ref(&one.value))).collect()
        }
        Set::SetTimeZone { value, .. } => vec![("timezone".to_owned(), Some(text(value)))],
        Set::SetNames { charset_name, .. } => {
            vec![("client_encoding".to_owned(), Some(charset_name.value.clone()))]
        }
        // Each statement reads by itself, and only reads, whatever is asked for.
        Set::SetTransaction { .. } | Set::SetNamesDefault {} => Vec::new(),
        _ => return Err(refused("42601", format!("{set} is not understood; a connection has settings alone"))),
    })
}

fn put<Client: ClientInfo>(client: &mut Client, name: &str, value: Option<String>) -> PgWireResult<()> {
    let setting = known(name)?;
    let Some(value) = value else {
        client.metadata_mut().remove(setting.name);
        return Ok(());
    };
    let is_same = same(&value) == same(setting.default) || (name == "timezone" && is_utc(&value));
    if !setting.is_free && !is_same {
        let fixed = setting.default;
        return Err(refused("22023", format!("{name} is {fixed} here and cannot be {value:?}; leave it out")));
    }
    if setting.name == TIMEOUT && duration(&value).is_none() {
        return Err(refused(
            "22023",
            format!("{name} cannot be {value:?}; give milliseconds, or a number with ms, s or min"),
        ));
    }
    if setting.is_free {
        client.metadata_mut().insert(setting.name.to_owned(), value);
    }
    Ok(())
}

fn show<Client: ClientInfo>(client: &Client, statement: &Statement, name: &str) -> PgWireResult<Response> {
    let setting = known(name)?;
    let value = client.metadata().get(setting.name).map_or(setting.default, String::as_str);
    let columns = Arc::new(columns(statement));
    let mut row = DataRowEncoder::new(columns.clone());
    row.encode_field(&Some(value))?;
    let row = Ok(row.take_row());
    Ok(Response::Query(QueryResponse::new(columns, futures::stream::iter([row]))))
}

fn known(name: &str) -> PgWireResult<&'static Setting> {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.ok_or_else(|| refused("42704", format!("{name:?} is no setting of a connection; leave it out")))
}

/// The name that `SHOW` has in several words.
fn name_of(words: &[Ident]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.value.to_lowercase()).collect();
    match words.join(" ").as_str() {
        "time zone" => "timezone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        name => name.to_owned(),
    }
}

fn plain(name: &ObjectName) -> String {
    name.to_string().replace('"', "").to_lowercase()
}

fn text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => value.clone().into_string().unwrap_or_else(|| value.to_string()),
        Expr::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    }
}

/// A value without what does not matter: case, and how truth and UTF-8 are spelt.
fn same(value: &str) -> String {
    match value.to_lowercase().replace(['-', '_'], "").as_str() {
        "true" | "yes" | "1" => "on".to_owned(),
        "false" | "no" => "off".to_owned(),
        "unicode" => "utf8".to_owned(),
        value => value.to_owned(),
    }
}

fn is_utc(value: &str) -> bool {
    ["utc", "etc/utc", "gmt", "z", "0", "+00", "+00:00"].contains(&value.to_lowercase().as_str())
}

/// A time as Postgres takes it: milliseconds, or with a unit.
fn duration(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.trim().parse().ok()?;
    let unit = match &value[digits.len()..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_as_postgres_does() {
        assert_eq!(duration("250"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(duration("1 min"), Some(Duration::from_mins(1)));
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("3weeks"), None);
    }
}
