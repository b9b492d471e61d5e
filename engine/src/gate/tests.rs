//! Planned changes by hand calculation, in March 2026: 31 days, 744 hours, of which 99 % leave 7 h 26 min 24 s.

use proptest::prelude::*;

use super::*;
use crate::portfolio::Portfolio;
use crate::portfolio::tests::portfolio_of;

mod rules_page;

const MINUTE: i64 = Micros::MINUTE.0;
const HOUR: i64 = Micros::HOUR.0;

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(&format!("2026-{text}:00Z")).expect("an instant")
}

/// A portfolio with one objective, which is written as in a definition; `terms` are lines of the agreement's spec.
fn portfolio(terms: &str, objective: &str) -> Portfolio {
    let text = format!(
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: web}}\n---\napiVersion: plimsoll/v1\nkind: Calendar\n\
         metadata: {{id: office}}\nspec: {{time_zone: UTC, hours: [{{days: mon-fri, from: \"08:00\", until: \"18:00\"}}]}}\n\
         ---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: ola}}\nspec:\n  type: ola\n  services: [web]\n  \
         effective: {{from: 2026-01-01}}\n{terms}  objectives:\n  - {{id: o, {objective}}}\n"
    );
    portfolio_of(&text)
}

const AVAILABILITY: &str = "indicator: {signal: availability}, target: {at_least: 99 %}, window: {calendar: month}";
const TERMS: &str = "  exclusions: {maintenance: {notice: 3d, at_most: 2h}}\n";

/// The states of a service that was up from January until 2026-03-10, but for outages.
fn states(outages: &[(&str, &str)]) -> Vec<Segment> {
    let mut states = Vec::new();
    let mut start = at("01-01T00:00");
    let edges = outages.iter().map(|(from, until)| (at(from), at(until))).chain([(now(), now())]);
    for (from, until) in edges {
        for (start, end, state) in [(start, from, State::Up), (from, until, State::Down)] {
            if start < end {
                states.push(Segment { start, end, state, causes: Vec::new() });
            }
        }
        start = until;
    }
    states
}

fn now() -> Instant {
    at("03-10T00:00")
}

/// The service of `portfolio` is what is changed.
fn changed() -> Effect {
    Effect { service: ServiceIndex(0), state: State::Down, is_changed: true }
}

fn change(from: &str, until: &str) -> PlannedChange {
    let window = Window { start: at(from), end: at(until) };
    PlannedChange { id: "".into(), window, downtime: None, approved_at: Some(now()), customer: None }
}

/// Of each window: what is left before, what is left after, excluded, in minutes or counts; and whether it is a go.
fn check(portfolio: &Portfolio, outages: &[(&str, &str)], change: &PlannedChange, expected: &[(f64, f64, i64, bool)]) {
    let (states, maintenance) = (states(outages), ApprovedWindows::new());
    let number = |value: Value| match value {
        Value::Time(time) => time.0 as f64 / MINUTE as f64,
        Value::Count(count) => count as f64,
        Value::Share(_) => panic!("nothing is left in shares"),
    };
    let found = impacts(&portfolio.objectives()[0], &states, &maintenance, change, changed(), now());
    let found = found.into_iter().map(|impact| {
        let (before, after) = impact.left.expect("something is measured");
        (number(before), number(after), impact.excluded.0 / MINUTE, impact.go)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn r30_a_change_takes_its_downtime_of_what_is_left() {
    let promise = portfolio("", AVAILABILITY);
    let (three, eight) = (change("03-20T01:00", "03-20T04:00"), change("03-20T01:00", "03-20T09:00"));
    check(&promise, &[], &three, &[(446.4, 266.4, 0, true)]);
    check(&promise, &[], &eight, &[(446.4, -33.6, 0, false)]);
    // Five hours were spent before: 146.4 min are left.
    let spent = [("03-02T00:00", "03-02T05:00")];
    check(&promise, &spent, &three, &[(146.4, -33.6, 0, false)]);
    check(&promise, &spent, &PlannedChange { downtime: Some(Micros(2 * HOUR)), ..three }, &[(146.4, 26.4, 0, true)]);
    // To the microsecond: all that is left is no breach, one more is.
    let all = Micros(446 * MINUTE + 24_000_000);
    let exactly = PlannedChange { downtime: Some(all), ..eight.clone() };
    check(&promise, &[], &exactly, &[(446.4, 0.0, 0, true)]);
    let found = impacts(
        &promise.objectives()[0],
        &states(&[]),
        &ApprovedWindows::new(),
        &PlannedChange { downtime: Some(all + Micros(1)), ..eight },
        changed(),
        now(),
    );
    assert_eq!(found[0].taken(), Some(Value::Time(all + Micros(1))));
    assert!(!found[0].go);
}

#[test]
fn r30_maintenance_is_excluded_on_the_terms_of_the_agreement() {
    let promise = portfolio(TERMS, AVAILABILITY);
    let three = change("03-20T01:00", "03-20T04:00");
    // Two hours are maintenance, and take 1 % of themselves along: 1.2 min. The third hour counts.
    check(&promise, &[], &three, &[(446.4, 385.2, 120, true)]);
    // Half an hour of downtime falls into the third hour at the worst.
    let half = PlannedChange { downtime: Some(Micros(30 * MINUTE)), ..three.clone() };
    check(&promise, &[], &half, &[(446.4, 415.2, 120, true)]);
    // Two hours of it do not fit there: at the worst all of the planned time is an outage, an hour of which counts.
    let two = PlannedChange { downtime: Some(Micros(2 * HOUR)), ..three.clone() };
    check(&promise, &[], &two, &[(446.4, 385.2, 120, true)]);
    // Approved too late, and as an emergency: all counts.
    let late = PlannedChange { approved_at: Some(at("03-17T01:01")), ..three.clone() };
    check(&promise, &[], &late, &[(446.4, 266.4, 0, true)]);
    check(&promise, &[], &PlannedChange { approved_at: None, ..three }, &[(446.4, 266.4, 0, true)]);
    // Excluded time that counts as it was is an outage like any other.
    let actual = AVAILABILITY.replace("availability}", "availability, excluded: count_actual}");
    let three = change("03-20T01:00", "03-20T04:00");
    check(&portfolio(TERMS, &actual), &[], &three, &[(446.4, 266.4, 120, true)]);
    let good = AVAILABILITY.replace("availability}", "availability, excluded: count_good}");
    check(&portfolio(TERMS, &good), &[], &three, &[(446.4, 386.4, 120, true)]);
}

#[test]
fn r30_what_events_tell_of_the_same_change_is_replaced() {
    let promise = portfolio(TERMS, AVAILABILITY);
    let known = ApprovedWindow {
        window: Window { start: at("03-15T01:00"), end: at("03-15T03:00") },
        approved_at: at("03-01T00:00"),
        customer: None,
    };
    let maintenance = ApprovedWindows::from([("CHG-1".into(), known)]);
    let (states, three) = (states(&[]), change("03-20T01:00", "03-20T04:00"));
    let left = |id: &str| {
        let change = PlannedChange { id: id.into(), ..three.clone() };
        impacts(&promise.objectives()[0], &states, &maintenance, &change, changed(), now()).remove(0).left
    };
    let minutes = |tenths: i64| Value::Time(Micros(tenths * MINUTE / 10));
    // Moved, it has the cap for itself. Another one uses the cap up before: 1.2 min are gone, and three hours count.
    assert_eq!(left("CHG-1"), Some((minutes(4_464), minutes(3_852))));
    assert_eq!(left("CHG-2"), Some((minutes(4_452), minutes(2_652))));
}

#[test]
fn r30_each_window_that_a_change_touches_pays_its_part() {
    let promise = portfolio("", AVAILABILITY);
    // An hour of it in March, two in April, whose 30 days leave 432 min.
    let over_the_edge = change("03-31T23:00", "04-01T02:00");
    check(&promise, &[], &over_the_edge, &[(446.4, 386.4, 0, true), (432.0, 312.0, 0, true)]);
    // 90 minutes are at the worst 60 here and 90 there.
    let some = PlannedChange { downtime: Some(Micros(90 * MINUTE)), ..over_the_edge };
    check(&promise, &[], &some, &[(446.4, 386.4, 0, true), (432.0, 342.0, 0, true)]);
    // Rolling windows of 10 days: 144 min. On the 13th at noon the newest holds what happened from the 4th on; the one
    // that ends a day later no longer holds the outage of the 4th.
    let rolling = portfolio("", "indicator: {signal: availability}, target: {at_least: 99 %}, window: {rolling: 10d}");
    let spent = [("03-04T10:00", "03-04T12:00")];
    check(&rolling, &spent, &change("03-13T12:00", "03-13T12:30"), &[(24.0, -6.0, 0, false)]);
    check(&rolling, &spent, &change("03-14T12:00", "03-14T12:30"), &[(144.0, 114.0, 0, true)]);
    let over_midnight = change("03-13T23:50", "03-14T00:20");
    check(&rolling, &spent, &over_midnight, &[(24.0, 14.0, 0, true), (144.0, 114.0, 0, true)]);
}

#[test]
fn r30_time_that_is_not_agreed_costs_nothing() {
    // March has 22 working days of 10 h: 99 % leave 132 min.
    let office = AVAILABILITY.replace("availability}", "availability, calendar: office}");
    let promise = portfolio("", &office);
    check(&promise, &[], &change("03-20T18:00", "03-20T22:00"), &[(132.0, 132.0, 0, true)]);
    check(&promise, &[], &change("03-20T16:00", "03-20T22:00"), &[(132.0, 12.0, 0, true)]);
    // Two hours of downtime from the 19th at 17:00 on: one of that day, and one of the next.
    let overnight = PlannedChange { downtime: Some(Micros(2 * HOUR)), ..change("03-19T17:00", "03-20T12:00") };
    check(&promise, &[], &overnight, &[(132.0, 12.0, 0, true)]);
    // Nothing is left since the 2nd, and nothing is taken; a minute would be too much.
    let spent = [("03-02T08:00", "03-02T11:00")];
    check(&promise, &spent, &change("03-20T18:00", "03-20T22:00"), &[(-48.0, -48.0, 0, true)]);
    check(&promise, &spent, &change("03-20T17:59", "03-20T22:00"), &[(-48.0, -49.0, 0, false)]);
}

#[test]
fn r30_outages_are_gated_in_their_own_unit() {
    let two = change("03-20T01:00", "03-20T03:00");
    let longest =
        portfolio("", "indicator: {signal: longest_outage}, target: {at_most: 1h}, window: {calendar: month}");
    check(&longest, &[], &two, &[(60.0, -60.0, 0, false)]);
    check(&longest, &[], &PlannedChange { downtime: Some(Micros(HOUR)), ..two.clone() }, &[(60.0, 0.0, 0, true)]);
    // One that was longer before is not made worse.
    check(&longest, &[("03-02T00:00", "03-02T05:00")], &two, &[(-240.0, -240.0, 0, true)]);
    let count = portfolio("", "indicator: {signal: outage_count}, target: {at_most: 1}, window: {calendar: month}");
    check(&count, &[], &two, &[(1.0, 0.0, 0, true)]);
    let spent = [("03-02T00:00", "03-02T05:00")];
    check(&count, &spent, &two, &[(0.0, -1.0, 0, false)]);
    let found = impacts(&count.objectives()[0], &states(&spent), &ApprovedWindows::new(), &two, changed(), now());
    assert_eq!(found[0].taken(), Some(Value::Count(1)));
    // 739 h between failures are 639 h more than promised; of two outages 737 h, 368.5 h each.
    let mean = portfolio("", "indicator: {signal: mtbf}, target: {at_least: 100h}, window: {calendar: month}");
    check(&mean, &spent, &two, &[(639.0 * 60.0, 268.5 * 60.0, 0, true)]);
    // A minute is no outage where it must be five to be one (R7), also at a window's edge.
    let short =
        "indicator: {signal: availability, min_outage: 5m}, target: {at_least: 99 %}, window: {calendar: month}";
    let edge = change("03-31T23:58", "04-01T00:02");
    check(&portfolio("", short), &[], &edge, &[(446.4, 446.4, 0, true), (432.0, 432.0, 0, true)]);
    // One that goes on for three minutes would be short, with three minutes of the change it is not.
    let going_on = [("03-09T23:57", "03-10T00:00")];
    check(&portfolio("", short), &going_on, &change("03-10T00:00", "03-10T00:03"), &[(446.4, 440.4, 0, true)]);
}

#[test]
fn r30_nothing_is_asked_of_what_is_known() {
    // Unknown until now: 1 % of the 22 days that are left are 316.8 min, less than the eight hours of the change.
    let unknown = Segment { start: at("03-01T00:00"), end: now(), state: State::Unknown, causes: Vec::new() };
    let (promise, eight) = (portfolio("", AVAILABILITY), change("03-20T01:00", "03-20T09:00"));
    let found = impacts(&promise.objectives()[0], &[unknown], &ApprovedWindows::new(), &eight, changed(), now());
    let tenths = |tenths: i64| Value::Time(Micros(tenths * MINUTE / 10));
    assert_eq!((found[0].left, found[0].go), (Some((tenths(3_168), tenths(-1_632))), false));
}

#[test]
fn r30_downtime_falls_where_it_costs_most() {
    // C1 excludes the hour from noon on, so an hour that began at 11:30 would be two halves of 30 min; from 13:00 on it is
    // one of an hour. At most 45 min, and none that long, are promised.
    let terms = "  exclusions: {maintenance: {notice: 1d}}\n";
    let window = Window { start: at("03-12T12:00"), end: at("03-12T13:00") };
    let approved = ApprovedWindow { window, approved_at: at("03-01T00:00"), customer: None };
    let maintenance = ApprovedWindows::from([("C1".into(), approved)]);
    for (objective, taken) in [
        (
            "indicator: {signal: longest_outage, excluded: count_good}, target: {at_most: 45m}",
            Value::Time(Micros(HOUR)),
        ),
        (
            "indicator: {signal: outage_count, excluded: count_good, min_duration: 45m}, target: {at_most: 0}",
            Value::Count(1),
        ),
    ] {
        let promise = portfolio(terms, &format!("{objective}, window: {{calendar: month}}"));
        for from in ["03-12T11:30", "03-12T13:00"] {
            let plan = PlannedChange { approved_at: None, ..change(from, "03-12T15:00") };
            let plan = PlannedChange { downtime: Some(Micros(HOUR)), ..plan };
            let found =
                impacts(&promise.objectives()[0], &states(&[]), &maintenance, &plan, changed(), now()).remove(0);
            assert_eq!((found.taken(), found.go), (Some(taken), false), "{objective} from {from}");
        }
    }
    // Parted by C1, two hours from 11:30 to 13:30 are two outages of 30 min, which is long enough to count.
    let count = "indicator: {signal: outage_count, excluded: count_good, min_duration: 30m}, target: {at_most: 1}, window: \
                 {calendar: month}";
    let promise = portfolio(terms, count);
    for (minutes, taken) in [(120, 2), (119, 1)] {
        let downtime = Some(Micros(minutes * MINUTE));
        let plan = PlannedChange { approved_at: None, downtime, ..change("03-12T10:00", "03-12T15:00") };
        let found = impacts(&promise.objectives()[0], &states(&[]), &maintenance, &plan, changed(), now()).remove(0);
        assert_eq!(found.taken(), Some(Value::Count(taken)), "{minutes} min");
    }
    // Of office hours an hour of downtime takes 30 min at 17:30 and 30 min at 08:00, if it is interrupted.
    let office = AVAILABILITY.replace("availability}", "availability, calendar: office}");
    let night = change("03-19T17:30", "03-20T08:30");
    check(
        &portfolio("", &office),
        &[],
        &PlannedChange { downtime: Some(Micros(HOUR)), ..night },
        &[(132.0, 72.0, 0, true)],
    );
}

#[test]
fn r30_an_outage_that_goes_on_makes_no_plan_cheaper() {
    // Down since 22:00: an outage that began with the plan would prolong it, and be none of its own. Any other would.
    let going_on = [("03-09T22:00", "03-10T00:00")];
    let count = portfolio("", "indicator: {signal: outage_count}, target: {at_most: 1}, window: {calendar: month}");
    for from in ["03-10T00:00", "03-10T00:01"] {
        check(&count, &going_on, &change(from, "03-10T04:00"), &[(0.0, -1.0, 0, false)]);
        let some = PlannedChange { downtime: Some(Micros(10 * MINUTE)), ..change(from, "03-10T04:00") };
        check(&count, &going_on, &some, &[(0.0, -1.0, 0, false)]);
    }
    // The longest is longer when it is prolonged: 2 h + 4 h of five.
    let longest =
        portfolio("", "indicator: {signal: longest_outage}, target: {at_most: 5h}, window: {calendar: month}");
    check(&longest, &going_on, &change("03-10T00:00", "03-10T04:00"), &[(180.0, -60.0, 0, false)]);
}

#[test]
fn r30_a_promise_that_is_missed_forbids_only_what_makes_it_worse() {
    // Restored after two hours where one was promised. Ten minutes bring the mean to 65 min, two hours leave it, three
    // make it worse.
    let promise = portfolio("", "indicator: {signal: mtrs}, target: {at_most: 1h}, window: {calendar: month}");
    let spent = [("03-03T00:00", "03-03T02:00")];
    check(&promise, &spent, &change("03-12T00:00", "03-12T00:10"), &[(-60.0, -5.0, 0, true)]);
    check(&promise, &spent, &change("03-12T00:00", "03-12T02:00"), &[(-60.0, -60.0, 0, true)]);
    check(&promise, &spent, &change("03-12T00:00", "03-12T03:00"), &[(-60.0, -90.0, 0, false)]);
}

#[test]
fn r30_an_outage_costs_most_where_excluded_time_parts_no_more_of_it_off() {
    // Restored within ten minutes once; what C1 excludes is good, so what lies on both sides of it are two outages.
    let spent = [("03-03T10:00", "03-03T10:10")];
    let left = |calendar: &str, excluded: &[(&str, &str)], from: &str, until: &str, downtime: i64| {
        let objective = format!(
            "indicator: {{signal: mtrs, excluded: count_good, calendar: {calendar}}}, target: {{at_most: 1h}}, window: \
             {{calendar: month}}"
        );
        let promise = portfolio("  exclusions: {maintenance: {notice: 1d}}\n", &objective);
        let approved = |(number, (from, until)): (usize, &(&str, &str))| {
            let window = Window { start: at(from), end: at(until) };
            (format!("C{number}").into(), ApprovedWindow { window, approved_at: at("03-01T00:00"), customer: None })
        };
        let maintenance: ApprovedWindows = excluded.iter().enumerate().map(approved).collect();
        let downtime = Some(Micros(downtime * MINUTE));
        let plan = PlannedChange { id: "new".into(), approved_at: None, downtime, ..change(from, until) };
        let found = impacts(&promise.objectives()[0], &states(&spent), &maintenance, &plan, changed(), now());
        let Some((_, Value::Time(after))) = found[0].left else { panic!("times are left") };
        after.0 as f64 / MINUTE as f64
    };
    // Between two excluded times of ten minutes lie 50: with them alone the mean is 30 min. An outage of 70 min has ten
    // more on the one side or the other, and the mean of three is 23 min 20 s.
    let two = [("03-12T10:10", "03-12T10:20"), ("03-12T11:10", "03-12T11:20")];
    assert_eq!(left("24x7", &two, "03-12T10:00", "03-12T11:40", 70), 30.0);
    // Of 14 h that end as C1 begins, 20 min are agreed and one outage: the mean is 15 min. The ten minutes of the evening
    // before would be less, and those after C1 one more.
    let one = [("03-20T08:20", "03-20T08:30")];
    assert_eq!(left("office", &one, "03-19T17:50", "03-20T08:40", 14 * 60), 45.0);
    // A change is no change without downtime, though that would cost more: five minutes are excluded, five make the mean
    // of two outages 7.5 min.
    let last = [("03-12T00:05", "03-12T00:10")];
    assert_eq!(left("24x7", &last, "03-12T00:00", "03-12T00:10", 10), 52.5);
}

/// Objectives of every kind that is gated, under every policy for excluded time.
fn an_objective() -> impl Strategy<Value = String> {
    let signals = prop::sample::select(vec![
        ("availability, min_outage: 40m", "at_least: 99.5 %"),
        ("downtime", "at_most: 2h"),
        ("longest_outage", "at_most: 90m"),
        ("outage_count", "at_most: 1"),
        ("outage_count, min_duration: 50m", "at_most: 1"),
        ("mtbf", "at_least: 200h"),
        ("mtbsi", "at_least: 200h"),
        ("mtrs", "at_most: 90m"),
    ]);
    let calendars = prop::sample::select(vec!["24x7", "office"]);
    let excluded = prop::sample::select(vec!["remove", "count_good", "count_actual"]);
    let windows = prop::sample::select(vec!["calendar: month", "calendar: day", "rolling: 10d"]);
    (signals, calendars, excluded, windows).prop_map(|((signal, target), calendar, excluded, window)| {
        format!(
            "indicator: {{signal: {signal}, calendar: \"{calendar}\", excluded: {excluded}}}, target: {{{target}}}, window: \
             {{{window}}}"
        )
    })
}

/// A stretch of half hours after now.
fn stretch(start: i64, length: i64) -> Window {
    let start = now() + Micros(start * 30 * MINUTE);
    Window { start, end: start + Micros(length * 30 * MINUTE) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn r30_a_plan_that_contains_a_no_go_is_a_no_go(
        objective in an_objective(),
        (is_emergency, notice, at_most) in (any::<bool>(), 0..30_i64, 0..8_i64),
        is_down in any::<bool>(),
        others in prop::collection::vec((0..70_i64, 1..6_i64), 0..3),
        (start, length, downtime) in (0..60_i64, 1..24_i64, 1..24_i64),
        (skipped, inner, less) in (0..24_i64, 1..24_i64, 0..24_i64),
    ) {
        let terms = format!("  exclusions: {{maintenance: {{notice: {notice}h, at_most: {}m}}}}\n", at_most * 30 + 1);
        let promise = portfolio(&terms, &objective);
        let plan = &promise.objectives()[0];
        let maintenance: ApprovedWindows = (0..).zip(others).map(|(number, (start, length))| {
            let id = format!("C{number}");
            let (window, approved_at) = (stretch(start, length), at("03-01T00:00"));
            (id.as_str().into(), ApprovedWindow { window, approved_at, customer: None })
        }).collect();
        let mut known = vec![("03-03T09:00", "03-03T10:15")];
        known.extend(is_down.then_some(("03-09T17:30", "03-10T00:00")));
        let states = states(&known);
        let outer = PlannedChange {
            id: "".into(),
            window: stretch(start, length),
            downtime: Some(Micros(downtime.min(length) * 30 * MINUTE)),
            approved_at: (!is_emergency).then(now),
            customer: None,
        };
        let skipped = skipped % length;
        let inner = inner.min(length - skipped);
        let smaller = PlannedChange {
            window: stretch(start + skipped, inner),
            downtime: Some(Micros((downtime - less).clamp(1, inner) * 30 * MINUTE)),
            ..outer.clone()
        };
        let found = impacts(plan, &states, &maintenance, &outer, changed(), now());
        let has_notice = |change: &PlannedChange| change.window.start >= now() + Micros(notice * HOUR);
        if is_emergency || has_notice(&outer) == has_notice(&smaller) {
            for impact in impacts(plan, &states, &maintenance, &smaller, changed(), now()) {
                let larger = found.iter().find(|other| other.window == impact.window).expect("a window of both");
                prop_assert!(impact.go || !larger.go, "{smaller:?} {impact:?} within {outer:?} {larger:?}");
            }
        }
        // No outage that begins and ends with a quarter of an hour costs more than what was found, or than nothing.
        let Feed::State(policy) = plan.feed() else { panic!("{objective}") };
        let mut with = maintenance.clone();
        if let Some(approved_at) = outer.approved_at {
            with.insert("".into(), ApprovedWindow { window: outer.window, approved_at, customer: None });
        }
        let asked = Asked { plan, policy, states: &states, maintenance: [maintenance, with], change: &outer, state: State::Down, now: now() };
        for impact in &found {
            let segment = impact.window.clip(plan.agreement.in_force).expect("in force");
            let excluded = plan.excluded_time(&asked.maintenance[1], segment);
            let quarters = |from: i64| (from..=2 * length).map(|quarter| outer.window.start + Micros(quarter * 15 * MINUTE));
            for outage in quarters(0).flat_map(|start| quarters(1).map(move |end| Window { start, end })) {
                let length = outage.end - outage.start;
                if length > Micros::ZERO && Some(length) <= outer.downtime {
                    let judged = asked.judged(&[outage], &excluded, segment);
                    let left = left(&plan.objective, &judged).map(amount);
                    let least = impact.left.map(|(before, after)| amount(before).min(amount(after)));
                    let costs_more = least.zip(left).is_some_and(|(least, left)| left < least);
                    prop_assert!(!costs_more, "{outage:?} leaves {left:?}: {impact:?}");
                }
            }
        }
    }
}

#[test]
fn r30_versions_that_are_not_in_force_then_are_not_touched() {
    let over = portfolio("", AVAILABILITY).objectives()[0].clone();
    let in_force = Window { start: at("01-01T00:00"), end: at("03-20T02:00") };
    let mut plan = over;
    plan.agreement = std::sync::Arc::new(crate::portfolio::AgreementPlan { in_force, ..(*plan.agreement).clone() });
    let (states, maintenance) = (states(&[]), ApprovedWindows::new());
    let found = |from, until| impacts(&plan, &states, &maintenance, &change(from, until), changed(), now());
    assert_eq!(found("03-21T01:00", "03-21T04:00"), []);
    // Of three hours one lies within.
    assert_eq!(found("03-20T01:00", "03-20T04:00")[0].taken(), Some(Value::Time(Micros(HOUR))));
}

/// A shop of all of `web` and `database`, which is any of `db-1` and `db-2`; and a `fleet`, of which db-1 is three quarters.
fn composed() -> Portfolio {
    let mut text = String::new();
    for service in [
        "{id: db-1}",
        "{id: db-2}",
        "{id: web}",
        "{id: database}\nspec: {composed_of: {any_of: [db-1, db-2]}}",
        "{id: shop}\nspec: {composed_of: {all_of: [web, database]}}",
        "{id: fleet}\nspec: {composed_of: {weighted: {parts: [{service: db-1, share: 3}, {service: db-2, share: 1}], up_from: 70 %, degraded_from: 20 %}}}",
    ] {
        text += &format!("apiVersion: plimsoll/v1\nkind: Service\nmetadata: {service}\n---\n");
    }
    text += "apiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {id: ola}\nspec:\n  type: ola\n  \
             services: [shop, fleet, database, web, db-1, db-2]\n  effective: {from: 2026-01-01}\n  \
             exclusions: {maintenance: {notice: 3d}}\n  objectives: [{id: o, \
             indicator: {signal: availability, degraded: 50 %}, target: {at_least: 99 %}, window: {calendar: month}}]\n";
    portfolio_of(&text)
}

#[test]
fn r30_services_composed_of_the_one_that_is_changed_go_down_as_their_parts_say() {
    use State::{Degraded, Down, Up};
    let portfolio = composed();
    let felt = |service: &str| {
        let place = portfolio.service_place(service).expect("a service");
        let mut felt: Vec<_> = effects(&portfolio, place)
            .into_iter()
            .map(|effect| (portfolio.service(effect.service).id.to_string(), effect.state, effect.is_changed))
            .collect();
        felt[1..].sort_by(|one, other| one.0.cmp(&other.0));
        felt
    };
    let of = |id: &str, state: State, is_changed: bool| (id.to_owned(), state, is_changed);
    // db-2 bears it for the database, so the shop above it feels nothing; of the fleet a quarter is left.
    let expected = [of("db-1", Down, true), of("database", Up, false), of("fleet", Degraded, false)];
    assert_eq!(felt("db-1"), expected);
    // Three quarters are enough.
    assert_eq!(felt("db-2"), [of("db-2", Down, true), of("database", Up, false), of("fleet", Up, false)]);
    assert_eq!(felt("database"), [of("database", Down, true), of("shop", Down, false)]);
    assert_eq!(felt("shop"), [of("shop", Down, true)]);
}

#[test]
fn r30_a_part_takes_of_the_whole_what_the_state_of_the_whole_takes() {
    let portfolio = composed();
    let left = |service: &str, state: State, maintenance: &ApprovedWindows| {
        let place = portfolio.service_place(service).expect("a service");
        let plan = portfolio.objectives().iter().find(|plan| plan.service == place).expect("a promise");
        let effect = Effect { service: place, state, is_changed: false };
        let change = PlannedChange { id: "CHG-1".into(), ..change("03-20T01:00", "03-20T04:00") };
        let impact = impacts(plan, &states(&[]), maintenance, &change, effect, now()).remove(0);
        let Some((_, Value::Time(after))) = impact.left else { panic!("{impact:?}") };
        (after.0 / (MINUTE / 10), impact.excluded.0 / MINUTE)
    };
    // 446.4 min. Three hours down; degraded for half of that; nothing. The maintenance of a part excludes nothing.
    let nothing = ApprovedWindows::new();
    assert_eq!(left("shop", State::Down, &nothing), (2_664, 0));
    assert_eq!(left("fleet", State::Degraded, &nothing), (3_564, 0));
    assert_eq!(left("database", State::Up, &nothing), (4_464, 0));
    // Events say of the change that it names the shop, too: all three hours are excluded, and take 1 % of them along.
    let known = ApprovedWindow {
        window: Window { start: at("03-15T01:00"), end: at("03-15T03:00") },
        approved_at: at("03-01T00:00"),
        customer: None,
    };
    let named = ApprovedWindows::from([("CHG-1".into(), known)]);
    assert_eq!(left("shop", State::Down, &named), (4_446, 180));
}
