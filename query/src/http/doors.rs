//! The GET doors: which view each shows, by what it is filtered, and in what order.

use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, col};

use crate::defined::DEFINED;
use crate::http::trend::TREND;
use crate::http::wish::OF_ALL;
use crate::views::VIEWS;

/// A GET door.
pub(super) struct Door {
    pub(super) path: &'static str,
    pub(super) view: &'static str,
    /// Text columns that parameters of the same name filter by.
    pub(super) filters: &'static [&'static str],
    /// The column that `from` and `until` bound; `None` when the view has no time of its own.
    pub(super) time: Option<&'static str>,
    /// Columns to order by, by which no two rows are alike: a page begins behind the last row of the one before. A
    /// leading `-` means newest first.
    pub(super) order: &'static [&'static str],
    /// What becomes of the filtered rows before they are ordered.
    pub(super) shape: fn(DataFrame) -> Result<DataFrame, DataFusionError>,
}

impl Door {
    /// The parameters that it takes.
    pub(super) fn parameters(&self) -> Vec<&'static str> {
        let times: &[&str] = if self.time.is_some() { &["from", "until"] } else { &[] };
        [self.filters, times, &OF_ALL].concat()
    }

    /// The words that a parameter takes; `None` where it takes any text.
    pub(super) fn words(&self, column: &str) -> Option<&'static [&'static str]> {
        match VIEWS.iter().find(|view| view.name == self.view) {
            Some(view) => view.table.words(column),
            None => DEFINED.iter().find(|table| table.name == self.view)?.words(column),
        }
    }
}

/// The windows of which it is forecast how they end (R29).
fn forecast(rows: DataFrame) -> Result<DataFrame, DataFusionError> {
    rows.filter(col("breach_probability_ratio").is_not_null())
}

/// What both doors on promises have in common.
const OF_PROMISES: Door = Door {
    path: "",
    view: "",
    filters: &["scope", "agreement", "agreement_type", "customer", "service", "objective", "signal", "ticket"],
    time: Some("at"),
    order: &[
        "-at",
        "agreement",
        "agreement_version",
        "service",
        "objective",
        "ticket",
        "cycle",
        "scope",
        "window_start",
        "threshold_ratio",
        "span_us",
    ],
    shape: Ok,
};

/// What the doors on results filter by.
const OF_RESULTS: &[&str] = &[
    "agreement",
    "agreement_type",
    "customer",
    "offering",
    "service",
    "objective",
    "signal",
    "window_kind",
    "verdict",
    "finality",
];

/// What the door on results that are not over filters by.
const OF_UNDECIDED: &[&str] = OF_RESULTS.split_at(OF_RESULTS.len() - 1).0;

/// What a door filters by whose rows have no verdict of their own.
const OF_UNJUDGED: &[&str] = OF_RESULTS.split_at(OF_RESULTS.len() - 2).0;

/// Changes of verdict as they come, one by one: `stream` serves it.
pub(super) const STREAM: Door =
    Door { path: "/v1/stream", view: "attainment", filters: OF_RESULTS, time: None, order: &[], shape: Ok };

/// All of them.
pub(super) const DOORS: &[Door] = &[
    Door {
        path: "/v1/attainment",
        view: "attainment",
        filters: OF_RESULTS,
        time: Some("window_start"),
        order: &["-window_start", "agreement", "agreement_version", "service", "objective"],
        shape: Ok,
    },
    Door {
        path: "/v1/forecast",
        view: "attainment",
        filters: OF_UNDECIDED,
        time: Some("window_start"),
        order: &["-breach_probability_ratio", "window_start", "agreement", "agreement_version", "service", "objective"],
        shape: forecast,
    },
    Door {
        path: "/v1/credits",
        view: "credits",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "offering",
            "service",
            "window_kind",
            "finality",
            "currency",
            "limited_by",
        ],
        time: Some("window_start"),
        order: &["-window_start", "agreement", "agreement_version", "service", "window_end"],
        shape: Ok,
    },
    Door {
        path: "/v1/watermelons",
        view: "watermelons",
        filters: OF_UNJUDGED,
        time: Some("window_start"),
        order: &["-window_start", "agreement", "agreement_version", "service", "objective"],
        shape: Ok,
    },
    Door {
        path: "/v1/agreements",
        view: "agreements",
        filters: &["agreement", "agreement_type", "customer", "offering"],
        time: None,
        order: &["agreement", "agreement_version"],
        shape: Ok,
    },
    Door {
        path: "/v1/objectives",
        view: "objectives",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "offering",
            "service",
            "objective",
            "signal",
            "calendar",
            "window_kind",
        ],
        time: None,
        order: &["agreement", "agreement_version", "service", "objective"],
        shape: Ok,
    },
    Door { path: "/v1/breaches", view: "breaches", ..OF_PROMISES },
    Door { path: "/v1/warnings", view: "warnings", ..OF_PROMISES },
    Door {
        path: "/v1/attributions",
        view: "attributions",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "service",
            "objective",
            "signal",
            "supporting_agreement",
            "supporting_type",
            "supporting_service",
        ],
        time: Some("window_start"),
        order: &[
            "-window_start",
            "agreement",
            "agreement_version",
            "service",
            "objective",
            "ticket",
            "cycle",
            "supporting_agreement",
            "supporting_version",
            "supporting_service",
        ],
        shape: Ok,
    },
    Door {
        path: "/v1/clocks",
        view: "clocks",
        filters: &[
            "agreement",
            "agreement_type",
            "customer",
            "service",
            "objective",
            "signal",
            "ticket",
            "priority",
            "verdict",
        ],
        time: Some("started_at"),
        order: &["-started_at", "ticket", "agreement", "agreement_version", "service", "objective", "cycle"],
        shape: Ok,
    },
    Door {
        path: "/v1/outages",
        view: "outages",
        filters: &["service"],
        time: Some("started_at"),
        order: &["-started_at", "service"],
        shape: Ok,
    },
    TREND,
    Door {
        path: "/v1/corrections",
        view: "corrections",
        filters: &["agreement", "service", "objective", "reason"],
        time: Some("recorded_at"),
        order: &[
            "-recorded_at",
            "agreement",
            "agreement_version",
            "service",
            "objective",
            "window_start",
            "revision",
            "reason",
            "epoch",
            "before",
            "after",
        ],
        shape: Ok,
    },
    Door {
        path: "/v1/services",
        view: "services",
        filters: &["service", "tier", "owner"],
        time: None,
        order: &["service"],
        shape: Ok,
    },
    Door {
        path: "/v1/customers",
        view: "customers",
        filters: &["customer"],
        time: None,
        order: &["customer"],
        shape: Ok,
    },
    Door {
        path: "/v1/kpis",
        view: "kpi_monthly",
        filters: &["kpi"],
        time: Some("month"),
        order: &["-month", "kpi", "span_months"],
        shape: Ok,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns by which no two rows of a door are alike.
    fn key(door: &Door) -> &'static [&'static str] {
        match (door.path, VIEWS.iter().find(|view| view.name == door.view).and_then(|view| view.choice())) {
            // What it groups by.
            ("/v1/trend", _) => &["signal", "objective", "window_kind", "window_start"],
            (_, Some(choice)) => choice.key,
            ("/v1/agreements", _) => &["agreement", "agreement_version"],
            ("/v1/customers", _) => &["customer"],
            ("/v1/kpis", _) => &["month", "kpi", "span_months"],
            // Nothing is chosen of its rows, so all columns together are.
            ("/v1/corrections", _) => &[
                "agreement",
                "agreement_version",
                "service",
                "objective",
                "window_start",
                "revision",
                "reason",
                "before",
                "after",
                "recorded_at",
                "epoch",
            ],
            (path, _) => panic!("{path}: what tells its rows apart?"),
        }
    }

    #[test]
    fn by_the_order_of_a_door_no_two_rows_are_alike() {
        for door in DOORS {
            let ordered: Vec<&str> = door.order.iter().map(|column| column.trim_start_matches('-')).collect();
            for part in key(door) {
                let column = match *part {
                    // A view has the rows of one event alone.
                    part if part.starts_with("CASE WHEN retracts IS NULL THEN event") => continue,
                    "CASE WHEN span_us IS NOT NULL THEN at END" => "at",
                    column => column,
                };
                assert!(ordered.contains(&column), "{}: {column} is not among {ordered:?}", door.path);
            }
        }
    }
}
