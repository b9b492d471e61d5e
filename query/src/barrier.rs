//! A step of a plan that lets rows pass and nothing else: no filter, limit or projection of a question goes below it, and
//! no statistics come up.
//!
//! DataFusion puts conditions together and evaluates them in an order of its own. So one that fails for a row, or is told
//! with its value, could tell of rows that another condition is there to hide.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::error::QueryError;

/// The rows of `input` that meet a condition, and its first columns.
///
/// # Errors
/// When the condition is none of its columns, which is a defect.
pub(crate) fn only(
    input: Arc<dyn ExecutionPlan>,
    condition: Arc<dyn PhysicalExpr>,
    columns: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let first = schema.fields().iter().take(columns).enumerate().map(|(place, field)| {
        let column = datafusion::physical_expr::expressions::Column::new(field.name(), place);
        ProjectionExpr::new(Arc::new(column), field.name().clone())
    });
    let (first, filtered) = (first.collect::<Vec<_>>(), Arc::new(FilterExec::try_new(condition, input)?));
    Ok(Arc::new(Barrier { input: Arc::new(ProjectionExec::try_new(first, filtered)?) }))
}

#[derive(Debug)]
struct Barrier {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Barrier {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Barrier")
    }
}

impl ExecutionPlan for Barrier {
    fn name(&self) -> &str {
        "Barrier"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Barrier { input })),
            Err(_) => Err(QueryError::Internal("a barrier is in front of one plan".to_owned()).into()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
