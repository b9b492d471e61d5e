//! What a client says and asks of its connection: when it connects, and by `SET`, `SHOW`, `RESET` and the bounds of
//! transactions.
//!
//! Drivers and tools do so before they ask for anything. Nothing of it reaches DataFusion, whose options hold for
//! everybody. A transaction only bounds statements: each statement reads what is newest when it begins. Settings do end
//! with it as in Postgres: with `COMMIT` those of `SET LOCAL`, with `ROLLBACK` all that were made in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::TZ_VARIANTS;
use datafusion::sql::sqlparser::ast::{ContextModifier, Expr, Ident, ObjectName, Reset, Set, Statement};
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::{ClientInfo, METADATA_DATABASE, METADATA_USER, Type};
use pgwire::error::{ErrorInfo, PgWireResult};
use pgwire::messages::response::TransactionStatus;

use crate::postgres::refused;
use crate::postgres::tools::{POSTGRES_VERSION, POSTGRES_VERSION_NUMBER};

/// A setting that tools ask for: its name, what it is unless said, and what a client may say instead.
struct Setting {
    name: &'static str,
    default: &'static str,
    takes: Takes,
}

/// What a client may say of a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// What it is anyway.
    Nothing,
    /// Anything, which is kept and told again.
    Anything,
    /// Words out of these, with commas between them.
    Words(&'static [&'static str]),
    /// A whole number.
    Number,
    /// How long a statement may take.
    Time,
    /// A time zone, of which there is one here whatever is said.
    Zone,
}

const fn free(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default, takes: Takes::Anything }
}

const fn fixed(name: &'static str, default: &'static str) -> Setting {
    Setting { name, default, takes: Takes::Nothing }
}

const fn of(name: &'static str, default: &'static str, takes: Takes) -> Setting {
    Setting { name, default, takes }
}

const TIMEOUT: &str = "statement_timeout";

/// What a client may be told beside its answers, from the least to the most serious.
const LEVELS: &str = "client_min_messages";
const LEVEL_NAMES: [&str; 9] = ["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];

/// The words of a style of dates. How they are ordered is kept with it.
const DATE_WORDS: [&str; 10] =
    ["iso", "sql", "german", "postgres", "mdy", "dmy", "ymd", "us", "european", "noneuropean"];

/// The styles of intervals that pgwire writes as Postgres does; of `sql_standard` it loses the sign.
const INTERVAL_STYLES: [&str; 3] = ["postgres", "postgres_verbose", "iso_8601"];

const SETTINGS: [Setting; 26] = [
    free("application_name", ""),
    of("bytea_output", "hex", Takes::Words(&["hex", "escape"])),
    fixed("client_encoding", "UTF8"),
    of(LEVELS, "notice", Takes::Words(&LEVEL_NAMES)),
    of("datestyle", "ISO, MDY", Takes::Words(&DATE_WORDS)),
    fixed("default_transaction_isolation", "read committed"),
    fixed("default_transaction_read_only", "on"),
    of("extra_float_digits", "1", Takes::Number),
    free("idle_in_transaction_session_timeout", "0"),
    fixed("integer_datetimes", "on"),
    of("intervalstyle", "postgres", Takes::Words(&INTERVAL_STYLES)),
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
    of(TIMEOUT, "0", Takes::Time),
    of("timezone", "UTC", Takes::Zone),
    fixed("transaction_isolation", "read committed"),
    fixed("transaction_read_only", "on"),
];

/// The settings that a client is told of without asking, by the names that Postgres gives them there.
const REPORTED: [(&str, &str); 4] = [
    ("application_name", "application_name"),
    ("DateStyle", "datestyle"),
    ("IntervalStyle", "intervalstyle"),
    ("search_path", "search_path"),
];

/// What clients said of settings, by their names.
type Said = BTreeMap<&'static str, String>;

/// The settings that hold when a transaction ends, of a connection that is in one.
#[derive(Clone)]
struct Transaction {
    /// When it is rolled back: those before it.
    before: Said,
    /// When it is committed: those that were made for good.
    lasting: Said,
}

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

/// Whether a failed transaction lets a statement through.
pub(super) fn ends_transaction(statement: &Statement) -> bool {
    matches!(statement, Statement::Commit { .. } | Statement::Rollback { .. })
}

/// Whether a statement takes a failed transaction back to where it had not failed.
pub(super) fn goes_back(statement: &Statement) -> bool {
    matches!(statement, Statement::Rollback { savepoint: Some(_), .. })
}

/// Answers it, with what there is to tell beside the answer. `time_max` is how long a statement may take at most.
pub(super) fn answer<Client: ClientInfo>(
    statement: &Statement,
    client: &mut Client,
    time_max: Duration,
) -> PgWireResult<(Response, Vec<ErrorInfo>)> {
    let mut notices = Vec::new();
    let done = |tag: &str| Response::Execution(Tag::new(tag));
    let answer = match statement {
        Statement::Set(set) => {
            set_all(client, set, time_max, &mut notices)?;
            done("SET")
        }
        Statement::Reset(reset) => {
            match &reset.reset {
                Reset::ALL => SETTINGS.iter().for_each(|setting| keep(client, setting.name, None)),
                Reset::ConfigurationParameter(name) => keep(client, known(&plain(name))?.name, None),
            }
            done("RESET")
        }
        Statement::Discard { .. } => {
            SETTINGS.iter().for_each(|setting| keep(client, setting.name, None));
            done("DISCARD ALL")
        }
        Statement::ShowVariable { variable } => show(client, statement, &name_of(variable), time_max)?,
        Statement::StartTransaction { .. } => {
            begin(client);
            Response::TransactionStart(Tag::new("BEGIN"))
        }
        Statement::Commit { .. } => {
            let has_failed = client.transaction_status() == TransactionStatus::Error;
            end(client, !has_failed);
            Response::TransactionEnd(Tag::new(if has_failed { "ROLLBACK" } else { "COMMIT" }))
        }
        Statement::Rollback { savepoint: Some(_), .. } => done("ROLLBACK"),
        Statement::Rollback { .. } => {
            end(client, false);
            Response::TransactionEnd(Tag::new("ROLLBACK"))
        }
        Statement::Savepoint { .. } => done("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => done("RELEASE"),
        _ => done("DEALLOCATE"),
    };
    notices.retain(|notice| is_wanted(client, notice));
    Ok((answer, notices))
}

/// What a client says when it connects becomes what is kept of it: its name, and its settings. Those that it may not
/// choose are told it, and others are nothing here; so it gets in. What it asks for as Postgres' command line would has
/// to hold.
///
/// # Errors
/// For a value that cannot be.
pub(super) fn connect(said: &mut BTreeMap<String, String>) -> PgWireResult<()> {
    let mut kept = BTreeMap::new();
    for (name, value) in std::mem::take(said) {
        let low = name.to_lowercase();
        if [METADATA_USER, METADATA_DATABASE].contains(&name.as_str()) {
            kept.insert(name, value);
        } else if low == "options" {
            for (name, value) in options(&value)? {
                let (setting, value) = checked(&name, &value)?;
                kept.extend(value.map(|value| (setting.name.to_owned(), value)));
            }
        } else if let Ok(setting) = known(&low)
            && !matches!(setting.takes, Takes::Nothing | Takes::Zone)
        {
            let (setting, value) = checked(&low, &value)?;
            kept.extend(value.map(|value| (setting.name.to_owned(), value)));
        }
    }
    *said = kept;
    Ok(())
}

/// The settings of which a client is told what they are without asking.
pub(super) fn reported<Client: ClientInfo>(client: &Client) -> BTreeMap<&'static str, String> {
    let value = |name: &str| {
        let said = client.metadata().get(name).cloned();
        said.unwrap_or_else(|| default_of(name).unwrap_or_default().to_owned())
    };
    REPORTED.iter().map(|(reported, name)| (*reported, value(name))).collect()
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

/// Names and values, of which `None` is the default; and whether they are for this transaction alone.
type Assigned = (Vec<(String, Option<String>)>, bool);

/// What a `SET` says.
fn said(set: &Set) -> PgWireResult<Assigned> {
    let of = |name: &ObjectName, values: &[Expr]| {
        let values: Vec<String> = values.iter().map(text).collect();
        let value = Some(values.join(", ")).filter(|value| !value.eq_ignore_ascii_case("default"));
        (plain(name), value)
    };
    let is_local = |scope: Option<&ContextModifier>| scope == Some(&ContextModifier::Local);
    Ok(match set {
        Set::SingleAssignment { scope, variable, values, .. } => (vec![of(variable, values)], is_local(scope.as_ref())),
        Set::MultipleAssignments { assignments } => {
            let local = assignments.iter().any(|one| is_local(one.scope.as_ref()));
            (assignments.iter().map(|one| of(&one.name, std::slice::from_ref(&one.value))).collect(), local)
        }
        Set::SetTimeZone { local, value } => (vec![("timezone".to_owned(), Some(text(value)))], *local),
        Set::SetNames { charset_name, .. } => {
            (vec![("client_encoding".to_owned(), Some(charset_name.value.clone()))], false)
        }
        // Each statement reads by itself, and only reads, whatever is asked for.
        Set::SetTransaction { .. } | Set::SetNamesDefault {} => (Vec::new(), false),
        _ => return Err(refused("42601", format!("{set} is not understood; a connection has settings alone"))),
    })
}

/// Does what a `SET` says.
fn set_all<Client: ClientInfo>(
    client: &mut Client,
    set: &Set,
    time_max: Duration,
    notices: &mut Vec<ErrorInfo>,
) -> PgWireResult<()> {
    let told = |severity: &str, code: &str, words: String| ErrorInfo::new(severity.to_owned(), code.to_owned(), words);
    let (said, is_local) = said(set)?;
    let is_kept = !is_local || in_transaction(client).is_some();
    for (name, value) in said {
        let setting = known(&name)?;
        let kept = match &value {
            Some(value) => checked(&name, value)?.1,
            None => None,
        };
        match (setting.takes, &value) {
            (Takes::Zone, Some(zone)) if !is_utc(zone) => {
                let words = format!("times are told in UTC here, not in {zone}; AT TIME ZONE converts them");
                notices.push(told("NOTICE", "00000", words));
            }
            (Takes::Time, Some(text)) if within(Some(text), time_max) == time_max => {
                let words = format!("a statement ends after {} here, not later", shown(time_max));
                notices.push(told("NOTICE", "00000", words));
            }
            _ => {}
        }
        match is_local {
            true if is_kept => put(client, setting.name, kept),
            true => {}
            false => keep(client, setting.name, kept),
        }
    }
    if !is_kept {
        let words = "SET LOCAL can only be used in transaction blocks".to_owned();
        notices.push(told("WARNING", "25P01", words));
    }
    Ok(())
}

/// Whether a client wants to be told so.
fn is_wanted<Client: ClientInfo>(client: &Client, notice: &ErrorInfo) -> bool {
    let place = |level: &str| LEVEL_NAMES.iter().position(|name| name.eq_ignore_ascii_case(level));
    let from = client.metadata().get(LEVELS).map_or("notice", String::as_str);
    place(&notice.severity) >= place(from)
}

/// What of a value that a client says is kept: nothing of a setting that is not its own.
///
/// # Errors
/// When there is no such setting, or it cannot be that.
fn checked(name: &str, value: &str) -> PgWireResult<(&'static Setting, Option<String>)> {
    let setting = known(name)?;
    let wrong = |advice: &str| Err(refused("22023", format!("{name} cannot be {value:?}; {advice}")));
    let has_words = |words: &[&str]| {
        let mut said = value.split(',').map(|word| word.trim().to_lowercase());
        said.all(|word| words.contains(&word.as_str()))
    };
    match setting.takes {
        Takes::Nothing if same(value) == same(setting.default) => Ok((setting, None)),
        Takes::Nothing => {
            let fixed = setting.default;
            Err(refused("22023", format!("{name} is {fixed} here and cannot be {value:?}; leave it out")))
        }
        Takes::Words(words) if !has_words(words) => wrong(&format!("give one of {}", words.join(", "))),
        Takes::Number if value.trim().parse::<i8>().is_err() => wrong("give a small whole number"),
        Takes::Time if duration(value).is_none() => wrong("give milliseconds, or a number with ms, s or min"),
        Takes::Zone if is_utc(value) || is_zone(value) => Ok((setting, None)),
        Takes::Zone => wrong("give a time zone that there is, such as Europe/Berlin"),
        _ => Ok((setting, Some(value.to_owned()))),
    }
}

/// What Postgres' command line would be given: `-c name=value` or `--name=value`, with a backslash before blanks.
fn options(text: &str) -> PgWireResult<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(letters.next())),
            letter if letter.is_whitespace() => words.push(String::new()),
            letter => words.last_mut().into_iter().for_each(|word| word.push(letter)),
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let said = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(said), _) => said.to_owned(),
            (None, Some("")) => words.next().unwrap_or_default(),
            (None, Some(said)) => said.to_owned(),
            (None, None) => word.clone(),
        };
        let Some((name, value)) = said.split_once('=').filter(|_| word.starts_with('-')) else {
            return Err(refused("42601", format!("the option {word:?} is not understood; give -c name=value")));
        };
        found.push((name.replace('-', "_").to_lowercase(), value.to_owned()));
    }
    Ok(found)
}

/// The transaction that a connection is in.
fn in_transaction<Client: ClientInfo>(client: &Client) -> Option<Transaction> {
    client.session_extensions().get::<Option<Transaction>>().and_then(|kept| Option::clone(&kept))
}

fn begin<Client: ClientInfo>(client: &mut Client) {
    if in_transaction(client).is_none() {
        let said = |setting: &Setting| Some((setting.name, client.metadata().get(setting.name)?.clone()));
        let before: Said = SETTINGS.iter().filter_map(said).collect();
        client.session_extensions().insert(Some(Transaction { lasting: before.clone(), before }));
        // Of several statements in one message the later ones are in it already.
        client.set_transaction_status(TransactionStatus::Transaction);
    }
}

fn end<Client: ClientInfo>(client: &mut Client, is_committed: bool) {
    if let Some(Transaction { before, mut lasting }) = in_transaction(client) {
        if !is_committed {
            lasting = before;
        }
        for setting in &SETTINGS {
            put(client, setting.name, lasting.remove(setting.name));
        }
        client.session_extensions().insert(None::<Transaction>);
    }
    client.set_transaction_status(TransactionStatus::Idle);
}

/// Keeps a value beyond the transaction, unless that is rolled back.
fn keep<Client: ClientInfo>(client: &mut Client, name: &'static str, value: Option<String>) {
    if let Some(mut transaction) = in_transaction(client) {
        transaction.lasting.remove(name);
        transaction.lasting.extend(value.clone().map(|value| (name, value)));
        client.session_extensions().insert(Some(transaction));
    }
    put(client, name, value);
}

fn put<Client: ClientInfo>(client: &mut Client, name: &str, value: Option<String>) {
    match value {
        Some(value) => client.metadata_mut().insert(name.to_owned(), value),
        None => client.metadata_mut().remove(name),
    };
}

fn show<Client: ClientInfo>(
    client: &Client,
    statement: &Statement,
    name: &str,
    time_max: Duration,
) -> PgWireResult<Response> {
    let setting = known(name)?;
    let said = client.metadata().get(setting.name);
    let value = match setting.name {
        TIMEOUT => shown(within(said.map(String::as_str), time_max)),
        _ => said.map_or(setting.default, String::as_str).to_owned(),
    };
    let columns = Arc::new(columns(statement));
    let mut row = DataRowEncoder::new(columns.clone());
    row.encode_field(&Some(value))?;
    let row = Ok(row.take_row());
    Ok(Response::Query(QueryResponse::new(columns, futures::stream::iter([row]))))
}

/// How long a statement may take, of which a client says so much.
fn within(said: Option<&str>, time_max: Duration) -> Duration {
    let said = said.and_then(duration).filter(|time| !time.is_zero());
    said.map_or(time_max, |said| said.min(time_max))
}

/// A time as Postgres shows it: in the largest unit of which it is a whole number.
fn shown(time: Duration) -> String {
    let milliseconds = time.as_millis();
    let unit = [("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    match unit.iter().find(|(_, length)| milliseconds.is_multiple_of(*length)) {
        Some((unit, length)) => format!("{}{unit}", milliseconds / length),
        None => format!("{milliseconds}ms"),
    }
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
    ["utc", "etc/utc", "gmt", "z", "0", "+00", "+00:00", "local"].contains(&value.to_lowercase().as_str())
}

/// Whether there is such a time zone: by name, by how far it is from UTC, or as POSIX writes it.
fn is_zone(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    let name = value.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let is_distance = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit() || "+-<".contains(letter));
    TZ_VARIANTS.iter().any(|zone| zone.name().eq_ignore_ascii_case(&value))
        || is_distance(name) && [0, 3, 4, 5].contains(&(value.len() - name.len()))
        || value.starts_with("interval ")
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

    fn connected(said: &[(&str, &str)]) -> PgWireResult<Vec<(String, String)>> {
        let mut said = said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        connect(&mut said).map(|()| said.into_iter().collect())
    }

    #[test]
    fn who_connects_is_kept_with_the_settings_that_are_theirs() {
        // What the JDBC driver says in Berlin, and psql with PGOPTIONS.
        let jdbc = [
            ("user", "ana"),
            ("DateStyle", "ISO"),
            ("TimeZone", "Europe/Berlin"),
            ("client_encoding", "SQL_ASCII"),
            ("_pq_.some", "more"),
        ];
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(connected(&jdbc).expect("in"), [of("datestyle", "ISO"), of("user", "ana")]);
        let options = "-c statement_timeout=2s --application-name=a\\ b -cTimeZone=Asia/Tokyo";
        let said = connected(&[("options", options), ("user", "ana")]).expect("in");
        let expected = [of("application_name", "a b"), of("statement_timeout", "2s")];
        assert_eq!(said, [&expected[..], &[of("user", "ana")]].concat());
        for wrong in
            ["-c statement_timeout=soon", "-c nothing=1", "-c", "statement_timeout=1", "-c client_encoding=LATIN1"]
        {
            assert!(connected(&[("options", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_taken_as_far_as_it_holds() {
        for (name, value, is_taken) in [
            ("intervalstyle", "iso_8601", true),
            ("intervalstyle", "sql_standard", false),
            ("datestyle", "SQL, DMY", true),
            ("datestyle", "nonsense", false),
            ("extra_float_digits", "3", true),
            ("extra_float_digits", "many", false),
            ("timezone", "europe/berlin", true),
            ("timezone", "Europe/Nowhere", false),
            ("timezone", "-7", true),
            ("timezone", "GMT+02:00", true),
            ("timezone", "CET-1CEST", true),
            ("statement_timeout", "1 min", true),
            ("server_version", "16.6", true),
            ("server_version", "17", false),
        ] {
            assert_eq!(checked(name, value).is_ok(), is_taken, "{name} {value}");
        }
    }

    #[test]
    fn how_long_a_statement_may_take_is_shown_as_it_holds() {
        let minute = Duration::from_mins(1);
        for (said, holds) in
            [(None, "1min"), (Some("0"), "1min"), (Some("10min"), "1min"), (Some("90"), "90ms"), (Some("2s"), "2s")]
        {
            assert_eq!(shown(within(said, minute)), holds, "{said:?}");
        }
        assert_eq!(shown(Duration::from_secs(90)), "90s");
        assert_eq!(shown(Duration::from_hours(2)), "2h");
    }

    #[test]
    fn times_are_understood_as_postgres_does() {
        assert_eq!(duration("250"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(duration("1 min"), Some(Duration::from_mins(1)));
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("3weeks"), None);
    }
}
