//! What columns mean that no row type of the contracts describes: those of events, which are the same in every record,
//! those that views compute, and those of the dictionary itself.

/// Columns of events, which are told as the contracts write them, and of views.
pub(crate) const DESCRIBED: &[(&str, &str)] = &[
    ("service_count", "services that the agreement covers"),
    ("objective_count", "objectives that the agreement has"),
    ("payload_text", "the payload as text, whatever its bytes are"),
    ("recorded_at", "tick at which this became known, UTC (R25)"),
    ("topic", "topic or file that it was read from"),
    ("partition", "partition of the topic; 0 for a file"),
    ("offset", "offset in the partition; for a file, the line"),
    ("source", "the system that sent it; the id of its source definition unless it says so"),
    ("id", "the event's id, unique in its source: the same id counts once on a day and its neighbours (R20)"),
    ("time", "when it happened, UTC, as the event said; what lies in the future counts as read_at (R23)"),
    ("kind", "incident, monitoring, change or feedback"),
    ("service", "id of the service in the catalogue (R38)"),
    ("customer", "id of the customer whom it concerns; null for all"),
    ("check", "name of the check; default where a status came without one"),
    ("status", "up, degraded, down or unknown, of a check (R3)"),
    ("latency_us", "how long the check took, in microseconds, rounded up"),
    ("good_count", "how many of the counted things were good"),
    ("total_count", "how many things were counted; at least good_count"),
    ("ticket", "the ticket's number; all events with it belong together"),
    ("ticket_type", "of an incident event: incident or request; null is an incident"),
    ("action", "what happened to the ticket or the change: opened, acknowledged, paused, ..., snapshot (R19)"),
    ("state", "of a snapshot: new, active, paused, resolved, closed or cancelled (R19)"),
    ("sequence", "orders the events of one ticket at one instant"),
    ("priority", "priority of the ticket, as the event said, such as P1"),
    ("outage", "whether the service is down because of this incident; null where the event does not say"),
    ("opened_at", "when the ticket was opened, UTC, as the ticket system said"),
    ("acknowledged_at", "when somebody took the ticket up, UTC, as the ticket system said"),
    ("resolved_at", "when the ticket was solved, UTC, as the ticket system said; of a change, when it was finished"),
    ("closed_at", "when the ticket was closed, UTC, as the ticket system said"),
    ("planned_start", "of a change: when it is planned to start, UTC (R9)"),
    ("planned_end", "of a change: when it is planned to end, UTC (R9)"),
    ("approved_at", "of a change: when that plan was approved, UTC (R9)"),
    ("outcome", "of a change: success or failed; the last one said counts"),
    ("emergency", "of a change: whether it is an emergency, which is no maintenance (R9)"),
    ("score", "of feedback: what the user thinks, usually 1 to 5; 0 to 10 for net_promoter_score"),
    ("date", "UTC date by which the table is divided: that of time, or of the column that stands for it"),
];

/// What a row of the dictionary is, and its columns.
pub(crate) const DICTIONARY_ROW: &str = "one table or view, or one column of it, and what it means";
pub(crate) const DICTIONARY_COLUMNS: &[(&str, &str)] = &[
    ("schema_name", "schema of the table: public, history or dictionary"),
    ("table_name", "name of the table or view"),
    ("column_name", "name of the column; null where the table itself is described"),
    ("number", "place of the column in its table, from 1 on; 0 of the table itself"),
    ("comment", "what it means, with its unit, and its rule where there is one"),
];
