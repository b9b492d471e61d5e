//! Credits against hand calculations, published ladders and laws.

use plimsoll_schemas::definition::{CreditRule, YearMax};
use plimsoll_schemas::{Instant, Micros};
use proptest::prelude::*;

use super::*;
use crate::portfolio::tests::portfolio_of;
use crate::verdict::{Measured, judge};

const DAY: i64 = Micros::DAY.0;

fn terms(charge: Charge, rule: CreditRule) -> CreditTerms {
    CreditTerms { rule, currency: "EUR".to_owned(), charge }
}

/// A month of 30 days that begins with this day, in force for these days of it.
fn month(first: i64, in_force: std::ops::Range<i64>) -> (WindowOfVersion, Window) {
    let days = |days: std::ops::Range<i64>| Window { start: Instant(days.start * DAY), end: Instant(days.end * DAY) };
    (WindowOfVersion { window: days(first..first + 30), version: 1 }, days(in_force))
}

/// One service `web` whose ladders say these shares in percent.
fn missed(segment: Window, months: i64, percents: &[i64]) -> Missed {
    let reached = |percent: &i64| Reached { share: Share(percent * 10_000_000), is_final: true };
    let ladders = percents
        .iter()
        .enumerate()
        .map(|(number, percent)| (("web".into(), format!("o{number}").as_str().into()), reached(percent)));
    Missed { segment, months, ladders: ladders.collect() }
}

/// The credit of one whole month.
fn of_month(terms: &CreditTerms, percents: &[i64]) -> Credit {
    let (place, segment) = month(0, 0..30);
    let found = credits(&[(place, missed(segment, 1, percents))].into(), |_| Some((terms, Tz::UTC)));
    *found.values().next().expect("one credit")
}

fn amount(terms: &CreditTerms, percents: &[i64]) -> (i64, Option<Limit>) {
    let Credit { amount, limited_by, .. } = of_month(terms, percents);
    (amount, limited_by)
}

#[test]
fn r34_several_credits_add_up_or_the_largest_is_given() {
    let combined =
        |combine| terms(Charge::AllServices(120_000), CreditRule { combine: Some(combine), ..CreditRule::DEFAULT });
    // 10 % and 25 % of 1,200.00.
    assert_eq!(amount(&combined(Combine::Sum), &[10, 25, 0]), (42_000, None));
    assert_eq!(amount(&combined(Combine::Largest), &[10, 25, 0]), (30_000, None));
    // Nobody gets back more than was charged, and half of it at most where that was said.
    assert_eq!(amount(&combined(Combine::Sum), &[60, 60]), (120_000, Some(Limit::Window)));
    let mut half = combined(Combine::Sum);
    half.rule.window_max = Share(500_000_000);
    assert_eq!(amount(&half, &[30, 20]), (60_000, None));
    assert_eq!(amount(&half, &[30, 25]), (60_000, Some(Limit::Window)));
}

#[test]
fn r34_a_fraction_of_a_cent_is_rounded_as_declared() {
    // 10 % of 0.15 are 1.5 cents, of 0.25 are 2.5 and of 0.26 are 2.6; of 0.21 they are 2.1, of 0.20 they are 2.
    for (rounding, of_15, of_25, of_26, of_21) in [
        (Rounding::HalfUp, 2, 3, 3, 2),
        (Rounding::HalfEven, 2, 2, 3, 2),
        (Rounding::HalfDown, 1, 2, 3, 2),
        (Rounding::Up, 2, 3, 3, 3),
        (Rounding::Down, 1, 2, 2, 2),
    ] {
        let credit = |charge| {
            let rule = CreditRule { rounding, ..CreditRule::DEFAULT };
            amount(&terms(Charge::AllServices(charge), rule), &[10]).0
        };
        assert_eq!([credit(15), credit(25), credit(26), credit(21)], [of_15, of_25, of_26, of_21], "{rounding:?}");
        assert_eq!(credit(20), 2, "{rounding:?}");
    }
    // A limit holds to the cent: half of 0.15 are 7.5 cents, and 8 would be more than half.
    let rule = CreditRule { rounding: Rounding::Up, window_max: Share(500_000_000), ..CreditRule::DEFAULT };
    assert_eq!(amount(&terms(Charge::AllServices(15), rule), &[50]), (7, Some(Limit::Window)));
}

#[test]
fn r34_a_clipped_window_counts_by_its_time_or_whole() {
    let (place, segment) = month(0, 20..30);
    for (clipped, charge, given) in [(Clipped::ProRata, 40_000, 4_000), (Clipped::Whole, 120_000, 12_000)] {
        let terms = terms(Charge::AllServices(120_000), CreditRule { clipped, ..CreditRule::DEFAULT });
        let found = credits(&[(place, missed(segment, 1, &[10]))].into(), |_| Some((&terms, Tz::UTC)));
        // Ten of thirty days are a third of 1,200.00.
        let credit = found[&(place, None)];
        assert_eq!((credit.charge, credit.amount), (charge, given), "{clipped:?}");
    }
    // A quarter comes to three monthly charges.
    let terms = terms(Charge::AllServices(120_000), CreditRule::DEFAULT);
    let found = credits(&[(place, missed(place.window, 3, &[10]))].into(), |_| Some((&terms, Tz::UTC)));
    assert_eq!(found[&(place, None)].amount, 36_000);
}

#[test]
fn r34_each_service_has_credits_of_its_own() {
    let charge = Charge::EachService([("mail".to_owned(), 5_000), ("web".to_owned(), 10_000)].into());
    let terms = terms(charge, CreditRule::DEFAULT);
    let (place, segment) = month(0, 0..30);
    let mut missed = missed(segment, 1, &[10]);
    let provisional = Reached { share: Share(250_000_000), is_final: false };
    missed.ladders.insert(("mail".into(), "o0".into()), provisional);
    let found = credits(&[(place, missed)].into(), |_| Some((&terms, Tz::UTC)));
    let told = |service: &str| {
        let credit = found[&(place, Some(service.into()))];
        (credit.amount, credit.is_final)
    };
    // 25 % of 50.00 and 10 % of 100.00.
    assert_eq!((told("mail"), told("web")), ((1_250, false), (1_000, true)));
    assert_eq!(found.len(), 2);
}

#[test]
fn r34_a_years_limit_is_taken_up_in_the_order_in_which_windows_end() {
    // 1970 begins with day 0. Twelve times 100.00 are 1,200.00, of which 5 % are 60.00.
    let year_max = Some(YearMax { share: Share(50_000_000), first_month: 1 });
    let terms = terms(Charge::AllServices(10_000), CreditRule { year_max, ..CreditRule::DEFAULT });
    let of = |first: i64, percent| {
        let (place, segment) = month(first, first..first + 30);
        (place, missed(segment, 1, &[percent]))
    };
    let given = |windows: &[(WindowOfVersion, Missed)]| {
        let found = credits(&windows.iter().cloned().collect(), |_| Some((&terms, Tz::UTC)));
        found.values().map(|credit| (credit.amount, credit.limited_by)).collect::<Vec<_>>()
    };
    let year = Some(Limit::Year);
    assert_eq!(
        given(&[of(0, 25), of(30, 25), of(60, 25), of(90, 25), of(365, 25)]),
        [(2_500, None), (2_500, None), (1_000, year), (0, year), (2_500, None)]
    );
    // The first month turns out to be worse: what it takes, the others lose.
    assert_eq!(given(&[of(0, 50), of(30, 25), of(60, 25)]), [(5_000, None), (1_000, year), (0, year)]);
    // What is just left is not limited.
    assert_eq!(given(&[of(0, 50), of(30, 10)]), [(5_000, None), (1_000, None)]);
    assert_eq!([Limit::Window, Limit::Year].map(Limit::as_str), ["window", "year"]);
}

/// The last month of a version, its zone, and the limit of its year in percent with the month with which it begins.
type Version = (i64, Tz, Option<(i64, u32)>);

/// What is given back for months of 2026 that each miss half of 1,000.00, by the versions of an agreement.
fn of_versions(versions: &[Version]) -> Vec<(i64, Option<Limit>)> {
    let of_version = |version: u32| &versions[version as usize - 1];
    let all_terms: Vec<CreditTerms> = versions
        .iter()
        .map(|(_, _, limit)| {
            let year_max =
                limit.map(|(percent, first_month)| YearMax { share: Share(percent * 10_000_000), first_month });
            terms(Charge::AllServices(100_000), CreditRule { year_max, ..CreditRule::DEFAULT })
        })
        .collect();
    let last = versions[versions.len() - 1].0;
    let months = (1..=last).map(|month| {
        let version = 1 + versions.iter().position(|(last, ..)| month <= *last).expect("a version") as u32;
        let noon = Instant::parse_rfc3339(&format!("2026-{month:02}-10T12:00:00Z")).expect("an instant");
        let window = window_containing(WindowKind::Month, of_version(version).1, noon);
        (WindowOfVersion { window, version }, missed(window, 1, &[50]))
    });
    let found = credits(&months.collect(), |version| Some((&all_terms[version as usize - 1], of_version(version).1)));
    found.values().map(|credit| (credit.amount, credit.limited_by)).collect()
}

#[test]
fn r34_versions_share_the_limit_of_a_year() {
    // Twelve times 1,000.00 are 12,000.00, of which 10 % are 1,200.00: two months and 200.00.
    let (limit, year) = (Some((10, 1)), Some(Limit::Year));
    let expected = [(50_000, None), (50_000, None), (20_000, year), (0, year), (0, year), (0, year)];
    for zone in [Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Pacific__Auckland] {
        assert_eq!(of_versions(&[(3, Tz::UTC, limit), (6, zone, limit)]), expected, "{zone}");
    }
    // The first had no limit, so it gave 1,500.00; of the second's 1,200.00 nothing is left.
    let free = [(50_000, None), (50_000, None), (50_000, None), (0, year), (0, year), (0, year)];
    assert_eq!(of_versions(&[(3, Tz::UTC, None), (6, Tz::UTC, limit)]), free);
    // A year that begins with February holds 1,000.00 of it, one that begins with April nothing.
    let later = |first_month| of_versions(&[(3, Tz::UTC, None), (6, Tz::UTC, Some((10, first_month)))])[3..].to_vec();
    assert_eq!(later(2), [(20_000, year), (0, year), (0, year)]);
    assert_eq!(later(4), [(50_000, None), (50_000, None), (20_000, year)]);
}

/// The share in billionths that the ladder of the only objective gives back.
fn ladder(objective: &str, measured: &Measured) -> i64 {
    let text = format!(
        "{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\n{{apiVersion: plimsoll/v1, kind: \
         Agreement, metadata: {{id: a}}, spec: {{type: ola, services: [web], effective: {{from: 2026-01-01}}, charge: \
         {{amount: 1, currency: USD}}, objectives: [{{id: o, window: {{calendar: month}}, {objective}}}]}}}}\n"
    );
    let portfolio = portfolio_of(&text);
    judge(&portfolio.objectives()[0].objective, measured, true).credit.expect("a ladder").0
}

/// A month of a million microseconds, so many of them bad.
fn bad(bad: i64) -> Measured {
    let whole = Micros(1_000_000);
    Measured { good: whole - Micros(bad), bad: Micros(bad), agreed: whole, elapsed: whole, ..Measured::default() }
}

/// AWS Compute Optimizer, https://aws.amazon.com/compute-optimizer/sla/, as of 4 May 2022: less than 99.9 % but at least
/// 99.0 % is 10 %, less than 99.0 % but at least 95.0 % is 25 %, less than 95.0 % is 100 % of the month's charges.
#[test]
fn r34_the_published_ladder_of_aws_compute_optimizer() {
    let objective = "indicator: {signal: availability}, target: {at_least: 99.9 %}, credits: [{below: 99.9 %, credit: \
                     10 %}, {below: 99 %, credit: 25 %}, {below: 95 %, credit: 100 %}]";
    for (bad_ppm, percent) in
        [(0, 0), (1_000, 0), (1_001, 10), (10_000, 10), (10_001, 25), (50_000, 25), (50_001, 100), (1_000_000, 100)]
    {
        assert_eq!(ladder(objective, &bad(bad_ppm)), percent * 10_000_000, "{bad_ppm} ppm down");
    }
}

/// Google Cloud AlloyDB, https://cloud.google.com/alloydb/sla: from 99.0 % to below 99.99 % is 10 %, from 95.0 % to below
/// 99.0 % is 25 %, below 95.0 % is 50 % of the monthly bill.
#[test]
fn r34_the_published_ladder_of_google_alloydb() {
    let objective = "indicator: {signal: availability}, target: {at_least: 99.99 %}, credits: [{below: 99.99 %, credit: \
                     10 %}, {below: 99 %, credit: 25 %}, {below: 95 %, credit: 50 %}]";
    for (bad_ppm, percent) in [(100, 0), (101, 10), (10_000, 10), (10_001, 25), (50_000, 25), (50_001, 50)] {
        assert_eq!(ladder(objective, &bad(bad_ppm)), percent * 10_000_000, "{bad_ppm} ppm down");
    }
}

/// A network contract, https://www.lawinsider.com/dictionary/net-mrc: below 99.9 %, 5 % of the net monthly recurring
/// charge for each hour of downtime or fraction of one, at most 50 %. A month of 30 days may be down for 43 min 12 s.
#[test]
fn r34_the_published_credit_of_a_network_for_each_started_hour() {
    let steps: Vec<String> = (1..=10)
        .map(|started: i64| {
            let above = if started == 1 { "43m 12s".to_owned() } else { format!("{}h", started - 1) };
            format!("{{above: {above}, credit: {} %}}", started * 5)
        })
        .collect();
    let objective =
        format!("indicator: {{signal: downtime}}, target: {{at_most: 43m 12s}}, credits: [{}]", steps.join(", "));
    let month = 30 * DAY;
    let hour = Micros::HOUR.0;
    for (down, percent) in [
        (0, 0),
        (2_592_000_000, 0),
        (2_592_000_001, 5),
        (hour, 5),
        (hour + 1, 10),
        (2 * hour + hour / 2, 15),
        (9 * hour, 45),
        (9 * hour + 1, 50),
        (100 * hour, 50),
    ] {
        let measured = Measured {
            good: Micros(month - down),
            bad: Micros(down),
            agreed: Micros(month),
            elapsed: Micros(month),
            ..Measured::default()
        };
        assert_eq!(ladder(&objective, &measured), percent * 10_000_000, "{down} us down");
    }
}

#[test]
fn r34_ladders_of_counts_shares_and_times() {
    let counted = |good_count, total_count| Measured {
        good_count,
        total_count,
        is_counted: true,
        elapsed: Micros::HOUR,
        agreed: Micros::HOUR,
        ..Measured::default()
    };
    let resolution = "indicator: {signal: resolution_time, within: 4h}, target: {at_least: 95 %}, credits: [{below: 95 \
                      %, credit: 5 %}, {below: 80 %, credit: 15 %}]";
    let urgent = "indicator: {signal: emergency_change_share}, target: {at_most: 5 %}, credits: [{above: 10 %, credit: 5 \
                  %}, {above: 50 %, credit: 20 %}]";
    let errors = "indicator: {signal: error_count, kind: monitoring}, target: {at_most: 3}, credits: [{above: 3, credit: \
                  1 %}, {above: 10, credit: 2.5 %}]";
    let promoters =
        "indicator: {signal: net_promoter_score}, target: {at_least: 30}, credits: [{below: 0, credit: 3 %}]";
    for (objective, good, total, percent_tenths) in [
        (resolution, 95, 100, 0),
        (resolution, 94, 100, 50),
        (resolution, 80, 100, 50),
        (resolution, 79, 100, 150),
        (resolution, 0, 0, 0),
        // 5 % of changes were promised; from there to 10 % no credit was.
        (urgent, 92, 100, 0),
        (urgent, 89, 100, 50),
        (urgent, 50, 100, 50),
        (urgent, 49, 100, 200),
        (errors, 97, 100, 0),
        (errors, 96, 100, 10),
        (errors, 89, 100, 25),
        (promoters, 0, 10, 0),
        (promoters, -1, 10, 30),
    ] {
        let credit = ladder(objective, &counted(good, total));
        assert_eq!(credit, percent_tenths * 1_000_000, "{good} of {total}: {objective}");
    }
    let between = "indicator: {signal: mtbf}, target: {at_least: 10h}, credits: [{below: 5h, credit: 10 %}]";
    // Twelve hours up between two and three failures: 6 h and 4 h.
    let failures = |outage_count| {
        let whole = Micros(12 * Micros::HOUR.0 + 1);
        let good = whole - Micros(1);
        Measured { good, bad: Micros(1), agreed: whole, elapsed: whole, outage_count, ..Measured::default() }
    };
    assert_eq!((ladder(between, &failures(2)), ladder(between, &failures(3))), (0, 100_000_000));
}

#[test]
fn r34_too_little_known_gives_nothing_back() {
    let objective = "indicator: {signal: availability}, target: {at_least: 99.9 %}, min_coverage: 90 %, credits: [{below: \
                     99.9 %, credit: 10 %}]";
    let known_half = Measured { good: Micros(0), bad: Micros(500_000), unknown: Micros(500_000), ..bad(0) };
    assert_eq!(ladder(objective, &known_half), 0);
    assert_eq!(ladder(objective, &Measured { good: Micros(0), unknown: Micros(1_000_000), ..bad(0) }), 0);
    let samples = "indicator: {signal: satisfaction}, target: {at_least: 80 %}, min_sample: 10, credits: [{below: 80 %, \
                   credit: 10 %}]";
    let scores = |total_count| Measured { total_count, ..Measured::default() };
    assert_eq!((ladder(samples, &scores(9)), ladder(samples, &scores(10))), (0, 100_000_000));
}

fn rounding() -> impl Strategy<Value = Rounding> {
    prop::sample::select(vec![Rounding::HalfUp, Rounding::HalfEven, Rounding::HalfDown, Rounding::Up, Rounding::Down])
}

prop_compose! {
    fn rule()(
        largest in any::<bool>(),
        rounding in rounding(),
        whole in any::<bool>(),
        window_max in 1..=Share::WHOLE,
        year in prop::option::of(1..=Share::WHOLE),
    ) -> CreditRule {
        CreditRule {
            combine: Some(if largest { Combine::Largest } else { Combine::Sum }),
            rounding,
            clipped: if whole { Clipped::Whole } else { Clipped::ProRata },
            window_max: Share(window_max),
            year_max: year.map(|share| YearMax { share: Share(share), first_month: 1 }),
        }
    }
}

proptest! {
    #[test]
    fn r34_limits_hold_and_worse_never_gives_less(
        rule in rule(),
        charge in 0..=plimsoll_schemas::definition::Money::MAX,
        shares in prop::collection::vec((0..=Share::WHOLE, 0..=Share::WHOLE, 0..30_i64), 1..14),
        worse in (any::<prop::sample::Index>(), 0..=Share::WHOLE),
    ) {
        let terms = terms(Charge::AllServices(charge), rule);
        let windows = |shares: &[(i64, i64, i64)]| -> BTreeMap<WindowOfVersion, Missed> {
            let window = |(number, (one, other, from)): (usize, &(i64, i64, i64))| {
                let first = number as i64 * 30;
                let (place, segment) = month(first, first + from..first + 30);
                let mut missed = missed(segment, 1, &[0, 0]);
                for (reached, share) in missed.ladders.values_mut().zip([*one, *other]) {
                    reached.share = Share(share);
                }
                (place, missed)
            };
            shares.iter().enumerate().map(window).collect()
        };
        let given = |shares: &[(i64, i64, i64)]| credits(&windows(shares), |_| Some((&terms, Tz::UTC)));
        let before = given(&shares);
        for ((place, _), credit) in &before {
            // The limit of a window in exact fractions: amount <= charge of the segment x limit.
            let whole = i128::from((place.window.end - place.window.start).0);
            let part = match rule.clipped {
                Clipped::Whole => whole,
                Clipped::ProRata => {
                    let segment = windows(&shares)[place].segment;
                    i128::from((segment.end - segment.start).0)
                }
            };
            let limit = i128::from(charge) * part * i128::from(rule.window_max.0);
            prop_assert!(i128::from(credit.amount) * whole * i128::from(Share::WHOLE) <= limit);
            prop_assert!(credit.amount >= 0);
        }
        if let Some(max) = rule.year_max {
            // Windows that begin within the 365 days of 1970 are of one year.
            let first_year = before.iter().filter(|((place, _), _)| {
                windows(&shares)[place].segment.start < Instant(365 * DAY)
            });
            let sum: i128 = first_year.map(|(_, credit)| i128::from(credit.amount)).sum();
            prop_assert!(sum * i128::from(Share::WHOLE) <= 12 * i128::from(charge) * i128::from(max.share.0));
        }
        // One ladder gives back more: the credit of its window does not fall, and neither does the sum.
        let mut more = shares.clone();
        let number = worse.0.index(shares.len());
        more[number].0 = more[number].0.max(worse.1);
        let after = given(&more);
        let sum = |credits: &BTreeMap<CreditKey, Credit>| credits.values().map(|one| i128::from(one.amount)).sum::<i128>();
        prop_assert!(sum(&after) >= sum(&before));
        let of_window = |credits: &BTreeMap<CreditKey, Credit>| credits.values().nth(number).map(|one| one.amount);
        prop_assert!(of_window(&after) >= of_window(&before));
    }

    #[test]
    fn r34_worse_attainment_and_a_stricter_target_never_lower_a_credit(
        down in 0..=1_000_000_i64,
        more in 0..=1_000_000_i64,
        steps in prop::collection::btree_set(1..=999_999_i64, 1..5),
        stricter in 0..=1_000_i64,
    ) {
        // Thresholds of good time in ppm, from the mildest miss down; each gives one percent more.
        let objective = |stricter: i64| {
            let target = |ppm: i64| format!("{}.{:04} %", ppm / 10_000, ppm % 10_000);
            let raised = |ppm: &i64| (ppm + stricter).min(1_000_000);
            let mut thresholds: Vec<i64> = steps.iter().rev().map(raised).collect();
            thresholds.dedup();
            let ladder: Vec<String> = thresholds.iter().enumerate()
                .map(|(number, ppm)| format!("{{below: {}, credit: {} %}}", target(*ppm), number + 1))
                .collect();
            format!("indicator: {{signal: availability}}, target: {{at_least: {}}}, credits: [{}]",
                target(thresholds[0]), ladder.join(", "))
        };
        // Where steps meet at 100 % one of them is lost, and with it its credit.
        prop_assume!(steps.iter().rev().nth(1).is_none_or(|second| second + stricter < 1_000_000));
        let credit = ladder(&objective(0), &bad(down));
        prop_assert!(ladder(&objective(0), &bad((down + more).min(1_000_000))) >= credit);
        prop_assert!(ladder(&objective(stricter), &bad(down)) >= credit);
        // The naive reading: how many thresholds the good time is below.
        let below = steps.iter().filter(|ppm| 1_000_000 - down < **ppm).count() as i64;
        prop_assert_eq!(credit, below * 10_000_000);
    }
}
