//! Table `kpi_monthly`: the key performance indicators of each month (R35), by the engine, from the results that a question
//! may know and the definitions in force then.
//!
//! In: the current results. They are counted as they come, by objective and month of their agreement's zone, so that years
//! of daily results take as much memory as monthly ones. Out: a row for each indicator and month that is over everywhere,
//! and the results of which should be final: a month is looked at when its grace is over, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use chrono::{Datelike, Months, NaiveDate};
use chrono_tz::Tz;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, SessionContext, col};
use futures::TryStreamExt;
use plimsoll_engine::kpi::{At, Judged, Kpi, kpis, since};
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::{Instant, Micros};

use crate::defined::first_day;
use crate::error::QueryError;
use crate::in_force::{InForce, Set};
use crate::session::QueryService;

/// How many months there are at most.
const MONTHS_MAX: u32 = 36;

/// Months of results that the indicators of a month look back on.
const MONTHS_BACK: u32 = 12;

impl QueryService {
    /// The current results whose segment ended after an instant and not after another, as indicators take them.
    ///
    /// # Errors
    /// As `sql`.
    pub async fn judged_between(&self, after: Instant, until: Instant) -> Result<Vec<Judged>, QueryError> {
        let span = format!("segment_end > TIMESTAMP '{after}' AND segment_end <= TIMESTAMP '{until}'");
        let statement = format!("SELECT {} FROM attainment WHERE {span}", COLUMNS.join(", "));
        let mut answer = self.sql(&statement).await?;
        let mut found = Vec::new();
        while let Some(batch) = answer.try_next().await? {
            each(&batch, |judged| found.push(judged))?;
        }
        Ok(found)
    }
}

/// The columns of `attainment` that say what is judged.
const COLUMNS: [&str; 7] =
    ["agreement", "agreement_version", "service", "objective", "segment_end", "finality", "verdict"];

/// The current results.
///
/// # Errors
/// When there is no such view, which is a defect.
pub(crate) async fn results(context: &SessionContext) -> Result<DataFrame, DataFusionError> {
    context.table(TableReference::bare("attainment")).await?.select(COLUMNS.map(col).to_vec())
}

/// Counts what `results` gives, as the months want it.
///
/// # Errors
/// Those of reading it.
pub(crate) async fn count(results: DataFrame, in_force: &InForce) -> Result<Arc<[Judged]>, DataFusionError> {
    let Some(set) = &in_force.set else { return Ok(Arc::default()) };
    let mut counts = Counts::new(&set.definitions, &months(set, in_force.known_until));
    let mut rows = results.execute_stream().await?;
    while let Some(batch) = rows.try_next().await? {
        each(&batch, |judged| counts.add(judged))?;
    }
    Ok(counts.done())
}

/// Calls `take` with each row.
fn each(batch: &RecordBatch, mut take: impl FnMut(Judged)) -> Result<(), DataFusionError> {
    let text = |place: usize| datafusion::arrow::compute::cast(batch.column(place), &DataType::Utf8);
    let texts = [text(0)?, text(2)?, text(3)?, text(5)?, text(6)?];
    let [agreements, services, objectives, finalities, verdicts] =
        texts.each_ref().map(|texts| texts.as_string::<i32>());
    let versions = batch.column(1).as_primitive::<Int32Type>();
    let ends = batch.column(4).as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        let names = [agreements, services, objectives].map(|names| Arc::from(names.value(row)));
        let [agreement, service, objective] = names;
        take(Judged {
            segment_end: Instant(ends.value(row)),
            of: (agreement, versions.value(row), service, objective),
            is_final: finalities.value(row) == "final",
            is_met: Judged::said(verdicts.value(row)),
            count: 1,
        });
    }
    Ok(())
}

/// What is alike in all that the months look at.
type Alike = ((Arc<str>, i32, Arc<str>, Arc<str>), usize, bool, Option<bool>);

/// Results, counted.
struct Counts {
    /// The ends of the months, by the zone of each agreement.
    ends: HashMap<String, Arc<[Instant]>>,
    /// The end of one of their segments, and how many they are.
    of: HashMap<Alike, (Instant, i64)>,
}

impl Counts {
    fn new(definitions: &Definitions, months: &[NaiveDate]) -> Counts {
        // Those before the first month count, too, for indices that look back.
        let before =
            (1..=MONTHS_BACK + 1).rev().filter_map(|back| months.first()?.checked_sub_months(Months::new(back)));
        let months: Vec<NaiveDate> = before.chain(months.iter().copied()).collect();
        let zones: HashSet<Tz> = definitions.agreements.iter().map(|agreement| agreement.time_zone).collect();
        let ends = |zone: Tz| months.iter().map(|month| end(*month).in_zone(zone)).collect::<Arc<[Instant]>>();
        let of_zones: HashMap<Tz, Arc<[Instant]>> = zones.into_iter().map(|zone| (zone, ends(zone))).collect();
        let ends = definitions.agreements.iter().map(|agreement| {
            let ends = of_zones.get(&agreement.time_zone).cloned().unwrap_or_default();
            (agreement.id.clone(), ends)
        });
        Counts { ends: ends.collect(), of: HashMap::new() }
    }

    fn add(&mut self, one: Judged) {
        let Some(ends) = self.ends.get(&*one.of.0) else { return };
        let month = ends.partition_point(|end| *end < one.segment_end);
        if month == ends.len() {
            return;
        }
        let key = (one.of, month, one.is_final, one.is_met);
        let (_, count) = self.of.entry(key).or_insert((one.segment_end, 0));
        *count += one.count;
    }

    /// In the order of their ends.
    fn done(self) -> Arc<[Judged]> {
        let judged = self.of.into_iter().map(|((of, _, is_final, is_met), (segment_end, count))| Judged {
            segment_end,
            of,
            is_final,
            is_met,
            count,
        });
        let mut judged: Vec<Judged> = judged.collect();
        judged.sort_unstable();
        judged.into()
    }
}

/// The end of a month: the first moment of the next.
fn end(month: NaiveDate) -> At {
    At::Day(month.checked_add_months(Months::new(1)).unwrap_or(month))
}

/// The months of the table, by their first days: from that in which the first agreement began to the last that is over
/// everywhere, with its grace.
fn months(set: &Set, known_until: Option<Instant>) -> Vec<NaiveDate> {
    let agreements = &set.definitions.agreements;
    let (Some(first), Some(until)) = (first_day(set).and_then(|day| day.with_day(1)), known_until) else {
        return Vec::new();
    };
    let zones: HashSet<Tz> = agreements.iter().map(|agreement| agreement.time_zone).collect();
    let grace = set.definitions.grace();
    let is_over = |month: &NaiveDate| zones.iter().all(|zone| end(*month).in_zone(*zone) + grace <= until);
    let mut months: Vec<NaiveDate> =
        (0..).map_while(|later| first.checked_add_months(Months::new(later))).take_while(is_over).collect();
    months.drain(..months.len().saturating_sub(MONTHS_MAX as usize));
    months
}

/// Those of the results, in the order of their ends, that may matter at the end of a month.
fn of_span(judged: &[Judged], month: NaiveDate) -> &[Judged] {
    let from = judged.partition_point(|one| one.segment_end <= since(end(month)));
    // Wherever it ends, it has ended two days later.
    let until = end(month).in_zone(Tz::UTC) + Micros(2 * Micros::DAY.0);
    &judged[from..judged.partition_point(|one| one.segment_end <= until).max(from)]
}

/// The columns of the table.
pub(crate) fn columns(set: &Set, in_force: &InForce) -> Vec<ArrayRef> {
    let judged = &in_force.judged;
    let of_month = |month: NaiveDate| {
        let found = kpis(&set.definitions, of_span(judged, month), Micros(0), end(month));
        found.into_iter().map(move |kpi| (month, kpi))
    };
    let rows: Vec<(NaiveDate, Kpi)> = months(set, in_force.known_until).into_iter().flat_map(of_month).collect();
    let ratios = rows.iter().map(|(_, kpi)| kpi.ratio.map(|ratio| i128::from(ratio.0)));
    vec![
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|(month, _)| Date32Type::from_naive_date(*month)))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, kpi)| kpi.name))),
        Arc::new(rows.iter().map(|(_, kpi)| kpi.span_months.map(i64::from)).collect::<Int64Array>()),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, kpi)| kpi.part_count))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, kpi)| kpi.whole_count))),
        Arc::new(ratios.collect::<Decimal128Array>().with_data_type(RATIO)),
    ]
}

/// A ratio as the tables have it.
pub(crate) const RATIO: DataType = DataType::Decimal128(18, 9);

#[cfg(test)]
mod tests {
    use plimsoll_schemas::definition::{File, load};
    use proptest::prelude::*;

    use super::*;

    /// Agreements in three zones.
    fn definitions() -> Definitions {
        let agreement = |(id, zone): (&str, &str)| {
            format!(
                "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: {id}}}\nspec:\n  type: ola\n  services: [web]\n  \
                 effective: {{from: 2025-01-01}}\n  time_zone: {zone}\n  objectives:\n    - {{id: uptime, indicator: \
                 {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: day}}, weight: 3}}\n"
            )
        };
        let zones = [("berlin", "Europe/Berlin"), ("york", "America/New_York"), ("kiritimati", "Pacific/Kiritimati")];
        let text = format!(
            "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n{}",
            zones.map(agreement).concat()
        );
        let definitions = load(&[File { name: "all.yaml", text: &text }]).expect("definitions");
        assert_eq!(definitions.agreements.len(), 3);
        definitions
    }

    proptest! {
        #[test]
        fn r35_results_may_be_counted_before_they_are_looked_at(
            results in prop::collection::vec((0..4_usize, 1..3_i32, 0..3_usize, 0..20_000_i64, any::<bool>(), 0..3_usize), 0..80),
        ) {
            let definitions = definitions();
            let first = NaiveDate::from_ymd_opt(2025, 1, 1).expect("a day");
            let months: Vec<NaiveDate> = (0..24).map(|later| first + Months::new(later)).collect();
            // Ends by the hour from September 2024 on, and some at the very end of a month, or just after it.
            let start = Instant::parse("2024-09-01").expect("an instant");
            let judged: Vec<Judged> = results.iter().map(|(agreement, version, objective, hour, is_final, said)| {
                let zone = chrono_tz::Europe::Berlin;
                let edge = end(months[*hour as usize % 24]).in_zone(zone);
                let segment_end = match hour % 5 {
                    0 => edge,
                    1 => edge + Micros(1),
                    _ => start + Micros(hour * Micros::HOUR.0),
                };
                Judged {
                    segment_end,
                    of: (["berlin", "york", "kiritimati", "gone"][*agreement].into(), *version, "web".into(), format!("o{objective}").into()),
                    is_final: *is_final,
                    is_met: [None, Some(true), Some(false)][*said],
                    count: 1,
                }
            }).collect();
            let mut counts = Counts::new(&definitions, &months);
            judged.iter().cloned().for_each(|one| counts.add(one));
            let counted = counts.done();
            for month in months {
                let plainly = kpis(&definitions, &judged, Micros(0), end(month));
                prop_assert_eq!(kpis(&definitions, &counted, Micros(0), end(month)), plainly.clone(), "{}", month);
                prop_assert_eq!(kpis(&definitions, of_span(&counted, month), Micros(0), end(month)), plainly, "{}", month);
            }
        }
    }
}
