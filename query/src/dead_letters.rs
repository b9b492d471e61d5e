//! Dead letters as rows, for the command that has them taken again.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use futures::TryStreamExt;
use plimsoll_schemas::table::DeadLetterRow;

use crate::error::QueryError;
use crate::newest::collect;
use crate::session::QueryService;

impl QueryService {
    /// The dead letters of which nothing has become yet and that meet a condition in SQL, by partition and offset.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn open_dead_letters(&self, condition: &str) -> Result<Vec<DeadLetterRow>, QueryError> {
        let open = "SELECT * EXCEPT (payload_text) FROM dead_letters WHERE outcome IS NULL";
        let order = "topic, \"partition\", \"offset\"";
        collect(self.sql(&format!("{open} AND ({condition}) ORDER BY {order}")).await?).await
    }

    /// The numbers of the requests whose dead letters were taken again.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn taken_retries(&self) -> Result<BTreeSet<i64>, QueryError> {
        let question = "SELECT DISTINCT retry FROM history.dead_letters WHERE retry IS NOT NULL";
        let mut answer = self.sql(question).await?;
        let mut numbers = BTreeSet::new();
        while let Some(batch) = answer.try_next().await? {
            numbers.extend(batch.column(0).as_primitive::<Int64Type>().values());
        }
        Ok(numbers)
    }
}
