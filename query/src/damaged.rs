//! Which file a question could not read: rows that cannot be decoded do not say of which file they are.
//!
//! In: the error of a question, and the plan with the files that it reads. Out: the error that names the first of them that
//! is missing or holds other bytes than were written, with its repair; or the same error, when all are whole.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use plimsoll_lake::{Lake, LakeError};
use plimsoll_schemas::table::Table;
use tokio::time::timeout;

use crate::error::QueryError;

/// How long is looked for it. A bucket that does not answer is no damage, and its error is told.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// The error, with the file that it is about.
pub(crate) async fn named(error: QueryError, lake: &Lake, plan: &Arc<dyn ExecutionPlan>) -> QueryError {
    if !matches!(error, QueryError::Unavailable(_) | QueryError::Internal(_)) {
        return error;
    }
    match timeout(LOOK_MAX, check(lake, plan)).await {
        Ok(Err(damage @ LakeError::Corrupt(_))) => damage.into(),
        _ => error,
    }
}

/// Compares the files that a plan reads with what was written.
async fn check(lake: &Lake, plan: &Arc<dyn ExecutionPlan>) -> Result<(), LakeError> {
    for (table, paths) in files_of(plan) {
        let active = lake.files(table).await?;
        let read: Vec<_> = active.files.iter().filter(|file| paths.contains(&file.path)).cloned().collect();
        lake.check_bytes(table, &read).await?;
    }
    Ok(())
}

/// The files that a plan reads.
fn files_of(plan: &Arc<dyn ExecutionPlan>) -> BTreeMap<Table, HashSet<String>> {
    let mut files: BTreeMap<Table, HashSet<String>> = BTreeMap::new();
    let walked = plan.apply(|node| {
        let scan = node.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref());
        let groups = scan.into_iter().flat_map(|scan: &FileScanConfig| &scan.file_groups);
        for file in groups.flat_map(|group| group.iter()) {
            let path = file.object_meta.location.to_string();
            let table = Table::ALL.into_iter().find(|table| path.split('/').next() == Some(table.name()));
            table.into_iter().for_each(|table| _ = files.entry(table).or_default().insert(path.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "nothing fails on the way");
    files
}
