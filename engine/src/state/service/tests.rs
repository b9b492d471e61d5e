use plimsoll_schemas::definition::{Composition, CompositionRule, Part};
use proptest::prelude::*;

use super::*;

fn rule(evidence: Evidence, down_when: DownWhen) -> StateRule {
    StateRule { evidence, down_when, stale_after: Micros(10), composition: None }
}

/// Observations are (check, time, status); claims are (ticket, from, until).
fn check(rule: StateRule, observations: &[(&str, i64, Status)], claims: &[(&str, i64, Option<i64>)], expected: &str) {
    let mut history = ServiceHistory::default();
    for &(name, time, status) in observations {
        let place = history.check(name);
        history.observe(place, Instant(time), status, &rule);
    }
    for &(ticket, start, end) in claims {
        history.claim(&ticket.into(), vec![(Instant(start), end.map(Instant))]);
    }
    history.settle(&rule);
    let found: Vec<String> = history
        .segments(&rule, Instant(0), Instant(100))
        .iter()
        .map(|segment| {
            let causes = segment.causes.iter().map(|cause| cause.as_ref()).collect::<Vec<_>>().join("+");
            format!("{} {}-{} {causes}", segment.state.as_str(), segment.start.0, segment.end.0).trim_end().to_owned()
        })
        .collect();
    assert_eq!(found.join(", "), expected);
}

#[test]
fn r4_unknown_before_the_first_observation_and_when_stale() {
    let observations = [("a", 20, Status::Up), ("a", 30, Status::Up), ("a", 60, Status::Up)];
    let expected = "unknown 0-20, up 20-40, unknown 40-60, up 60-70, unknown 70-100";
    check(rule(Evidence::Both, DownWhen::AnyDown), &observations, &[], expected);
    // What changes no state parts none: the second check is seen for the first time at 5.
    let observations = [("a", 0, Status::Up), ("b", 5, Status::Up)];
    check(rule(Evidence::Both, DownWhen::AllDown), &observations, &[], "up 0-15, unknown 15-100");
}

#[test]
fn r21_of_forgotten_time_no_claim_is_remembered() {
    let mut history = ServiceHistory::default();
    history.claim(&"T1".into(), vec![(Instant(5), Some(Instant(10)))]);
    assert_eq!((history.told_from(), history.kept_from()), (Some(Instant(5)), None));
    history.forget_before(Instant(10));
    assert_eq!((history.told_from(), history.kept_from()), (None, Some(Instant(10))));
    history.claim(&"T2".into(), vec![(Instant(5), Some(Instant(10)))]);
    assert_eq!(history.told_from(), None);
    history.claim(&"T2".into(), vec![(Instant(5), Some(Instant(11)))]);
    assert_eq!(history.told_from(), Some(Instant(5)));
    history.forget_before(Instant(8));
    assert_eq!(history.kept_from(), Some(Instant(10)), "never back");
}

#[test]
fn r3_what_the_known_checks_decide_stands() {
    // `a` is known over 0-40; `b` is observed once, at 5, and stale from 15 on.
    let mut observations: Vec<_> = (0..=3).map(|tenth| ("a", tenth * 10, Status::Down)).collect();
    observations.push(("b", 5, Status::Up));
    check(rule(Evidence::Both, DownWhen::AnyDown), &observations, &[], "down 0-40 a, unknown 40-100");
    // All down: at 0-5 `a` is the only check seen; at 5-15 `b` is up and decides; afterwards it is unknown.
    check(rule(Evidence::Both, DownWhen::AllDown), &observations, &[], "down 0-5 a, up 5-15, unknown 15-100");
    check(rule(Evidence::Both, DownWhen::AtLeast(2)), &observations, &[], "up 0-15, unknown 15-100");
}

#[test]
fn r3_an_outage_is_down_whatever_the_checks_say_and_causes_are_a_union() {
    let observations = [("a", 0, Status::Up), ("a", 10, Status::Down), ("a", 20, Status::Up), ("a", 30, Status::Up)];
    let claims = [("T1", 5, Some(15)), ("T2", 12, Some(25))];
    let expected = "up 0-5, down 5-10 T1, down 10-12 T1+a, down 12-15 T1+T2+a, down 15-20 T2+a, down 20-25 T2, up 25-40, unknown 40-100";
    check(rule(Evidence::Both, DownWhen::AnyDown), &observations, &claims, expected);
    check(
        rule(Evidence::Checks, DownWhen::AnyDown),
        &observations,
        &claims,
        "up 0-10, down 10-20 a, up 20-40, unknown 40-100",
    );
    check(
        rule(Evidence::Incidents, DownWhen::AnyDown),
        &observations,
        &claims,
        "up 0-5, down 5-12 T1, down 12-15 T1+T2, down 15-25 T2, up 25-100",
    );
}

#[test]
fn a_degraded_check_degrades_and_the_checks_own_doubt_is_unknown() {
    let observations = [("a", 0, Status::Degraded), ("a", 10, Status::Unknown), ("a", 20, Status::Up)];
    check(
        rule(Evidence::Checks, DownWhen::AnyDown),
        &observations,
        &[],
        "degraded 0-10 a, unknown 10-20, up 20-30, unknown 30-100",
    );
}

#[test]
fn r3_a_degraded_state_is_caused_by_all_checks_that_degrade_it() {
    // Two of three must be down: one is and one is degraded, so together they degrade.
    let observations = [("a", 0, Status::Down), ("b", 0, Status::Degraded), ("c", 0, Status::Up)];
    let expected = "degraded 0-10 a+b, unknown 10-100";
    check(rule(Evidence::Checks, DownWhen::AtLeast(2)), &observations, &[], expected);
}

#[test]
fn r32_a_composite_keeps_what_its_own_checks_and_its_parts_can_be_at_the_worst() {
    // The parts: `any_of` a degraded and an unknown one is between degraded and up. The own checks, of which all must be
    // down: one degraded and one unknown are between degraded and up as well, and two degraded are degraded.
    let part = |name: &str| Part { service: name.to_owned(), share: 1 };
    let composition = Composition { parts: vec![part("p"), part("q")], rule: CompositionRule::AnyOf };
    let rule = StateRule { composition: Some(composition), ..rule(Evidence::Checks, DownWhen::AllDown) };
    let mut history = ServiceHistory::default();
    history.follow([("p".into(), State::Degraded), ("q".into(), State::Unknown)].into_iter());
    for (name, time, status) in [
        ("a", 0, Status::Degraded),
        ("a", 10, Status::Degraded),
        ("a", 20, Status::Degraded),
        ("b", 0, Status::Unknown),
        ("b", 10, Status::Degraded),
    ] {
        let place = history.check(name);
        history.observe(place, Instant(time), status, &rule);
    }
    history.settle(&rule);
    let states = history.segments(&rule, Instant(0), Instant(30));
    let shown: Vec<_> = states.iter().map(|segment| (segment.state, segment.start.0, segment.end.0)).collect();
    assert_eq!(shown, [(State::Unknown, 0, 10), (State::Degraded, 10, 20), (State::Unknown, 20, 30)]);
}

#[test]
fn an_open_claim_lasts() {
    check(rule(Evidence::Both, DownWhen::AnyDown), &[], &[("T1", 40, None)], "unknown 0-40, down 40-100 T1");
}

#[test]
fn r3_what_unknown_checks_leave_open_is_unknown() {
    let states = |needed, statuses: &[Status]| {
        let rule = rule(Evidence::Checks, DownWhen::AtLeast(needed));
        let mut history = ServiceHistory::default();
        for (name, status) in ["a", "b", "c", "d"].into_iter().zip(statuses) {
            let place = history.check(name);
            history.observe(place, Instant(0), *status, &rule);
        }
        history.segments(&rule, Instant(0), Instant(1))[0].state
    };
    use Status::{Degraded, Down, Unknown, Up};
    for (needed, statuses, expected) in [
        // One is down and one may be: both decide it. Without it two would degrade.
        (2, [Down, Unknown, Degraded, Up], State::Unknown),
        (2, [Down, Degraded, Degraded, Up], State::Degraded),
        (2, [Up, Degraded, Degraded, Up], State::Degraded),
        // Three are not up only if the unknown one is not.
        (3, [Down, Degraded, Unknown, Up], State::Unknown),
        (3, [Down, Degraded, Up, Up], State::Up),
        (4, [Down, Degraded, Unknown, Up], State::Up),
        (4, [Degraded, Degraded, Degraded, Unknown], State::Unknown),
    ] {
        assert_eq!(states(needed, &statuses), expected, "{needed} of {statuses:?}");
    }
}

/// A composite of `part` alone.
fn composite(evidence: Evidence) -> StateRule {
    let parts = vec![Part { service: "part".to_owned(), share: 1 }];
    let composition = Some(Composition { parts, rule: CompositionRule::AllOf });
    StateRule { composition, ..rule(evidence, DownWhen::AnyDown) }
}

fn told(history: &mut ServiceHistory, rule: &StateRule, changes: &[(i64, State)]) -> Option<i64> {
    let changes = changes.iter().map(|&(at, state)| (Instant(at), (state, Vec::new()))).collect();
    history.hear(rule, &"part".into(), Instant(0), changes).map(|at| at.0)
}

#[test]
fn r32_a_check_or_a_ticket_of_a_composite_is_one_more_part() {
    let rule = composite(Evidence::Both);
    let shown = |history: &ServiceHistory| {
        let segments = history.segments(&rule, Instant(0), Instant(30));
        segments.iter().map(|segment| (segment.state, segment.start.0)).collect::<Vec<_>>()
    };
    let mut plain = ServiceHistory::default();
    plain.follow([("part".into(), State::Up)].into_iter());
    assert_eq!(told(&mut plain, &rule, &[(20, State::Down)]), Some(20));
    assert_eq!(shown(&plain), [(State::Up, 0), (State::Down, 20)]);
    let mut claimed = plain.clone();
    claimed.claim(&"T1".into(), vec![(Instant(5), Some(Instant(10)))]);
    assert_eq!(shown(&claimed), [(State::Up, 0), (State::Down, 5), (State::Up, 10), (State::Down, 20)]);
    let mut checked = plain.clone();
    let place = checked.check("a");
    checked.observe(place, Instant(5), Status::Degraded, &rule);
    // After 15 it is stale.
    let expected = [(State::Up, 0), (State::Degraded, 5), (State::Unknown, 15), (State::Down, 20)];
    assert_eq!(shown(&checked), expected);
}

#[test]
fn r3_what_is_known_first_and_last_may_be_a_check_a_claim_or_a_part() {
    let (own, parts) = (rule(Evidence::Both, DownWhen::AnyDown), composite(Evidence::Both));
    let mut history = ServiceHistory::default();
    history.follow([("part".into(), State::Unknown)].into_iter());
    let first = |history: &ServiceHistory, rule| (history.known_from(rule), history.told_from());
    assert_eq!(first(&history, &own), (None, None));
    told(&mut history, &own, &[(30, State::Up), (40, State::Unknown)]);
    // By this rule it has no parts, though it was told of one.
    assert_eq!(first(&history, &own), (None, Some(Instant(30))));
    assert_eq!(first(&history, &parts), (Some(Instant(30)), Some(Instant(30))));
    let last = |history: &ServiceHistory, time| history.last_known_before(&parts, Instant(time)).map(|at| at.0);
    assert_eq!([30, 31, 60].map(|time| last(&history, time)), [None, Some(30), Some(30)]);
    history.claim(&"T1".into(), vec![(Instant(20), Some(Instant(25)))]);
    assert_eq!(first(&history, &own), (Some(Instant(20)), Some(Instant(20))));
    assert_eq!([20, 21, 31].map(|time| last(&history, time)), [None, Some(20), Some(30)]);
    let place = history.check("a");
    history.observe(place, Instant(10), Status::Up, &own);
    assert_eq!(first(&history, &own), (Some(Instant(10)), Some(Instant(10))));
    assert_eq!(first(&ServiceHistory::default(), &parts), (None, None));
    // Known before anything is known of its parts.
    let mut known = ServiceHistory::default();
    known.follow([("part".into(), State::Up)].into_iter());
    assert_eq!(known.last_known_before(&parts, Instant(50)), None);
    told(&mut known, &parts, &[(30, State::Unknown)]);
    assert_eq!(known.last_known_before(&parts, Instant(50)), Some(Instant(29)));
}

#[test]
fn r23_only_what_may_have_changed_is_read_again() {
    let rule = rule(Evidence::Both, DownWhen::AnyDown);
    let mut history = ServiceHistory::default();
    let place = history.check("a");
    history.observe(place, Instant(5), Status::Up, &rule);
    let changed = |history: &ServiceHistory, watermark| history.changed_from(Instant(watermark)).map(|at| at.0);
    assert_eq!([5, 6].map(|watermark| changed(&history, watermark)), [None, Some(5)]);
    assert!(!history.moves_by(&rule, Instant(100)), "nothing was read yet");
    history.read_until(Instant(10));
    assert_eq!(changed(&history, 100), None);
    // It is stale from 15 on.
    assert_eq!([14, 15, 100].map(|watermark| history.moves_by(&rule, Instant(watermark))), [false, true, true]);
    history.read_until(Instant(15));
    assert!(!history.moves_by(&rule, Instant(100)), "what was read ends as it goes on");
    // A claim of what lies ahead stays to be read, also at the very watermark.
    history.claim(&"T1".into(), vec![(Instant(12), Some(Instant(20)))]);
    history.read_until(Instant(20));
    assert_eq!((changed(&history, 20), changed(&history, 100)), (None, Some(20)));
    history.read_until(Instant(21));
    assert_eq!(changed(&history, 100), None);
    // What comes late and says nothing new may end unknown time that was read.
    history.observe(place, Instant(14), Status::Up, &rule);
    assert_eq!(changed(&history, 100), Some(14));
    history.read_until(Instant(30));
    history.observe(place, Instant(30), Status::Down, &rule);
    history.observe(place, Instant(31), Status::Down, &rule);
    history.read_until(Instant(32));
    history.observe(place, Instant(32), Status::Down, &rule);
    assert_eq!(changed(&history, 100), None, "in order and nothing new");
}

proptest! {
    #[test]
    fn r21_reading_what_changed_leads_to_the_states_that_reading_all_leads_to(
        steps in prop::collection::vec((0..6_usize, 0..30_i64, 0..12_i64, 0..4_usize, 0..5_i64), 1..40),
        needed in 1..3_u32,
    ) {
        let rule = rule(Evidence::Both, DownWhen::AtLeast(needed));
        let mut history = ServiceHistory::default();
        let (mut read, mut known) = (0, Vec::new());
        for (what, late, length, rank, further) in steps {
            let time = (read + 3 - late).max(0);
            match what {
                0..3 => {
                    let place = history.check(["a", "b", "c"][what]);
                    let status = [Status::Up, Status::Down, Status::Degraded, Status::Unknown][rank];
                    history.observe(place, Instant(time), status, &rule);
                }
                3 => history.claim(&"T1".into(), vec![(Instant(time), Some(Instant(time + length + 1)))]),
                4 => history.claim(&"T1".into(), vec![(Instant(time), None)]),
                _ => history.claim(&"T1".into(), Vec::new()),
            }
            let watermark = read + further;
            let changed = history.changed_from(Instant(watermark)).map(|at| at.0);
            let further = Instant(watermark + 1);
            let is_same = history.changed_from(further).is_none() && !history.moves_by(&rule, Instant(watermark));
            history.settle(&rule);
            // Until and at the watermark.
            let unread = history.segments(&rule, Instant(read), further);
            prop_assert!(!is_same || unread.len() == 1, "{:?} from {}", unread, read);
            let from = changed.unwrap_or(watermark).min(read);
            // What is read on may begin later than what was read before, or earlier.
            let whole = (Instant((watermark - late).max(0)), Instant(watermark));
            known = history.extend(&rule, known, Instant(from), whole);
            prop_assert_eq!(&known, &history.segments(&rule, whole.0, whole.1), "until {}", watermark);
            history.read_until(Instant(watermark));
            read = watermark;
        }
    }
}
