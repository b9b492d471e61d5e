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

/// The clocks that are due next. More than a thousand tell an on-call person nothing.
const DUE_NEXT: &str = "SELECT *, false AS retracted FROM clocks
WHERE verdict = 'running' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1000";

impl QueryService {
    /// Of each objective of each version of an agreement, for each service, the result of its newest window.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn newest_attainment(&self) -> Result<Vec<AttainmentRow>, QueryError> {
        self.rows(NEWEST_ATTAINMENT).await
    }

    /// The running clocks that are due next, at most a thousand.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn clocks_due_next(&self) -> Result<Vec<ClockRow>, QueryError> {
        self.rows(DUE_NEXT).await
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
