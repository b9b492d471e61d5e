//! Budgets of counted things, by hand and by a naive second computation from the single things.

use chrono::{NaiveTime, Weekday};
use plimsoll_schemas::definition;
use plimsoll_schemas::event::EventKind;
use proptest::prelude::*;

use super::*;
use crate::verdict::tests::objective as promised;

const MINUTE: i64 = Micros::MINUTE.0;
const HOUR: i64 = Micros::HOUR.0;
const DAY: i64 = Micros::DAY.0;

fn objective(signal: Signal, target: Target) -> Objective {
    Objective { warn_at: Vec::new(), burn_rate_warnings: true, min_coverage: Share(0), ..promised(signal, target) }
}

fn share(text: &str) -> Share {
    Share::parse(text).expect("a share")
}

/// At least so many of all must be good.
fn at_least(text: &str) -> Objective {
    objective(Signal::Latency { within: Micros(1) }, Target::AtLeast(share(text)))
}

/// At most so many errors.
fn at_most(limit: i64) -> Objective {
    objective(Signal::ErrorCount { kind: EventKind::Monitoring }, Target::AtMostCount(limit))
}

/// Something counted: its instant, how many were bad, how many there were.
type Thing = (i64, i64, i64);

fn recent(calendar: &Calendar, things: &[Thing]) -> Recent {
    let mut recent = Recent::default();
    things.iter().for_each(|&(at, bad, total)| recent.count(calendar, Instant(at), bad, total));
    recent
}

fn course<'a>(promise: &Objective, recent: &Recent, calendar: &'a Calendar, segment: Window) -> CountedCourse<'a> {
    CountedCourse::new(promise, Allowed::of(promise).expect("a budget"), [recent].into_iter(), calendar, segment)
}

const MONTH: Window = Window { start: Instant(0), end: Instant(30 * DAY) };

/// When a month of all hours burns by the pair at this place, and what is said.
fn burning(promise: &Objective, pair: usize, things: &[Thing]) -> Vec<(i64, String)> {
    times_of_burning(promise, pair, things).into_iter().map(|burning| (burning.at.0, burning.detail)).collect()
}

fn times_of_burning(promise: &Objective, pair: usize, things: &[Thing]) -> Vec<Burning> {
    let calendar = Calendar::always();
    let recent = recent(&calendar, things);
    let pair = BurnPair::of(Micros(30 * DAY))[pair];
    course(promise, &recent, &calendar, MONTH).burning(&pair, std::iter::empty(), Instant(0), Instant(29 * DAY))
}

/// The day of the worked example: 50,000 good things on the 1st, and on the 9th at 11:30, 12:00:20 and 12:02:40.
fn page() -> [Thing; 4] {
    let noon = 8 * DAY + 12 * HOUR;
    [
        (9 * HOUR, 0, 50_000),
        (noon - 30 * MINUTE, 0, 500),
        (noon + 20_000_000, 100, 400),
        (noon + 2 * MINUTE + 40_000_000, 50, 100),
    ]
}

#[test]
fn r27_the_page_of_counted_burn_rates() {
    let promise = at_least("99 %");
    let noon = 8 * DAY + 12 * HOUR;
    // After 12:00, 100 of the hour's 900 are bad, 11.1 %: less than 14.4. After 12:02 it is 150 of 1,000, 15 times 1 %,
    // and 150 of the 500 of the five minutes.
    let fast = "burn rate 15 over 1h and 30 over 5m, 14.4 is too fast".to_owned();
    assert_eq!(burning(&promise, 0, &page()), [(noon + 3 * MINUTE, fast)]);
    // Of the half hour until 12:01, which 11:30 is not part of, 100 of 400.
    let slower = "burn rate 11.11 over 6h and 25 over 30m, 6 is too fast".to_owned();
    assert_eq!(burning(&promise, 1, &page()), [(noon + MINUTE, slower)]);
    let calendar = Calendar::always();
    let recent = recent(&calendar, &page());
    let spending = course(&promise, &recent, &calendar, MONTH).spending(Instant(noon + 30 * MINUTE), 150, 51_000);
    // At 12:30 nothing was counted in five minutes; 150 of 500 in 30, and 150 of 1,000 since.
    let (thirty, fifteen) = (Some(Share(30_000_000_000)), Some(Share(15_000_000_000)));
    assert_eq!(spending.burn_rates, [None, thirty, fifteen, fifteen, fifteen, fifteen, fifteen]);
    // 1 % of 51,000 are 510, of which 150 are spent; 363 of 363 bad ones more are 513 of 51,363, and 1 % of those 513.63.
    assert_eq!(spending.counts_left, Some(CountsLeft { left: Share(360_000_000_000), headroom: Some(363) }));
    // An hour like the last one takes 150 and brings 10: 360 / 140 h are 2 h 34 min 17.142857 s and a bit.
    assert_eq!(spending.spent_at, Some(Instant(noon + 30 * MINUTE + 9_257_142_858)));
}

#[test]
fn r27_one_bad_thing_is_no_rate_and_two_are() {
    let promise = at_least("99 %");
    let start = 10 * DAY;
    // One of one: a rate of 100, of one thing.
    assert_eq!(burning(&promise, 0, &[(start, 1, 1)]), []);
    let found = burning(&promise, 0, &[(start, 1, 1), (start + 4 * MINUTE, 1, 3)]);
    let said = "burn rate 50 over 1h and 50 over 5m, 14.4 is too fast".to_owned();
    assert_eq!(found, [(start + 5 * MINUTE, said)]);
    // At least five were to be counted in the long span, and there were four.
    let wanting = Objective { min_sample: 5, ..promise };
    assert_eq!(burning(&wanting, 0, &[(start, 1, 1), (start + 4 * MINUTE, 1, 3)]), []);
    assert_eq!(burning(&wanting, 0, &[(start, 1, 1), (start + 4 * MINUTE, 1, 4)]).len(), 1);
}

#[test]
fn r27_the_rate_is_compared_by_integers() {
    let promise = at_least("99 %");
    let start = 10 * DAY;
    // 14.4 % of 1,000 are 144: one thing more that is good makes it less.
    assert_eq!(burning(&promise, 0, &[(start, 144, 1_000)]).len(), 1);
    assert_eq!(burning(&promise, 0, &[(start, 144, 1_001)]), []);
    assert_eq!(burning(&promise, 0, &[(start, 143, 1_000)]), []);
    // The largest number stops nobody.
    assert_eq!(burning(&promise, 0, &[(start, i64::MAX, i64::MAX)]).len(), 1);
}

#[test]
fn r27_each_time_that_counts_burn_is_a_warning_of_its_own() {
    let promise = at_least("90 %");
    let start = 10 * DAY;
    let minutes = |pair, things: &[Thing]| {
        let minute = |at: Instant| (at.0 - start) / MINUTE;
        let found = times_of_burning(&promise, pair, things);
        found.iter().map(|burning| (minute(burning.at), burning.ended_at.map(minute))).collect::<Vec<_>>()
    };
    // 5 % of 30 days in 6 h: a rate of 6, 60 %. Bad ones are in the half hour until 0:30; the next ones come at 0:40, when
    // it has ceased, or at 0:29, when not: those are in it until 0:59.
    assert_eq!(minutes(1, &[(start, 9, 10), (start + 40 * MINUTE, 9, 10)]), [(1, Some(31)), (41, Some(71))]);
    assert_eq!(minutes(1, &[(start, 9, 10), (start + 29 * MINUTE, 9, 10)]), [(1, Some(60))]);
    // With the minute 0:10 there are 18 of 31 bad, 58 %.
    assert_eq!(minutes(1, &[(start, 18, 20), (start + 10 * MINUTE, 0, 11)]), [(1, Some(11))]);
    // Good ones leave the six hours: from 6:01 on 9 of 11 are bad, not 9 of 41, and the half hour has bad ones until 6:15.
    assert_eq!(minutes(1, &[(start, 0, 30), (start + 345 * MINUTE, 9, 11)]), [(361, Some(376))]);
    // They leave a day as the quarter of an hour did in which they were: 9 of 41 are less than 30 %, 9 of 11 more. Two hours
    // begin with a minute: those at 23:30 are in them until 25:30.
    assert_eq!(minutes(2, &[(start, 0, 30), (start + 1_410 * MINUTE, 9, 11)]), [(1_455, Some(1_531))]);
}

#[test]
fn r27_a_number_of_errors_burns_as_time_does() {
    // 10 in 30 days: one in an hour is 72 times too fast, two are 144 times.
    let start = 10 * DAY;
    let found = burning(&at_most(10), 0, &[(start, 1, 1), (start + 4 * MINUTE, 1, 1)]);
    // Two in five minutes: 2 x 12 x 720 / 10.
    assert_eq!(found, [(start + 5 * MINUTE, "burn rate 144 over 1h and 1728 over 5m, 14.4 is too fast".to_owned())]);
    let calendar = Calendar::always();
    let things = [(start, 1, 1), (start + 4 * MINUTE, 1, 1)];
    let recent = recent(&calendar, &things);
    let course = course(&at_most(10), &recent, &calendar, MONTH);
    let spending = course.spending(Instant(start + HOUR), 2, 2);
    assert_eq!(spending.counts_left, Some(CountsLeft { left: Share(8_000_000_000), headroom: Some(8) }));
    // At two an hour, eight last four hours.
    assert_eq!(spending.spent_at, Some(Instant(start + 5 * HOUR)));
    // What is spent is spent now, and nothing is spent of nothing.
    assert_eq!(course.spending(Instant(start + HOUR), 10, 10).spent_at, Some(Instant(start + HOUR)));
    assert_eq!(course.spending(Instant(start + 9 * HOUR), 0, 0).spent_at, None);
    // Two hours later the hour is empty: it lasts.
    assert_eq!(course.spending(Instant(start + 3 * HOUR), 2, 2).spent_at, None);
}

#[test]
fn r27_what_is_left_of_counts_is_signed_and_headroom_is_not() {
    let left = |promise: &Objective, bad, total| {
        let CountsLeft { left, headroom } = CountsLeft::new(Allowed::of(promise).expect("a budget"), bad, total);
        (left.0, headroom)
    };
    // 99.9 % of 1,234 allow 1.234.
    assert_eq!(left(&at_least("99.9 %"), 1, 1_234), (234_000_000, Some(0)));
    assert_eq!(left(&at_least("99.9 %"), 4, 1_234), (-2_766_000_000, Some(0)));
    // Half may be bad: 3 of 10, then 4 more of 4 are 7 of 14.
    assert_eq!(left(&at_least("50 %"), 3, 10), (2_000_000_000, Some(4)));
    // All may be bad.
    assert_eq!(left(&at_least("0 %"), 3, 10), (7_000_000_000, None));
    assert_eq!(left(&at_most(2), 3, 10), (-1_000_000_000, Some(0)));
}

#[test]
fn r27_targets_without_bad_things_have_no_budget_of_counts() {
    use definition::StatePolicy;
    for (signal, target) in [
        (Signal::Availability(StatePolicy::default()), Target::AtLeast(share("99 %"))),
        (Signal::Downtime(StatePolicy::default()), Target::AtMostTime(Micros(1))),
        (Signal::Throughput { kind: EventKind::Monitoring, per: Micros::HOUR }, Target::AtLeastCount(1)),
        (Signal::NetPromoterScore, Target::AtLeastCount(1)),
        (Signal::ChangeSuccess, Target::AtLeast(share("100 %"))),
        (Signal::ErrorCount { kind: EventKind::Monitoring }, Target::AtMostCount(0)),
    ] {
        assert_eq!(Allowed::of(&objective(signal, target)), None);
    }
    let urgent = objective(Signal::EmergencyChangeShare, Target::AtMost(share("20 %")));
    assert_eq!(Allowed::of(&urgent), Some(Allowed::Share(200_000_000)));
    let percentile = Signal::LatencyPercentile { percentile: share("95 %") };
    let percentile = objective(percentile, Target::AtMostTime(Micros(1)));
    assert_eq!(Allowed::of(&percentile), Some(Allowed::Share(50_000_000)));
}

#[test]
fn r27_things_before_the_segment_count_in_a_span_as_good() {
    let calendar = Calendar::always();
    let segment = Window { start: Instant(10 * DAY), end: Instant(40 * DAY) };
    // 100 bad ones of 100 just before it, then 10 of 10: of the hour's 110, 10 spend this budget.
    let recent = recent(&calendar, &[(10 * DAY - MINUTE, 100, 100), (10 * DAY, 10, 10)]);
    let course = course(&at_least("90 %"), &recent, &calendar, segment);
    let rates = course.spending(Instant(10 * DAY + MINUTE), 10, 10).burn_rates;
    assert_eq!(rates[2], Some(Share(909_090_909)));
}

/// Monday to Friday 8:00 to 17:00 in UTC, or always.
fn calendar(office: bool) -> Calendar {
    weekdays(office, 0)
}

/// As `calendar`, but from so many minutes after eight on.
fn weekdays(office: bool, minute: u32) -> Calendar {
    let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a time");
    let days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let span = definition::DaySpan { from: time(8, minute), until: time(17, 0) };
    if !office {
        return Calendar::always();
    }
    Calendar::compile(&[definition::Calendar {
        time_zone: chrono_tz::UTC,
        hours: days.map(|day| (day, span)).to_vec(),
        ..definition::Calendar::default()
    }])
}

/// Monday, 2026-03-02.
const MONDAY: i64 = 1_772_409_600_000_000;

/// The same from the definition: the ends of agreed minutes at which a pair burns and did not at the one before, and those
/// at which it ceased to, by summing up all things at each.
fn naive(
    promise: &Objective,
    pair: &BurnPair,
    calendar: &Calendar,
    things: &[Thing],
    segment: Window,
) -> Vec<(i64, Option<i64>)> {
    let agreed = calendar.elapsed(segment.start, segment.end).0 as f64;
    let allowed = match Allowed::of(promise).expect("a budget") {
        Allowed::Share(share) => share as f64 / 1e9,
        Allowed::Number(limit) => limit as f64,
    };
    let is_number = matches!(Allowed::of(promise), Some(Allowed::Number(_)));
    let floor = |at: i64, unit: i64| at - at.rem_euclid(unit);
    let sums = |span: Micros, end: i64| {
        let is_in = |at: i64| {
            let seen = calendar.elapsed(Instant(floor(at, MINUTE)), Instant(end)).0 > 0;
            let first = if span.0 > 6 * HOUR { floor(at, 15 * MINUTE) + 15 * MINUTE - 1 } else { floor(at, MINUTE) };
            seen && calendar.elapsed(Instant(first), Instant(end)) <= span
        };
        let within = things.iter().filter(|thing| is_in(thing.0));
        within.fold((0, 0), |sums, &(at, bad, total)| {
            (sums.0 + if at >= segment.start.0 { bad } else { 0 }, sums.1 + total)
        })
    };
    let mut was = false;
    let mut found: Vec<(i64, Option<i64>)> = Vec::new();
    for minute in segment.start.0 / MINUTE..segment.end.0 / MINUTE {
        let end = minute * MINUTE;
        if !calendar.is_agreed(Instant(end - 1)) {
            continue;
        }
        let burns = |span: Micros| {
            let (bad, total) = sums(span, end);
            let rate = if is_number {
                bad as f64 / span.0 as f64 * agreed / allowed
            } else {
                bad as f64 / total as f64 / allowed
            };
            // Exactly at the rate it burns, and floats would not know.
            bad > 0 && rate >= pair.percent as f64 / 100.0 * agreed / pair.long.0 as f64 - 1e-9
        };
        let is = sums(pair.long, end).0 >= 2 && burns(pair.long) && burns(pair.short);
        if is && !was {
            found.push((end, None));
        } else if let Some((_, ended_at)) = found.last_mut().filter(|_| was && !is) {
            *ended_at = Some(end);
        }
        was = is;
    }
    found
}

fn thing() -> impl Strategy<Value = Thing> {
    // Minutes of a week, some of them in bursts; few bad ones.
    (0..7_i64, 0..96_i64, 0..30_i64, 0..4_i64, 0..9_i64).prop_map(|(day, quarter, minute, bad, good)| {
        (
            MONDAY + day * DAY + quarter * 15 * MINUTE + minute * MINUTE / 2 + 7,
            (bad - 1).max(0),
            (bad - 1).max(0) + good,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn r27_counted_burning_agrees_with_a_naive_sum(
        things in prop::collection::vec(thing(), 1..40),
        office in any::<bool>(),
        of_number in any::<bool>(),
    ) {
        let calendar = calendar(office);
        let segment = Window { start: Instant(MONDAY + DAY), end: Instant(MONDAY + 8 * DAY) };
        let promise = if of_number { at_most(20) } else { at_least("90 %") };
        let recent = recent(&calendar, &things);
        let course = course(&promise, &recent, &calendar, segment);
        // Also pairs that so short a segment would leave out.
        for pair in BurnPair::of(Micros(30 * DAY)) {
            let found = course.burning(&pair, std::iter::empty(), segment.start, segment.end);
            let found = found.iter().map(|burning| (burning.at.0, burning.ended_at.map(|ended_at| ended_at.0)));
            prop_assert_eq!(&found.collect::<Vec<_>>(), &naive(&promise, &pair, &calendar, &things, segment), "{:?}", pair);
        }
    }

    #[test]
    fn r27_counted_burning_is_the_same_however_it_is_looked_for(
        things in prop::collection::vec(thing(), 1..60),
        cut in 1..20_usize,
        office in any::<bool>(),
    ) {
        let calendar = calendar(office);
        let segment = Window { start: Instant(MONDAY), end: Instant(MONDAY + 8 * DAY) };
        let promise = at_least("90 %");
        let at_once = recent(&calendar, &things);
        for pair in &BurnPair::of(Micros(30 * DAY)) {
            let expected = course(&promise, &at_once, &calendar, segment);
            let expected = expected.burning(pair, std::iter::empty(), Instant(0), segment.end);
            // In the order in which they come; after each few it is looked for burning up to the newest of them.
            let (mut part_by_part, mut said, mut newest) = (Recent::default(), Vec::new(), Instant(0));
            let parts = things.chunks(cut).map(Some).chain([None]);
            for part in parts {
                let touched = part.iter().flat_map(|part| part.iter()).map(|thing| Instant(thing.0)).min();
                for &(at, bad, total) in part.into_iter().flatten() {
                    part_by_part.count(&calendar, Instant(at), bad, total);
                    newest = newest.max(Instant(at));
                }
                let now = if part.is_some() { newest } else { segment.end };
                let from = part_by_part.unsure_from(&calendar, touched);
                let course = course(&promise, &part_by_part, &calendar, segment);
                said = course.burning(pair, said.into_iter(), from, now);
                part_by_part.looked(now);
            }
            prop_assert_eq!(&said, &expected);
        }
    }
}

#[test]
fn r27_minutes_become_quarters_when_there_are_many_and_rates_stay() {
    let always = Calendar::always();
    let promise = at_least("90 %");
    // Something in every minute of three days, a tenth of it bad; looked for burning each minute.
    let (mut recent, mut all) = (Recent::default(), Vec::new());
    for minute in 0..3 * 1_440 {
        let thing = (minute * MINUTE, i64::from(minute % 10 == 0), 1);
        recent.count(&always, Instant(thing.0), thing.1, thing.2);
        recent.looked(Instant(thing.0 + MINUTE));
        all.push(thing);
    }
    assert!(
        recent.minutes.len() <= MINUTES_MAX + 15 && recent.minutes.len() >= MINUTES_KEPT,
        "{}",
        recent.minutes.len()
    );
    assert!(recent.quarters.len() <= QUARTERS_KEPT);
    let kept = self::recent(&always, &all);
    let now = Instant(3 * DAY);
    let rates = |recent: &Recent| course(&promise, recent, &always, MONTH).spending(now, 432, 4_320).burn_rates;
    assert_eq!(rates(&recent), rates(&kept));
    // What comes later than the minutes that are kept changes no warning before six hours after them, and still counts.
    let late = Instant(2 * DAY);
    recent.count(&always, late, 1, 1);
    let unsure = recent.unsure_from(&always, Some(late));
    assert_eq!(unsure, recent.minutes_from + Micros(6 * HOUR));
    assert!(unsure < now);
    let (bad, total) = course(&promise, &recent, &always, MONTH).within(SPANS[6], now);
    assert_eq!((bad, total), (433, 4_321));
}

#[test]
fn r27_so_much_is_kept_and_no_more() {
    let always = Calendar::always();
    let counted = |step: i64, number: usize| {
        let mut recent = Recent::default();
        (0..number as i64).for_each(|place| recent.count(&always, Instant(place * step), 1, 1));
        recent.looked(Instant(number as i64 * step));
        recent
    };
    let lengths = |recent: &Recent| (recent.minutes.len(), recent.quarters.len(), recent.days.len());
    assert_eq!(lengths(&counted(MINUTE, MINUTES_MAX)), (MINUTES_MAX, 0, 1));
    // One more, and minutes are kept from the quarter of an hour on in which the oldest of the newest lies.
    for more in [1, 2] {
        let found = counted(MINUTE, MINUTES_MAX + more);
        let first = (MINUTES_MAX + more - MINUTES_KEPT) / 15 * 15;
        assert_eq!((found.minutes.len(), found.quarters.len()), (MINUTES_MAX + more - first, first / 15));
        assert_eq!(found.minutes_from, Instant(first as i64 * MINUTE));
    }
    // All quarters but the newest become quarters at once, of which the oldest are forgotten.
    let found = counted(15 * MINUTE, MINUTES_KEPT + QUARTERS_KEPT + 9);
    assert_eq!((found.minutes.len(), found.quarters.len()), (MINUTES_KEPT, QUARTERS_KEPT));
    assert_eq!(counted(DAY, DAYS_KEPT + 9).days.len(), DAYS_KEPT);
}

#[test]
fn r27_what_no_span_reaches_is_forgotten_and_what_comes_late_finds_its_place() {
    let always = Calendar::always();
    let at = |minute: i64| Instant(minute * MINUTE);
    let mut counts = recent(&always, &[(20 * MINUTE, 1, 1)]);
    // Its quarter of an hour ends at 0:30, and three days later no span reaches it.
    counts.forget_before(&always, at(30 + 3 * 1_440) - Micros(1));
    assert_eq!(counts.minutes.len(), 1);
    counts.forget_before(&always, at(30 + 3 * 1_440));
    assert_eq!(counts.minutes.len(), 0);
    // Looked for until a minute, or not at all.
    counts.looked(at(90) + Micros(7));
    assert_eq!(counts.unsure_from(&always, None), at(90));
    assert_eq!(counts.unsure_from(&always, Some(at(40))), at(40));
    counts.look_anew();
    assert!(counts.unsure_from(&always, None) < Instant(i64::MIN + DAY));
    let before = counts.edition();
    counts.count(&always, at(91), 0, 1);
    assert_ne!(counts.edition(), before);
    // When minutes are kept from some quarter of an hour on, what comes late into it is kept by its minute: a span of six
    // hours that ends six hours and five minutes after the quarter's start holds its tenth minute and not its first.
    let mut many = Recent::default();
    (0..=MINUTES_MAX as i64).for_each(|minute| many.count(&always, at(minute), 0, 1));
    many.looked(at(MINUTES_MAX as i64));
    let first = many.minutes_from;
    many.count(&always, first + Micros(10 * MINUTE), 7, 0);
    many.count(&always, first, 50, 0);
    let (promise, end) = (at_least("90 %"), first + Micros(6 * HOUR + 5 * MINUTE));
    assert_eq!(course(&promise, &many, &always, MONTH).within(SPANS[4], end).0, 7);
    // What is older is kept by its quarter.
    many.count(&always, first - Micros(MINUTE), 1, 1);
    assert_eq!(many.minutes.keys().next(), Some(&first));
}

#[test]
fn r27_a_segment_burns_within_itself_and_spends_nothing_of_nothing() {
    let always = Calendar::always();
    let segment = Window { start: Instant(DAY), end: Instant(31 * DAY) };
    let counts = recent(&always, &[(31 * DAY - MINUTE, 9, 9)]);
    let promise = at_least("99 %");
    let course = course(&promise, &counts, &always, segment);
    assert_eq!(course.agreed(), Micros(30 * DAY));
    let ends = [31 * DAY - 1, 31 * DAY].map(|now| course.over_at(Instant(now)));
    assert_eq!(ends, [None, Some(segment.end)]);
    // It burns with the minute that ends as the segment does, and that is the next one's.
    let pair = &BurnPair::of(Micros(30 * DAY))[0];
    let nothing = || std::iter::empty();
    assert_eq!(course.burning(pair, nothing(), segment.start, segment.end + Micros(HOUR)), []);
    // Of what was said only what lies in the segment stands; what burns until its end is not ended by what comes then.
    let said = |at: i64| Burning { at: Instant(at), ended_at: None, detail: String::new() };
    let edges = [DAY - 1, DAY, 31 * DAY - 1, 31 * DAY].map(said).into_iter();
    let stood = course.burning(pair, edges, segment.end + Micros(HOUR), segment.end + Micros(HOUR));
    assert_eq!(stood, [DAY, 31 * DAY - 1].map(said));
    assert_eq!(course.spending(Instant(2 * DAY), 0, 0).spent_at, None);
    assert_eq!(course.spending(Instant(2 * DAY), 1, 1).spent_at, Some(Instant(2 * DAY)));
}

#[test]
fn r27_a_number_burns_from_its_share_in_the_span_on() {
    // 2 % of 150 are three in an hour.
    let start = 10 * DAY;
    assert_eq!(burning(&at_most(150), 0, &[(start, 2, 2)]), []);
    assert_eq!(burning(&at_most(150), 0, &[(start, 3, 3)]).len(), 1);
}

#[test]
fn r27_what_is_counted_outside_agreed_time_is_in_the_last_minute_of_its_quarter() {
    // Hours begin at 8:05: what is counted at 8:02 is there with the 8:14, at 8:07 by its own minute, at night by the last.
    let at = |minutes: i64| Instant(MONDAY + minutes * MINUTE);
    let counts = recent(&weekdays(true, 5), &[482, 487, 1_200].map(|minute| (at(minute).0, 1, 1)));
    assert_eq!(counts.minutes.keys().copied().collect::<Vec<_>>(), [487, 494, 1_214].map(at));
}
