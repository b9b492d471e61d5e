//! What is to be told to people: rows of `breaches`, and the clocks that stopped, as they come into the tables.
//!
//! A place is the last epoch of each shard up to which both tables were read. An epoch is in `clocks` a moment before it
//! is in `breaches`, so each has a place of its own.

use plimsoll_schemas::table::{BreachRow, ClockRow, Table};
use serde::{Deserialize, Serialize};

use crate::error::QueryError;
use crate::session::QueryService;

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
        let behind = |table: Table, told: &[i64], until: &[i64]| {
            let are_new = are_new(told, until)?;
            let name = table.name();
            Some(format!("SELECT * FROM history.{name} WHERE {are_new} ORDER BY epoch, revision"))
        };
        let (mut breaches, mut clocks) = (Vec::new(), Vec::new());
        if let Some(statement) = behind(Table::Breaches, &told.breaches, &place.breaches) {
            breaches = self.rows(&statement).await?;
        }
        if let Some(statement) = behind(Table::Clocks, &told.clocks, &place.clocks) {
            clocks = self.rows(&statement).await?;
        }
        Ok(Some(AlertRows { breaches, clocks, place }))
    }

    async fn alert_place(&self) -> Result<AlertPlace, QueryError> {
        // What of `clocks` belongs to a row of `breaches` is there before it.
        let breaches = self.last_epochs(Table::Breaches).await?;
        Ok(AlertPlace { breaches, clocks: self.last_epochs(Table::Clocks).await? })
    }
}

/// The condition of rows between two places; `None` when there are none. A shard of which nothing was read begins with its
/// first epoch.
fn are_new(told: &[i64], until: &[i64]) -> Option<String> {
    let shards = until.len();
    let told = told.iter().copied().chain(std::iter::repeat(0));
    let of_shards = told.zip(until).enumerate().filter(|(_, (told, until))| told < until);
    let of_shards = of_shards.map(|(shard, (told, until))| {
        let are_new = format!("epoch > {told} AND epoch <= {until}");
        if shards == 1 { are_new } else { format!("({are_new} AND (epoch - 1) % {shards} = {shard})") }
    });
    let of_shards: Vec<String> = of_shards.collect();
    (!of_shards.is_empty()).then(|| of_shards.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_its_place() {
        assert_eq!(are_new(&[7], &[7]), None);
        assert_eq!(are_new(&[3], &[7]).as_deref(), Some("epoch > 3 AND epoch <= 7"));
        // Of a lake that nobody kept before, the place is empty.
        assert_eq!(are_new(&[], &[7]).as_deref(), Some("epoch > 0 AND epoch <= 7"));
        let two =
            "(epoch > 3 AND epoch <= 7 AND (epoch - 1) % 2 = 0) OR (epoch > 8 AND epoch <= 10 AND (epoch - 1) % 2 = 1)";
        assert_eq!(are_new(&[3, 8], &[7, 10]).as_deref(), Some(two));
        assert_eq!(are_new(&[3, 10], &[3, 10]), None);
    }
}
