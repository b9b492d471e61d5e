//! The tables that users see: SQL text in, nothing else.
//!
//! Schema `history` holds every row as it was written; schema `public`, the default, holds a view of the same name that
//! shows only what is current. Of the rows with one key (the keys stand at the row types of the contracts), the current
//! one has the greatest (revision, epoch); when that row is retracted, the key has none.

/// A view of schema `public`.
pub(crate) struct View {
    /// Its name, which is the table's.
    pub(crate) name: &'static str,
    /// The query that it stands for.
    pub(crate) sql: &'static str,
}

/// Every view, in the order in which a reader meets them.
pub(crate) const VIEWS: &[View] = &[
    // Results: the newest revision of each judged window, unless a retroactive version took the window away.
    View {
        name: "attainment",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY agreement, agreement_version, service, objective, window_start
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.attainment)
              WHERE place <= 1 AND NOT retracted",
    },
    // Credits are revised as the results that they follow from, and taken back with them.
    View {
        name: "credits",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY agreement, agreement_version, service, window_start, window_end
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.credits)
              WHERE place <= 1 AND NOT retracted",
    },
    // Watermelons that still are.
    View {
        name: "watermelons",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY agreement, agreement_version, service, objective, window_start
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.watermelons)
              WHERE place <= 1 AND NOT retracted",
    },
    // Clocks of tickets: the newest state of each run of each clock.
    View {
        name: "clocks",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY agreement, agreement_version, service, objective, ticket, cycle
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.clocks)
              WHERE place <= 1 AND NOT retracted",
    },
    // Outages that still stand; one that lasts has no end yet.
    View {
        name: "outages",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY service, started_at
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.outages)
              WHERE place <= 1 AND NOT retracted",
    },
    // Changes of state that still stand.
    View {
        name: "transitions",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY service, at
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.transitions)
              WHERE place <= 1 AND NOT retracted",
    },
    // Measures are signed parts: the rows of one bucket add up.
    View {
        name: "measures",
        sql: "SELECT service, indicator, calendar, time_zone, customer, bucket_start, max(bucket_end) AS bucket_end,
                  latency_at_most_us,
                  sum(good_us) AS good_us, sum(bad_us) AS bad_us, sum(degraded_us) AS degraded_us,
                  sum(excluded_us) AS excluded_us, sum(unknown_us) AS unknown_us,
                  sum(good_count) AS good_count, sum(total_count) AS total_count,
                  max(recorded_at) AS recorded_at, max(epoch) AS epoch
              FROM history.measures
              GROUP BY service, indicator, calendar, time_zone, customer, bucket_start, latency_at_most_us",
    },
    // Promises that are missed, and warnings that were given: of each the newest word, unless that takes it back.
    // Each time that a budget burns too fast is a warning of its own.
    View {
        name: "breaches",
        sql: "SELECT * EXCEPT (place) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY coalesce(retracts, event), scope, agreement, agreement_version, service, objective,
                          ticket, cycle, window_start, threshold_ratio, span_us,
                          CASE WHEN span_us IS NOT NULL THEN at END
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.breaches)
              WHERE event <> 'retraction' AND place <= 1",
    },
    // Who spent the budget of a breach: the newest word on each, unless that takes it back.
    View {
        name: "attributions",
        sql: "SELECT * EXCEPT (place, retracted) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY agreement, agreement_version, service, objective, ticket, cycle, window_start,
                          supporting_agreement, supporting_version, supporting_service
                      ORDER BY revision DESC, epoch DESC) AS place
                  FROM history.attributions)
              WHERE place <= 1 AND NOT retracted",
    },
    // Every correction is a fact of its own.
    View { name: "corrections", sql: "SELECT * FROM history.corrections" },
    // Definitions are recorded again when they are loaded again: the latest record of each.
    View {
        name: "agreements",
        sql: "SELECT * EXCEPT (place) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY agreement, agreement_version, service, objective
                      ORDER BY recorded_at DESC, epoch DESC) AS place
                  FROM history.agreements)
              WHERE place <= 1",
    },
    View {
        name: "calendars",
        sql: "SELECT * EXCEPT (place) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY calendar, calendar_version ORDER BY recorded_at DESC, epoch DESC) AS place
                  FROM history.calendars)
              WHERE place <= 1",
    },
    View {
        name: "services",
        sql: "SELECT * EXCEPT (place) FROM (
                  SELECT *, row_number() OVER (
                      PARTITION BY service ORDER BY recorded_at DESC, epoch DESC) AS place
                  FROM history.services)
              WHERE place <= 1",
    },
    // Accepted events, records set aside and epochs never change.
    View { name: "events", sql: "SELECT * FROM history.events" },
    // The payload also as text, whatever its bytes are.
    View { name: "dead_letters", sql: "SELECT *, lossy_text(payload) AS payload_text FROM history.dead_letters" },
    View { name: "epochs", sql: "SELECT * FROM history.epochs" },
];
