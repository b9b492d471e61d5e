//! Tables that say what definitions say: `customers`, `calendar_days` and, with what results say, `kpi_monthly`. Nothing of
//! them is stored; they are made of the definitions in force when a question is asked, which `bind` puts into its plan.

use std::sync::Arc;

use arrow_array::types::Date32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{Datelike, NaiveDate, NaiveTime};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::{TableType, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use plimsoll_engine::kpi::Kpi;
use plimsoll_schemas::Instant;
use plimsoll_schemas::civil::{instant_of_local, local_of_instant};
use plimsoll_schemas::definition;
use plimsoll_schemas::event::timestamp_type;

use crate::error::QueryError;
use crate::in_force::{InForce, Set};
use crate::known::scan_of;
use crate::kpi;

/// A table: its name, what a row is, and its columns with what they mean.
#[derive(Debug)]
pub(crate) struct Defined {
    pub(crate) name: &'static str,
    pub(crate) comment: &'static str,
    columns: &'static [(&'static str, Of, &'static str)],
    /// Whether it is made of results, too.
    is_of_results: bool,
    rows: fn(&Set, &InForce) -> Vec<ArrayRef>,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Text,
    /// Text that may be null.
    Perhaps,
    Date,
    Time,
    Long,
    PerhapsLong,
    PerhapsRatio,
    Truth,
}

/// How many years of days there are at most before this one.
const YEARS_BACK: i32 = 10;

/// All of them.
pub(crate) static DEFINED: [Defined; 3] = [
    Defined {
        name: "customers",
        comment: "one customer, as defined",
        columns: &[("customer", Of::Text, "id of the customer"), ("name", Of::Text, "its name for people")],
        is_of_results: false,
        rows: customers,
    },
    Defined {
        name: "calendar_days",
        comment: "one civil day of a calendar, of ten years back and the next at most (R1)",
        columns: &[
            ("calendar", Of::Text, "id of the calendar"),
            ("date", Of::Date, "the civil day, in the time zone of the calendar"),
            ("time_zone", Of::Text, "zone of its civil times"),
            ("day_start", Of::Time, "first instant of the day, UTC"),
            ("day_end", Of::Time, "first instant after it, UTC"),
            ("agreed_us", Of::Long, "agreed time within the day, in microseconds"),
            ("is_holiday", Of::Truth, "whether it is a holiday, on which no hours begin"),
            ("holiday", Of::Perhaps, "name of the holiday; null where it has none"),
        ],
        is_of_results: false,
        rows: calendar_days,
    },
    Defined {
        name: "kpi_monthly",
        comment: "one key performance indicator at the end of a month, of three years back at most (R35)",
        columns: &[
            ("month", Of::Date, "first day of the civil month, which each agreement has in its own zone"),
            ("kpi", Of::Text, "name of the indicator"),
            (
                "span_months",
                Of::PerhapsLong,
                "months that it looks back; null where it is of the end of the month alone",
            ),
            ("part_count", Of::Long, "how many are so; of the service quality index, results that were met"),
            ("whole_count", Of::Long, "of how many; of the service quality index, results that say something"),
            ("ratio", Of::PerhapsRatio, "the share, rounded down; null of nothing"),
        ],
        is_of_results: true,
        rows: kpi::columns,
    },
];

impl Defined {
    /// The words that may stand in a text column; `None` where any text may.
    pub(crate) fn words(&self, column: &str) -> Option<&'static [&'static str]> {
        (self.is_of_results && column == "kpi").then_some(&Kpi::NAMES)
    }

    fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|(name, of, _)| {
            let (data_type, nullable) = match of {
                Of::Text => (DataType::Utf8, false),
                Of::Perhaps => (DataType::Utf8, true),
                Of::Date => (DataType::Date32, false),
                Of::Time => (timestamp_type(), false),
                Of::Long => (DataType::Int64, false),
                Of::PerhapsLong => (DataType::Int64, true),
                Of::PerhapsRatio => (kpi::RATIO, true),
                Of::Truth => (DataType::Boolean, false),
            };
            Field::new(*name, data_type, nullable)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// What a column means.
    pub(crate) fn comment_of(&self, column: &str) -> Option<&'static str> {
        self.columns.iter().find(|(name, ..)| *name == column).map(|(.., comment)| *comment)
    }
}

/// Registers the tables in a session.
///
/// # Errors
/// When one is there, which is a defect.
pub(crate) fn register(context: &SessionContext) -> Result<(), DataFusionError> {
    for table in &DEFINED {
        context.register_table(TableReference::bare(table.name), Arc::new(Unbound(table)))?;
    }
    Ok(())
}

/// A table of which it is not known yet under which definitions it is asked for.
#[derive(Debug)]
struct Unbound(&'static Defined);

#[async_trait]
impl TableProvider for Unbound {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Err(QueryError::Internal(format!("{} was to be read before it was known when", self.0.name)).into())
    }
}

/// Whether a plan reads tables that have to be bound.
pub(crate) fn are_in(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    has(plan, |_| true)
}

/// Whether it reads tables that are made of results, too.
pub(crate) fn asks_results(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    has(plan, |table| table.is_of_results)
}

fn has(plan: &LogicalPlan, such: impl Fn(&Defined) -> bool) -> Result<bool, DataFusionError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= unbound(node).is_some_and(&such);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The same plan, whose tables say what holds.
pub(crate) fn bind(plan: LogicalPlan, in_force: &InForce) -> Result<LogicalPlan, DataFusionError> {
    let bound = |node: LogicalPlan| match (unbound(&node), &node) {
        (Some(table), LogicalPlan::TableScan(scan)) => Ok(Transformed::yes(scan_of(scan, table_of(table, in_force)?))),
        _ => Ok(Transformed::no(node)),
    };
    Ok(plan.transform_up_with_subqueries(bound)?.data)
}

fn unbound(node: &LogicalPlan) -> Option<&'static Defined> {
    let LogicalPlan::TableScan(scan) = node else { return None };
    source_as_provider(&scan.source).ok()?.downcast_ref::<Unbound>().map(|unbound| unbound.0)
}

/// The table, made once for all that are asked while the same holds by those who see all of it.
fn table_of(table: &'static Defined, in_force: &InForce) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let make = || -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let rows = in_force.set.as_ref().map(|set| (table.rows)(set, in_force));
        let rows = rows.map(|rows| RecordBatch::try_new(table.schema(), rows)).transpose()?;
        Ok(Arc::new(MemTable::try_new(table.schema(), vec![rows.into_iter().collect()])?))
    };
    match &in_force.set {
        Some(set) if in_force.visible.is_none() && !table.is_of_results => {
            set.made.get_or_make((table.name, last_year(set, in_force.known_until)), make)
        }
        _ => make(),
    }
}

fn customers(set: &Set, in_force: &InForce) -> Vec<ArrayRef> {
    let customers = || set.definitions.customers.values().filter(|customer| in_force.sees_customer(&customer.id));
    vec![
        Arc::new(StringArray::from_iter_values(customers().map(|customer| &customer.id))),
        Arc::new(StringArray::from_iter_values(customers().map(|customer| &customer.name))),
    ]
}

/// One civil day of one calendar.
struct Day<'a> {
    calendar: &'a str,
    version: &'a definition::Calendar,
    date: NaiveDate,
    edges: (Instant, Instant),
}

fn calendar_days(set: &Set, in_force: &InForce) -> Vec<ArrayRef> {
    let Some(last) = last_year(set, in_force.known_until) else { return columns(set, &[]) };
    let first = first_day(set).map_or(last - 1, |first| first.year()).max(last - 1 - YEARS_BACK);
    let (first, last) = (NaiveDate::from_ymd_opt(first, 1, 1), NaiveDate::from_ymd_opt(last, 12, 31));
    let dates =
        move || first.into_iter().flat_map(move |first| first.iter_days().take_while(move |date| Some(*date) <= last));
    let days: Vec<Day<'_>> = set
        .definitions
        .calendars
        .iter()
        .filter(|(calendar, _)| in_force.sees_calendar(calendar))
        .flat_map(|(calendar, versions)| dates().filter_map(move |date| day(calendar, versions, date)))
        .collect();
    columns(set, &days)
}

/// The first day of the first agreement.
pub(crate) fn first_day(set: &Set) -> Option<NaiveDate> {
    set.definitions.agreements.iter().map(|agreement| agreement.effective_from).min()
}

/// The year after that until which everything is known.
fn last_year(set: &Set, known_until: Option<Instant>) -> Option<i32> {
    let now = known_until.map(|instant| local_of_instant(chrono_tz::UTC, instant).date());
    Some(now.or_else(|| first_day(set))?.year() + 1)
}

fn day<'a>(calendar: &'a str, versions: &'a [definition::Calendar], date: NaiveDate) -> Option<Day<'a>> {
    let version = versions.iter().find(|version| {
        version.effective_from.is_none_or(|from| from <= date)
            && version.effective_until.is_none_or(|until| date < until)
    })?;
    let edge = |date: NaiveDate| instant_of_local(version.time_zone, date.and_time(NaiveTime::MIN));
    Some(Day { calendar, version, date, edges: (edge(date), edge(date.succ_opt()?)) })
}

/// The name of the holiday that a day is, which may be empty; days with hours of their own are none.
fn holiday<'a>(day: &Day<'a>) -> Option<&'a str> {
    let version = day.version;
    version.holidays.get(&day.date).filter(|_| !version.exceptions.contains_key(&day.date)).map(String::as_str)
}

fn columns(set: &Set, days: &[Day<'_>]) -> Vec<ArrayRef> {
    let edges = |edge: fn(&Day<'_>) -> Instant| -> ArrayRef {
        let edges = TimestampMicrosecondArray::from_iter_values(days.iter().map(|day| edge(day).0));
        Arc::new(edges.with_timezone("UTC"))
    };
    let agreed =
        days.iter().map(|day| set.calendar(day.calendar).map_or(0, |of| of.elapsed(day.edges.0, day.edges.1).0));
    let holidays: Vec<Option<&str>> = days.iter().map(holiday).collect();
    let names = holidays.iter().map(|holiday| holiday.filter(|name| !name.is_empty()));
    vec![
        Arc::new(StringArray::from_iter_values(days.iter().map(|day| day.calendar))),
        Arc::new(Date32Array::from_iter_values(days.iter().map(|day| Date32Type::from_naive_date(day.date)))),
        Arc::new(StringArray::from_iter_values(days.iter().map(|day| day.version.time_zone.name()))),
        edges(|day| day.edges.0),
        edges(|day| day.edges.1),
        Arc::new(Int64Array::from_iter_values(agreed)),
        Arc::new(holidays.iter().map(|holiday| Some(holiday.is_some())).collect::<BooleanArray>()),
        Arc::new(names.collect::<StringArray>()),
    ]
}
