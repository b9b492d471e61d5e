//! The tables that users see: keys and SQL text in, nothing else.
//!
//! Schema `history` holds every row as it was written; schema `public`, the default, holds a view of the same name that
//! shows only what is current, and some views more that people look for.

use plimsoll_schemas::table::Table;

use crate::availability;
use crate::current::Choice;
use crate::defined::DEFINED;
use crate::known::SUFFIX;

/// A view of schema `public`.
pub(crate) struct View {
    /// Its name.
    pub(crate) name: &'static str,
    /// The table whose rows it shows.
    pub(crate) table: Table,
    /// What one row is, where that is something else than of the table.
    pub(crate) comment: Option<&'static str>,
    rows: Rows,
}

/// The view of a table's name.
const fn of(table: Table, rows: Rows) -> View {
    View { name: table.name(), table, comment: None, rows }
}

/// The rows of a view.
enum Rows {
    /// Of the rows with one key the one that is chosen. Whether it is retracted is no column where it never is.
    Chosen(Choice),
    /// Those of a query.
    Of(&'static str),
    /// All.
    All,
}

/// Of the rows with one key (the keys stand at the row types of the contracts), the current one: it has the greatest
/// (revision, epoch). When that row is retracted, the key has none.
const fn current(key: &'static [&'static str]) -> Rows {
    Rows::Chosen(Choice { key, order: "revision", shown: Some(NOT_RETRACTED) })
}

/// Of the rows with one key the one that was recorded last.
const fn latest(key: &'static [&'static str]) -> Rows {
    Rows::Chosen(Choice { key, order: "recorded_at", shown: None })
}

/// Of what is told of promises those of one event: of each the newest word, unless that takes it back.
const fn told(is_of_event: &'static str) -> Rows {
    let key = &[
        "CASE WHEN retracts IS NULL THEN event ELSE retracts END",
        "scope",
        "agreement",
        "agreement_version",
        "service",
        "objective",
        "ticket",
        "cycle",
        "window_start",
        "threshold_ratio",
        "span_us",
        "CASE WHEN span_us IS NOT NULL THEN at END",
    ];
    Rows::Chosen(Choice { key, order: "revision", shown: Some(is_of_event) })
}

const NOT_RETRACTED: &str = "NOT retracted";

impl View {
    /// The query that it stands for.
    pub(crate) fn sql(&self) -> String {
        match self.rows {
            Rows::Chosen(choice) => {
                let chosen = choice.sql(self.table);
                self.hidden().map_or(chosen.clone(), |hidden| format!("SELECT * EXCEPT ({hidden}) FROM ({chosen})"))
            }
            Rows::Of(sql) => sql.to_owned(),
            Rows::All => format!("SELECT * FROM history.{}", self.table.name()),
        }
    }

    /// What it chooses of rows with one key, where that is all that it does.
    pub(crate) fn choice(&self) -> Option<Choice> {
        match self.rows {
            Rows::Chosen(choice) => Some(choice),
            _ => None,
        }
    }

    /// The column of the table that it does not have.
    pub(crate) fn hidden(&self) -> Option<&'static str> {
        self.choice().filter(|choice| choice.shown == Some(NOT_RETRACTED)).map(|_| "retracted")
    }
}

/// Whether rows of this name are ours: those of a view, of one as it was known, or of what definitions say.
pub(crate) fn is_ours(name: &str) -> bool {
    let view = name.strip_suffix(SUFFIX).unwrap_or(name);
    let is_defined = DEFINED.iter().any(|table| table.name == name) || name == availability::NAME;
    is_defined || VIEWS.iter().any(|known| known.name == view)
}

/// Every view, in the order in which a reader meets them.
pub(crate) const VIEWS: &[View] = &[
    // Results: the newest revision of each judged window, unless a retroactive version took the window away.
    of(Table::Attainment, current(&["agreement", "agreement_version", "service", "objective", "window_start"])),
    // All that was ever said of them.
    View {
        name: "attainment_history",
        table: Table::Attainment,
        comment: Some("one revision of an objective judged in one window (R22)"),
        rows: Rows::All,
    },
    // Credits are revised as the results that they follow from, and taken back with them.
    of(Table::Credits, current(&["agreement", "agreement_version", "service", "window_start", "window_end"])),
    // Watermelons that still are.
    of(Table::Watermelons, current(&["agreement", "agreement_version", "service", "objective", "window_start"])),
    // Clocks of tickets: the newest state of each run of each clock.
    of(Table::Clocks, current(&["agreement", "agreement_version", "service", "objective", "ticket", "cycle"])),
    // Outages that still stand; one that lasts has no end yet.
    of(Table::Outages, current(&["service", "started_at"])),
    // Changes of state that still stand.
    of(Table::Transitions, current(&["service", "at"])),
    // Measures are signed parts: the rows of one bucket add up.
    of(
        Table::Measures,
        Rows::Of(
            "SELECT service, indicator, calendar, time_zone, customer, bucket_start, max(bucket_end) AS bucket_end,
                  latency_at_most_us,
                  CAST(sum(good_us) AS BIGINT) AS good_us, CAST(sum(bad_us) AS BIGINT) AS bad_us,
                  CAST(sum(degraded_us) AS BIGINT) AS degraded_us,
                  CAST(sum(excluded_us) AS BIGINT) AS excluded_us, CAST(sum(unknown_us) AS BIGINT) AS unknown_us,
                  CAST(sum(good_count) AS BIGINT) AS good_count, CAST(sum(total_count) AS BIGINT) AS total_count,
                  max(recorded_at) AS recorded_at, max(epoch) AS epoch
              FROM history.measures
              GROUP BY service, indicator, calendar, time_zone, customer, bucket_start, latency_at_most_us",
        ),
    ),
    // Promises that are missed: of each the newest word, unless that takes it back.
    of(Table::Breaches, told("event = 'breach'")),
    // Warnings that were given, likewise. Each time that a budget burns too fast is a warning of its own.
    View {
        name: "warnings",
        table: Table::Breaches,
        comment: Some("one warning that a promise may be missed (R28)"),
        rows: told("event = 'warning'"),
    },
    // Who spent the budget of a breach: the newest word on each, unless that takes it back.
    of(
        Table::Attributions,
        current(&[
            "agreement",
            "agreement_version",
            "service",
            "objective",
            "ticket",
            "cycle",
            "window_start",
            "supporting_agreement",
            "supporting_version",
            "supporting_service",
        ]),
    ),
    // Every correction is a fact of its own.
    of(Table::Corrections, Rows::All),
    // Definitions are recorded again when one of them changes: the latest record of each. An agreement is recorded for each
    // of its objectives and services.
    View {
        name: "agreements",
        table: Table::Agreements,
        comment: Some("one version of an agreement"),
        rows: Rows::Of(
            "SELECT agreement, agreement_version,
                  first_value(name ORDER BY recorded_at DESC, epoch DESC) AS name,
                  first_value(agreement_type ORDER BY recorded_at DESC, epoch DESC) AS agreement_type,
                  first_value(customer ORDER BY recorded_at DESC, epoch DESC) AS customer,
                  first_value(offering ORDER BY recorded_at DESC, epoch DESC) AS offering,
                  first_value(time_zone ORDER BY recorded_at DESC, epoch DESC) AS time_zone,
                  first_value(effective_from ORDER BY recorded_at DESC, epoch DESC) AS effective_from,
                  first_value(effective_until ORDER BY recorded_at DESC, epoch DESC) AS effective_until,
                  count(DISTINCT service) AS service_count, count(DISTINCT objective) AS objective_count,
                  max(recorded_at) AS recorded_at, max(epoch) AS epoch
              FROM history.agreements
              GROUP BY agreement, agreement_version",
        ),
    },
    View {
        name: "objectives",
        table: Table::Agreements,
        comment: Some("one objective of one version of an agreement, per service it covers"),
        rows: latest(&["agreement", "agreement_version", "service", "objective"]),
    },
    of(Table::Calendars, latest(&["calendar", "calendar_version"])),
    of(Table::Services, latest(&["service"])),
    // Accepted events, records set aside and epochs never change.
    of(Table::Events, Rows::All),
    // What became of each record that was set aside: the newest word, and the payload also as text, whatever its bytes are.
    of(
        Table::DeadLetters,
        Rows::Of(
            "SELECT * EXCEPT (place), lossy_text(payload) AS payload_text FROM (
                  SELECT *, row_number() OVER (PARTITION BY topic, partition, \"offset\" ORDER BY epoch DESC) AS place
                  FROM history.dead_letters)
              WHERE place <= 1",
        ),
    ),
    of(Table::Epochs, Rows::All),
    // What Kafka had deleted before it was read, of which epochs tell beside what they read: of several shards each
    // tells what it lacks, so ranges that overlap are one.
    View {
        name: "gaps",
        table: Table::Epochs,
        comment: Some("one range of records that Kafka had deleted before they were read"),
        rows: Rows::Of(
            "SELECT topic, partition, min(from_offset) AS from_offset, max(until_offset) AS until_offset,
                    least(max(until_offset) - min(from_offset), CAST(sum(lost_count) AS BIGINT)) AS lost_count,
                    min(tick) AS recorded_at, min(epoch) AS epoch
              FROM (SELECT *, sum(is_first) OVER (PARTITION BY topic, partition ORDER BY from_offset, until_offset, epoch
                                                  ROWS UNBOUNDED PRECEDING) AS gap
                    FROM (SELECT *, CASE WHEN from_offset < max(until_offset) OVER (
                                      PARTITION BY topic, partition ORDER BY from_offset, until_offset, epoch
                                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) THEN 0 ELSE 1 END AS is_first
                          FROM history.epochs WHERE lost_count IS NOT NULL))
              GROUP BY topic, partition, gap",
        ),
    },
];
