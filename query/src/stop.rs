//! Plans that end when nobody waits for their rows any more.
//!
//! A task is ended where it waits. A join may be asked for its next rows once and compare for minutes before it has any, and
//! what counts rows takes those of a join without a break. So each join waits now and then, and what a join by
//! comparison compares fails once the question is over.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::union::UnionExec;

use crate::error::QueryError;

/// The same plan, which ends soon after the last owner of `question` is gone.
///
/// # Errors
/// When a join cannot be made again, which is a defect.
pub(crate) fn stoppable(
    plan: Arc<dyn ExecutionPlan>,
    question: &Weak<()>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let with_end = |node: Arc<dyn ExecutionPlan>| {
        if node.children().len() < 2 || node.is::<UnionExec>() {
            return Ok(Transformed::no(node));
        }
        let node = match node.downcast_ref::<NestedLoopJoinExec>() {
            Some(join) => compared(join, question)?.unwrap_or(node),
            None => node,
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
    };
    Ok(plan.transform_up(with_end)?.data)
}

/// A join by comparison that stops to compare.
fn compared(join: &NestedLoopJoinExec, question: &Weak<()>) -> Result<Option<Arc<dyn ExecutionPlan>>, DataFusionError> {
    let Some(filter) = join.filter() else { return Ok(None) };
    let inner = filter.expression().clone();
    let expression = Arc::new(WhileAsked { inner, question: question.clone() });
    let filter = JoinFilter::new(expression, filter.column_indices().to_vec(), filter.schema().clone());
    let projection = join.projection().as_ref().map(|columns| columns.to_vec());
    let (left, right) = (join.left().clone(), join.right().clone());
    let join = NestedLoopJoinExec::try_new(left, right, Some(filter), join.join_type(), projection)?;
    Ok(Some(Arc::new(join)))
}

/// An expression that fails when its question is over.
#[derive(Debug)]
struct WhileAsked {
    inner: Arc<dyn PhysicalExpr>,
    question: Weak<()>,
}

impl PartialEq for WhileAsked {
    fn eq(&self, other: &WhileAsked) -> bool {
        self.inner.eq(&other.inner) && self.question.ptr_eq(&other.question)
    }
}

impl Eq for WhileAsked {}

impl Hash for WhileAsked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for WhileAsked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl PhysicalExpr for WhileAsked {
    fn return_field(&self, input: &Schema) -> Result<FieldRef, DataFusionError> {
        self.inner.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        if self.question.strong_count() == 0 {
            return Err(QueryError::Exhausted("nobody waits for the answer any more".to_owned()).into());
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let inner = children.into_iter().next().unwrap_or_else(|| self.inner.clone());
        Ok(Arc::new(WhileAsked { inner, question: self.question.clone() }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(formatter)
    }
}
