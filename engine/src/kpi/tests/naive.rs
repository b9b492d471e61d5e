//! A second, naive computation of every indicator, by plain loops over agreements, results and days (R35).

use chrono::{Datelike, Duration, NaiveDateTime, TimeZone};
use proptest::prelude::*;

use super::*;

/// What is random of an agreement: its days in force, whom it covers, and how it is looked after. Days are counted from
/// 2024-01-01.
#[derive(Clone, Debug)]
struct Promise {
    zone: Tz,
    from: i64,
    /// The day of the second version, if there is one, and the first day that is not in force.
    second: Option<i64>,
    until: i64,
    service: usize,
    review: Option<(u32, Option<i64>)>,
    reports: Option<(u32, Option<i64>)>,
    improvements: Vec<(i64, Option<i64>)>,
    weights: [i64; 2],
}

const ZONES: [Tz; 3] = [Tz::UTC, Tz::America__New_York, Tz::Pacific__Auckland];
const SERVICES: usize = 5;
const VERDICTS: [&str; 5] = ["met", "breached", "at_risk", "no_data", "insufficient_data"];

fn day(number: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 1, 1).expect("a day") + Duration::days(number)
}

fn due() -> impl Strategy<Value = Option<(u32, Option<i64>)>> {
    prop::option::of((1..14_u32, prop::option::of(0..1_100_i64)))
}

prop_compose! {
    fn promise()(
        zone in prop::sample::select(ZONES.to_vec()),
        from in 0..900_i64,
        lengths in (1..300_i64, 1..300_i64),
        has_second in any::<bool>(),
        service in 0..SERVICES,
        review in due(),
        reports in due(),
        improvements in prop::collection::vec((0..1_100_i64, prop::option::of(0..400_i64)), 0..5),
        weights in prop::array::uniform2(1..9_i64),
    ) -> Promise {
        let second = has_second.then_some(from + lengths.0);
        let until = from + lengths.0 + lengths.1;
        let improvements = improvements.into_iter().map(|(opened, took)| (opened, took.map(|took| opened + took)));
        let improvements = improvements.collect();
        Promise { zone, from, second, until, service, review, reports, improvements, weights }
    }
}

impl Promise {
    fn definition(&self, number: usize, version: usize, from: i64, until: i64) -> String {
        let due = |name: &str, due: Option<(u32, Option<i64>)>| {
            let Some((months, last)) = due else { return String::new() };
            let last = last.map_or(String::new(), |last| format!(", last: {}", day(last)));
            format!("  {name}: {{every: {months} months{last}}}\n")
        };
        let improvement = |(opened, closed): &(i64, Option<i64>)| {
            let closed = closed.map_or(String::new(), |closed| format!(", closed: {}", day(closed)));
            format!("{{name: better, opened: {}{closed}}}", day(*opened))
        };
        let improvements: Vec<String> = self.improvements.iter().map(improvement).collect();
        let objectives = self.weights.iter().enumerate().map(|(number, weight)| {
            format!(
                "    - {{id: o{number}, indicator: {{signal: availability}}, target: {{at_least: 99 %}}, window: {{calendar: \
                 day}}, weight: {weight}}}\n"
            )
        });
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: a{number}, version: {version}}}\nspec:\n  type: \
             ola\n  services: [s{}]\n  time_zone: {}\n  effective: {{from: {}, until: {}}}\n{}{}  improvements: [{}]\n  \
             objectives:\n{}",
            self.service,
            self.zone,
            day(from),
            day(until),
            due("review", self.review),
            due("reports", self.reports),
            improvements.join(", "),
            objectives.collect::<String>()
        )
    }

    fn definitions(&self, number: usize) -> String {
        match self.second {
            None => self.definition(number, 1, self.from, self.until),
            Some(second) => {
                self.definition(number, 1, self.from, second) + &self.definition(number, 2, second, self.until)
            }
        }
    }

    fn is_in_force(&self, today: NaiveDate) -> bool {
        day(self.from) <= today && today < day(self.until)
    }
}

fn load_all(promises: &[Promise]) -> Definitions {
    let services = (0..SERVICES)
        .map(|number| format!("---\n{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: s{number}}}}}\n"));
    let agreements = promises.iter().enumerate().map(|(number, promise)| promise.definitions(number));
    let text: String = services.chain(agreements).collect();
    definitions_of(&text)
}

/// So many months later or earlier: the same day of the month, or the last one where it has no such day.
fn months_later(day: NaiveDate, months: i32) -> NaiveDate {
    let (mut year, mut month) = (day.year(), day.month() as i32 + months);
    while month > 12 {
        (year, month) = (year + 1, month - 12);
    }
    while month < 1 {
        (year, month) = (year - 1, month + 12);
    }
    let exists = |of_month: u32| NaiveDate::from_ymd_opt(year, month as u32, of_month);
    (1..=day.day()).rev().find_map(exists).expect("every month has a first day")
}

/// What clocks show, and the instant at which they show it; what they skip is as much later.
fn shown(zone: Tz, at: Instant) -> NaiveDateTime {
    zone.timestamp_micros(at.0).single().expect("an instant").naive_local()
}

fn instant_of(zone: Tz, shown: NaiveDateTime) -> Instant {
    let at = zone.from_local_datetime(&shown).earliest();
    let at = at.or_else(|| zone.from_local_datetime(&(shown + Duration::hours(1))).earliest());
    Instant(at.expect("no clock skips two hours").timestamp_micros())
}

/// A result of agreement, version, objective and service by their numbers, which ended so many hours after 2024-01-01 UTC.
type Row = (usize, i32, usize, usize, i64, bool, usize);

fn row_of(&(agreement, version, objective, service, hour, is_final, verdict): &Row) -> AttainmentRow {
    let end =
        Instant(day(0).and_hms_opt(0, 0, 0).expect("midnight").and_utc().timestamp_micros() + hour * Micros::HOUR.0);
    AttainmentRow {
        agreement: format!("a{agreement}").into(),
        agreement_version: version,
        objective: format!("o{objective}").into(),
        service: format!("s{service}").into(),
        window_start: end - Micros::DAY,
        window_end: end,
        segment_start: end - Micros::DAY,
        segment_end: end,
        finality: if is_final { "final" } else { "provisional" }.into(),
        verdict: VERDICTS[verdict].into(),
        ..AttainmentRow::default()
    }
}

/// An indicator as name, months, part, whole, and the ratio in billionths; -1 for none.
type Told = (&'static str, u32, i64, i64, i64);

fn ratio(part: i64, whole: i64) -> i64 {
    if whole == 0 { -1 } else { (i128::from(part) * 1_000_000_000 / i128::from(whole)) as i64 }
}

fn expected(promises: &[Promise], results: &[Row], grace: Micros, t: Instant) -> Vec<Told> {
    let rows: Vec<AttainmentRow> = results.iter().map(row_of).collect();
    let in_span = |number: usize, row: usize, months: i32| {
        let promise = &promises[number];
        let now = shown(promise.zone, t);
        let start = instant_of(promise.zone, months_later(now.date(), -months).and_time(now.time()));
        results[row].0 == number && start < rows[row].segment_end && rows[row].segment_end <= t
    };
    let says = |row: usize| ["met", "breached"].contains(&&*rows[row].verdict);
    let (mut measured, mut breached, mut overdue, mut reported) = ((0, 0), (0, 0), (0, 0), (0, 0));
    for (number, promise) in promises.iter().enumerate() {
        let today = shown(promise.zone, t).date();
        if !promise.is_in_force(today) {
            continue;
        }
        let of_month: Vec<usize> = (0..rows.len()).filter(|row| in_span(number, *row, 1)).collect();
        let due: Vec<usize> = of_month.iter().copied().filter(|row| rows[*row].segment_end + grace <= t).collect();
        if !due.is_empty() {
            measured.1 += 1;
            measured.0 += i64::from(due.iter().all(|row| results[*row].5 && says(*row)));
        }
        let telling: Vec<usize> = of_month.into_iter().filter(|row| says(*row)).collect();
        if !telling.is_empty() {
            breached.1 += 1;
            breached.0 += i64::from(telling.iter().any(|row| &*rows[*row].verdict == "breached"));
        }
        // Day by day back from today to the newest that counts.
        let newest = |days: &[Option<NaiveDate>]| days.iter().flatten().filter(|day| **day <= today).max().copied();
        if let Some((months, last)) = promise.review {
            let last = newest(&[last.map(day), Some(day(promise.from))]).expect("its first day");
            overdue.1 += 1;
            overdue.0 += i64::from(months_later(last, months as i32) < today);
        }
        if let Some((months, last)) = promise.reports {
            let is_recent = newest(&[last.map(day)]).is_some_and(|last| today <= months_later(last, months as i32));
            reported.1 += 1;
            reported.0 += i64::from(is_recent);
        }
    }
    let is_covered = |service: usize| {
        promises.iter().any(|promise| promise.service == service && promise.is_in_force(shown(promise.zone, t).date()))
    };
    let without = (0..SERVICES).filter(|service| !is_covered(*service)).count() as i64;
    let share = |name, months, (part, whole): (i64, i64)| (name, months, part, whole, ratio(part, whole));
    let mut told = vec![
        share("measured_in_time", 1, measured),
        share("breached", 1, breached),
        share("overdue_for_review", 0, overdue),
        share("reported", 0, reported),
        share("without_targets", 0, (without, SERVICES as i64)),
    ];
    told.extend([3, 12].map(|months| {
        let says = |row: usize| says(row).then_some(row);
        let in_span = |number: usize| {
            (0..rows.len()).filter(|row| in_span(number, *row, months)).filter_map(says).collect::<Vec<_>>()
        };
        service_quality_index(promises, results, months as u32, in_span)
    }));
    told.extend([3, 12].map(|months| {
        let (part, whole) = improvements(promises, t, months);
        share("improvement_productivity", months as u32, (part, whole))
    }));
    told
}

/// Objective by objective, each for each service, of the results of a span that say something.
fn service_quality_index(
    promises: &[Promise],
    results: &[Row],
    months: u32,
    in_span: impl Fn(usize) -> Vec<usize>,
) -> Told {
    let (mut met, mut all, mut quality, mut weights) = (0, 0, 0_i128, 0_i128);
    for (number, promise) in promises.iter().enumerate() {
        let of_agreement = in_span(number);
        for version in 1..=3 {
            for objective in 0..3 {
                for service in 0..SERVICES {
                    let is_of = |row: &&usize| {
                        let (_, of_version, of_objective, of_service, ..) = results[**row];
                        (of_version, of_objective, of_service) == (version, objective, service)
                    };
                    let of_it: Vec<&usize> = of_agreement.iter().filter(is_of).collect();
                    if of_it.is_empty() {
                        continue;
                    }
                    let good = of_it.iter().filter(|row| VERDICTS[results[***row].6] == "met").count() as i64;
                    let is_defined = version == 1 || (version == 2 && promise.second.is_some());
                    let weight = promise.weights.get(objective).copied().filter(|_| is_defined).unwrap_or(1);
                    (met, all) = (met + good, all + of_it.len() as i64);
                    quality += i128::from(weight) * i128::from(ratio(good, of_it.len() as i64));
                    weights += i128::from(weight);
                }
            }
        }
    }
    let index = if weights == 0 { -1 } else { (quality / weights) as i64 };
    ("service_quality_index", months, met, all, index)
}

/// (N + C, O + C) of the improvements of what is in force.
fn improvements(promises: &[Promise], t: Instant, months: i32) -> (i64, i64) {
    let (mut new, mut closed, mut open) = (0, 0, 0);
    for promise in promises {
        let today = shown(promise.zone, t).date();
        if !promise.is_in_force(today) {
            continue;
        }
        for (opened_on, closed_on) in &promise.improvements {
            let (opened_on, closed_on) = (day(*opened_on), closed_on.map(day));
            if opened_on > today {
                continue;
            }
            let in_span = |day: NaiveDate| months_later(today, -months) < day && day <= today;
            new += i64::from(in_span(opened_on));
            closed += i64::from(closed_on.is_some_and(in_span));
            open += i64::from(closed_on.is_none_or(|closed_on| closed_on > today));
        }
    }
    (new + closed, open + closed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn r35_indicators_agree_with_plain_loops(
        promises in prop::collection::vec(promise(), 1..5),
        results in prop::collection::vec(
            (0..5_usize, 1..4_i32, 0..3_usize, 0..SERVICES, 0..30_000_i64, any::<bool>(), 0..VERDICTS.len()), 0..60,
        ),
        hour in 0..30_000_i64,
        grace in 0..50_i64,
        near in any::<bool>(),
    ) {
        // Half of the worlds look at what has just happened, for what is scattered over years is seldom within a month.
        let hours = |mut result: Row| {
            if near {
                result.4 = hour - result.4 % 2_400;
            }
            result
        };
        let results: Vec<Row> = results.into_iter().map(hours).filter(|result| result.4 >= 0).collect();
        let t = row_of(&(0, 1, 0, 0, hour, true, 0)).segment_end;
        let grace = Micros(grace * Micros::HOUR.0);
        let rows: Vec<AttainmentRow> = results.iter().map(row_of).collect();
        let judged: Vec<Judged> = rows.iter().map(Judged::from).collect();
        let told = |results: &[Judged]| -> Vec<Told> {
            kpis(&load_all(&promises), results, grace, At::Instant(t)).iter().map(|kpi| {
                let ratio = kpi.ratio.map_or(-1, |ratio| ratio.0);
                (kpi.name, kpi.span_months.unwrap_or(0), kpi.part_count, kpi.whole_count, ratio)
            }).collect()
        };
        prop_assert_eq!(told(&judged), expected(&promises, &results, grace, t));
        // Results that are alike may be counted before.
        let mut counted: BTreeMap<Judged, i64> = BTreeMap::new();
        for one in judged {
            *counted.entry(one).or_default() += 1;
        }
        let counted: Vec<Judged> = counted.into_iter().map(|(one, count)| Judged { count, ..one }).collect();
        prop_assert_eq!(told(&counted), expected(&promises, &results, grace, t));
    }
}
