//! What is to be told to people: rows of `breaches`, and the clocks that stopped, as they come into the tables.
//!
//! A place is the last epoch of each shard up to which both tables were read. An epoch is in `clocks` a moment before it
//! is in `breaches`, so each has a place of its own.

use datafusion::common::TableReference;
use datafusion::prelude::col;
use plimsoll_schemas::table::{BreachRow, ClockRow, Table, TableRow};
use serde::{Deserialize, Serialize};

use crate::error::QueryError;
use crate::known::between;
use crate::newest::collect;
use crate::session::{HISTORY, QueryService};

/// Up to where tables were read: of each shard the last epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertPlace {
    breaches: Vec<i64>,
    clocks: Vec<i64>,
}

/// What was found behind a place.
#[derive(Clone, Debug, Default)]
pub struct AlertRows {
    /// In the order of their epochs.
    pub breaches: Vec<BreachRow>,
    /// Likewise.
    pub clocks: Vec<ClockRow>,
    /// The place behind them.
    pub place: AlertPlace,
}

/// What stands: promises that are or may be missed in a window that is not over, or by a clock that runs. It is one
/// question, so clocks and breaches are of one moment.
const STANDING: &str = "SELECT * FROM (SELECT * FROM warnings UNION ALL SELECT * FROM breaches) AS told
WHERE window_end > now() OR EXISTS (
    SELECT 1 FROM clocks WHERE clocks.agreement = told.agreement AND clocks.agreement_version = told.agreement_version
        AND clocks.service = told.service AND clocks.objective = told.objective AND clocks.ticket = told.ticket
        AND clocks.cycle = told.cycle AND clocks.stopped_at IS NULL AND clocks.verdict IN ('running', 'breached'))
ORDER BY epoch";

impl QueryService {
    /// What stands now, for somebody who was told nothing yet.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn alerts(&self) -> Result<AlertRows, QueryError> {
        let place = self.alert_place().await?;
        // What comes between the two is found again behind the place, and is the same.
        Ok(AlertRows { breaches: self.rows(STANDING).await?, clocks: Vec::new(), place })
    }

    /// What tables say behind a place; `None` when that is nothing.
    ///
    /// # Errors
    /// As `sql`; `Invalid` when the place is not one of these tables.
    pub async fn alerts_since(&self, told: &AlertPlace) -> Result<Option<AlertRows>, QueryError> {
        let place = self.alert_place().await?;
        if place == *told {
            return Ok(None);
        }
        let is_ahead = |told: &[i64], until: &[i64]| {
            told.len() > until.len() || told.iter().zip(until).any(|(told, until)| told > until)
        };
        if is_ahead(&told.breaches, &place.breaches) || is_ahead(&told.clocks, &place.clocks) {
            let wrong = "more was told than the tables have, which are others or of an earlier time; delete what is kept in \
                         _plimsoll/told, and what stands is told anew";
            return Err(QueryError::Invalid(wrong.to_owned()));
        }
        let breaches = self.behind(Table::Breaches, &told.breaches, &place.breaches).await?;
        let clocks = self.behind(Table::Clocks, &told.clocks, &place.clocks).await?;
        Ok(Some(AlertRows { breaches, clocks, place }))
    }

    /// The rows of a table between two places.
    async fn behind<Row: TableRow>(&self, table: Table, told: &[i64], until: &[i64]) -> Result<Vec<Row>, QueryError> {
        let Some(are_new) = between(told, until) else { return Ok(Vec::new()) };
        let order = ["epoch", "revision"].map(|name| col(name).sort(true, false)).to_vec();
        let rows = TableReference::partial(HISTORY, table.name());
        collect(self.own_view(rows, move |rows| rows.filter(are_new)?.sort(order)).await?).await
    }

    async fn alert_place(&self) -> Result<AlertPlace, QueryError> {
        // What of `clocks` belongs to a row of `breaches` is there before it.
        let breaches = self.last_epochs(Table::Breaches).await?;
        Ok(AlertPlace { breaches, clocks: self.last_epochs(Table::Clocks).await? })
    }
}
