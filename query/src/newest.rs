//! Rows of the tables as the worker wrote them, for a process that keeps no state: the newest, as `/metrics` shows
//! them.

use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use plimsoll_schemas::table::{AttainmentRow, ClockRow, TableRow, from_batch};

use crate::error::QueryError;
use crate::session::QueryService;

/// Of each objective the result of its newest window.
const NEWEST_ATTAINMENT: &str = "SELECT * EXCEPT (newest), false AS retracted FROM (
    SELECT *, row_number() OVER (
        PARTITION BY agreement, agreement_version, service, objective ORDER BY window_start DESC) AS newest
    FROM attainment)
WHERE newest <= 1";

/// The clocks that have not stopped: a thousand of those that are due next, and a thousand of those that were due last. More
/// tell an on-call person nothing.
const DUE: &str = "SELECT * EXCEPT (nearest), false AS retracted FROM (
    SELECT *, row_number() OVER (
        PARTITION BY verdict
        ORDER BY CASE verdict WHEN 'running' THEN 1 ELSE -1 END * CAST(due_at AS BIGINT)) AS nearest
    FROM clocks WHERE stopped_at IS NULL AND due_at IS NOT NULL)
WHERE nearest <= 1000";

impl QueryService {
    /// Of each objective of each version of an agreement, for each service, the result of its newest window.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn newest_attainment(&self) -> Result<Vec<AttainmentRow>, QueryError> {
        self.rows(NEWEST_ATTAINMENT).await
    }

    /// The clocks that have not stopped: of those that run within their target at most a thousand, which are due next; and
    /// as many of those beyond it, which were due last.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn clocks_due(&self) -> Result<Vec<ClockRow>, QueryError> {
        self.rows(DUE).await
    }

    pub(crate) async fn rows<Row: TableRow>(&self, statement: &str) -> Result<Vec<Row>, QueryError> {
        collect(self.own(statement).await?).await
    }
}

/// All rows of an answer.
pub(crate) async fn collect<Row: TableRow>(mut answer: SendableRecordBatchStream) -> Result<Vec<Row>, QueryError> {
    let mut rows = Vec::new();
    while let Some(batch) = answer.try_next().await? {
        rows.extend(from_batch(&batch).map_err(|error| QueryError::Internal(error.to_string()))?);
    }
    Ok(rows)
}
