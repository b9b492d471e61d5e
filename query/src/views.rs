//! The tables that users see: keys and SQL text in, nothing else.
//!
//! Schema `history` holds every row as it was written; schema `public`, the default, holds a view of the same name that
//! shows only what is current, and some views more that people look for.

use crate::known::SUFFIX;

/// A view of schema `public`.
pub(crate) struct View {
    /// Its name, which is its table's, where it has one of its own.
    pub(crate) name: &'static str,
    rows: Rows,
}

/// The rows of a view.
enum Rows {
    /// Of the rows with one key (the keys stand at the row types of the contracts), the current one: it has the greatest
    /// (revision, epoch). When that row is retracted, the key has none.
    Current(&'static [&'static str]),
    /// Of the rows with one key the one that was recorded last.
    Latest(&'static [&'static str]),
    /// Those of a query.
    Of(&'static str),
    /// All.
    All,
}

impl View {
    /// The query that it stands for.
    pub(crate) fn sql(&self) -> String {
        let name = self.name;
        let first = |key: &[&str], order: &str, but: &str, and: &str| {
            format!(
                "SELECT * EXCEPT ({but}) FROM (
                     SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {order} DESC, epoch DESC) AS place
                     FROM history.{name})
                 WHERE place <= 1{and}",
                key.join(", ")
            )
        };
        match self.rows {
            Rows::Current(key) => first(key, "revision", "place, retracted", " AND NOT retracted"),
            Rows::Latest(key) => first(key, "recorded_at", "place", ""),
            Rows::Of(sql) => sql.to_owned(),
            Rows::All => format!("SELECT * FROM history.{name}"),
        }
    }
}

/// Whether a name is that of a view, or of the function that gives one as it was known.
pub(crate) fn is_view(name: &str) -> bool {
    let name = name.strip_suffix(SUFFIX).unwrap_or(name);
    VIEWS.iter().any(|view| view.name == name)
}

/// Every view, in the order in which a reader meets them.
pub(crate) const VIEWS: &[View] = &[
    // Results: the newest revision of each judged window, unless a retroactive version took the window away.
    View {
        name: "attainment",
        rows: Rows::Current(&["agreement", "agreement_version", "service", "objective", "window_start"]),
    },
    // Credits are revised as the results that they follow from, and taken back with them.
    View {
        name: "credits",
        rows: Rows::Current(&["agreement", "agreement_version", "service", "window_start", "window_end"]),
    },
    // Watermelons that still are.
    View {
        name: "watermelons",
        rows: Rows::Current(&["agreement", "agreement_version", "service", "objective", "window_start"]),
    },
    // Clocks of tickets: the newest state of each run of each clock.
    View {
        name: "clocks",
        rows: Rows::Current(&["agreement", "agreement_version", "service", "objective", "ticket", "cycle"]),
    },
    // Outages that still stand; one that lasts has no end yet.
    View { name: "outages", rows: Rows::Current(&["service", "started_at"]) },
    // Changes of state that still stand.
    View { name: "transitions", rows: Rows::Current(&["service", "at"]) },
    // Measures are signed parts: the rows of one bucket add up.
    View {
        name: "measures",
        rows: Rows::Of(
            "SELECT service, indicator, calendar, time_zone, customer, bucket_start, max(bucket_end) AS bucket_end,
                  latency_at_most_us,
                  sum(good_us) AS good_us, sum(bad_us) AS bad_us, sum(degraded_us) AS degraded_us,
                  sum(excluded_us) AS excluded_us, sum(unknown_us) AS unknown_us,
                  sum(good_count) AS good_count, sum(total_count) AS total_count,
                  max(recorded_at) AS recorded_at, max(epoch) AS epoch
              FROM history.measures
              GROUP BY service, indicator, calendar, time_zone, customer, bucket_start, latency_at_most_us",
        ),
    },
    // Promises that are missed, and warnings that were given: of each the newest word, unless that takes it back.
    // Each time that a budget burns too fast is a warning of its own.
    View {
        name: "breaches",
        rows: Rows::Of(
            "SELECT * EXCEPT (place) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY coalesce(retracts, event), scope, agreement, agreement_version, service, objective,
                          ticket, cycle, window_start, threshold_ratio, span_us,
                          CASE WHEN span_us IS NOT NULL THEN at END
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.breaches)
              WHERE event <> 'retraction' AND place <= 1",
        ),
    },
    // Who spent the budget of a breach: the newest word on each, unless that takes it back.
    View {
        name: "attributions",
        rows: Rows::Current(&[
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
    },
    // Every correction is a fact of its own.
    View { name: "corrections", rows: Rows::All },
    // Definitions are recorded again when one of them changes: the latest record of each.
    View { name: "agreements", rows: Rows::Latest(&["agreement", "agreement_version", "service", "objective"]) },
    View { name: "calendars", rows: Rows::Latest(&["calendar", "calendar_version"]) },
    View { name: "services", rows: Rows::Latest(&["service"]) },
    // Accepted events, records set aside and epochs never change.
    View { name: "events", rows: Rows::All },
    // What became of each record that was set aside: the newest word, and the payload also as text, whatever its bytes are.
    View {
        name: "dead_letters",
        rows: Rows::Of(
            "SELECT * EXCEPT (place), lossy_text(payload) AS payload_text FROM (
                  SELECT *, row_number() OVER (PARTITION BY topic, partition, \"offset\" ORDER BY epoch DESC) AS place
                  FROM history.dead_letters)
              WHERE place <= 1",
        ),
    },
    View { name: "epochs", rows: Rows::All },
    // What Kafka had deleted before it was read, of which epochs tell beside what they read.
    View {
        name: "gaps",
        rows: Rows::Of(
            "SELECT topic, partition, from_offset, until_offset, lost_count, tick AS recorded_at, epoch
              FROM history.epochs
              WHERE lost_count IS NOT NULL",
        ),
    },
];
