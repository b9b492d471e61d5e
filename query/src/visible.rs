//! Which rows somebody may see: those of certain customers and agreements, whatever is asked and through whichever door.
//!
//! ```text
//! has an agreement    its customer or its agreement is one of them
//! has a service       a visible agreement covers, or once covered, the service
//! has a calendar      a visible agreement goes, or once went, by it
//! otherwise           not for them: events, dead letters and epochs are the provider's own
//! ```
//! What is visible follows from `history.agreements` when a question is asked. It is a condition below everything else that
//! a question does with a table (`barrier`), so that no error tells of other rows. Plans would, for they say which
//! files are read: they are not told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_schema::DataType;
use datafusion::common::TableReference;
use datafusion::common::tree_node::Transformed;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::prelude::{DataFrame, SessionContext, cast, col};
use plimsoll_schemas::table::Table;

use crate::error::QueryError;
use crate::known;
use crate::session::HISTORY;

/// Whose rows somebody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RowFilter {
    /// Customers, with all their agreements.
    pub(crate) customers: BTreeSet<String>,
    /// Agreements.
    pub(crate) agreements: BTreeSet<String>,
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    filter: Arc<RowFilter>,
    /// Versions of agreements.
    agreements: BTreeMap<String, BTreeSet<i32>>,
    /// Their customers, those that are named in the filter included.
    customers: BTreeSet<String>,
    services: BTreeSet<String>,
    calendars: BTreeSet<String>,
}

impl RowFilter {
    /// Whether it leaves all rows.
    pub(crate) fn is_of_all(&self) -> bool {
        self.customers.is_empty() && self.agreements.is_empty()
    }

    /// Whether a row with a customer and an agreement is visible.
    fn condition(&self) -> Expr {
        is_one_of("customer", &self.customers).or(is_one_of("agreement", &self.agreements))
    }

    /// What is visible as far as anything was ever recorded.
    pub(crate) async fn resolve(self: &Arc<RowFilter>, context: &SessionContext) -> Result<Visible, DataFusionError> {
        let rows = context.table(TableReference::partial(HISTORY, Table::Agreements.name())).await?;
        let text = |name: &str| cast(col(name), DataType::Utf8).alias(name);
        let columns = ["agreement", "customer", "service", "calendar"].map(text);
        let rows = rows.filter(self.condition())?.select(columns.into_iter().chain([col("agreement_version")]))?;
        let mut visible = Visible {
            filter: self.clone(),
            agreements: BTreeMap::new(),
            customers: self.customers.clone(),
            services: BTreeSet::new(),
            calendars: BTreeSet::new(),
        };
        for batch in rows.distinct()?.collect().await? {
            let texts = |place: usize| batch.column(place).as_string::<i32>().iter().flatten().map(str::to_owned);
            let versions = batch.column(4).as_primitive::<Int32Type>().values();
            for (agreement, version) in texts(0).zip(versions) {
                visible.agreements.entry(agreement).or_default().insert(*version);
            }
            visible.customers.extend(texts(1).filter(|customer| !customer.is_empty()));
            visible.services.extend(texts(2));
            visible.calendars.extend(texts(3).filter(|calendar| !calendar.is_empty()));
        }
        Ok(visible)
    }
}

/// The same question about the rows that are visible.
///
/// # Errors
/// `Refused` when it is about a table that is not for whoever sees some agreements only, or asks how it is answered.
pub(crate) fn restrict(question: DataFrame, visible: &Visible) -> Result<DataFrame, DataFusionError> {
    let (state, plan) = question.into_parts();
    let restricted = |node: LogicalPlan| match (&node, known::table(&node)) {
        (LogicalPlan::TableScan(scan), Some(mut table)) => {
            table.only = Some(visible.condition(table.table())?);
            Ok(Transformed::yes(known::scan_of(scan, Arc::new(table))))
        }
        // Which files and rows are read, and what each step did, tells of all rows.
        (LogicalPlan::Explain(_) | LogicalPlan::Analyze(_), _) => Err(not_of_some("EXPLAIN").into()),
        _ => Ok(Transformed::no(node)),
    };
    Ok(DataFrame::new(state, plan.transform_up_with_subqueries(restricted)?.data))
}

impl Visible {
    /// Which rows of a table are visible.
    ///
    /// # Errors
    /// `Refused` when the table is not for whoever sees some agreements only.
    pub(crate) fn condition(&self, table: Table) -> Result<Expr, QueryError> {
        Ok(match table {
            Table::Agreements
            | Table::Attainment
            | Table::Credits
            | Table::Watermelons
            | Table::Breaches
            | Table::Clocks => self.filter.condition(),
            // The agreement with a supplier is another one.
            Table::Attributions => {
                let supporting = self.is_agreement("supporting_agreement", "supporting_version");
                self.filter.condition().and(col("supporting_agreement").is_null().or(supporting))
            }
            Table::Corrections => self.is_agreement("agreement", "agreement_version"),
            Table::Services | Table::Outages | Table::Transitions => is_one_of("service", &self.services),
            Table::Measures => {
                let is_theirs = col("customer").is_null().or(is_one_of("customer", &self.customers));
                is_one_of("service", &self.services).and(is_theirs)
            }
            Table::Calendars => is_one_of("calendar", &self.calendars),
            Table::Events | Table::DeadLetters | Table::Epochs => {
                return Err(not_of_some(table.name()));
            }
        })
    }

    /// Whether a column names one of the visible versions of agreements.
    fn is_agreement(&self, agreement: &str, version: &str) -> Expr {
        let of_one = |(id, versions): (&String, &BTreeSet<i32>)| {
            let versions = versions.iter().map(|version| lit(*version)).collect();
            col(agreement).eq(lit(id.as_str())).and(col(version).in_list(versions, false))
        };
        self.agreements.iter().map(of_one).reduce(Expr::or).unwrap_or(lit(false))
    }

    pub(crate) fn has_customer(&self, id: &str) -> bool {
        self.customers.contains(id)
    }

    pub(crate) fn has_service(&self, id: &str) -> bool {
        self.services.contains(id)
    }

    pub(crate) fn has_calendar(&self, id: &str) -> bool {
        self.calendars.contains(id)
    }
}

/// Why somebody who sees some agreements only is not told something.
pub(crate) fn not_of_some(what: &str) -> QueryError {
    QueryError::Refused(format!("{what} is not for those who may see the agreements of some customers only"))
}

fn is_one_of(column: &str, values: &BTreeSet<String>) -> Expr {
    if values.is_empty() {
        return lit(false);
    }
    col(column).in_list(values.iter().map(|value| lit(value.as_str())).collect(), false)
}
