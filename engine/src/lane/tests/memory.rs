//! The state is bounded by what is open, and forgetting what has passed changes nothing of what is remembered (R21, R22).

use super::*;

/// Half hours of a day, the days that these worlds last, and how many days behind the watermark are remembered.
const DAY: i64 = 48;
const DAYS: i64 = 40;
const REMEMBERED: Micros = Micros(3 * 24 * HOUR);

/// The promises of the other tests, for good, and over windows of a week at most.
fn lasting() -> String {
    let documents = DEFINITIONS.split("---\n").filter(|document| !document.contains("id: paid"));
    let text = documents.collect::<Vec<_>>().join("---\n");
    text.replace(", until: 1970-01-08", "").replace("calendar: month", "calendar: week")
}

/// What arrives on each day, with what tells it apart.
type Arrivals = Vec<Vec<(usize, Happening)>>;

/// Happenings by when they arrive, up to two days late. A ticket or a change is one of its two days.
fn arrivals(events: &[(Happening, i64)]) -> Arrivals {
    let mut days = vec![Vec::new(); DAYS as usize + 3];
    for (number, &(event, late)) in events.iter().enumerate() {
        let time = event.time();
        let id = |id: u8| (time / (2 * DAY)) as u8 * 6 + id;
        let event = match event {
            Happening::Ticket(_, ticket, action) => Happening::Ticket(time, id(ticket), action),
            Happening::Change(_, change, Said::Planned(start, length)) => {
                Happening::Change(time, id(change), Said::Planned(time + start, time + start + length))
            }
            Happening::Change(_, change, said) => Happening::Change(time, id(change), said),
            other => other,
        };
        days[((time + late) / DAY) as usize].push((number, event));
    }
    days
}

/// What is said at the end of each day.
fn told(arrivals: &Arrivals, lanes: usize, remembered: Option<Micros>, restart_on: usize) -> Vec<Facts> {
    let portfolio = portfolio_of(&lasting());
    let mut group = LaneGroup::new(portfolio.clone(), lanes);
    remembered.into_iter().for_each(|span| group.remember(span));
    let (mut all, mut offset) = (Vec::new(), 0);
    for (day, events) in arrivals.iter().enumerate() {
        let tick = Instant((day as i64 + 1) * 24 * HOUR);
        group.fold(&delivery(events, offset, true), tick);
        offset += events.len() as i64;
        all.push(group.close(day as i64 + 1, tick, true));
        if day == restart_on {
            let bytes = group.snapshot().expect("a snapshot");
            group = LaneGroup::restore(portfolio.clone(), lanes, &bytes).expect("restored");
        }
    }
    assert_eq!(group.beyond_history(), 0, "nothing was later than what is remembered");
    all
}

fn late_happening() -> impl Strategy<Value = (Happening, i64)> {
    let status = prop::sample::select(vec![Status::Up, Status::Up, Status::Up, Status::Down, Status::Degraded]);
    let action = prop::sample::select(vec![
        Action::Opened,
        Action::Acknowledged,
        Action::Paused,
        Action::Resolved,
        Action::Resolved,
        Action::Reopened,
        Action::Closed,
        Action::Cancelled,
    ]);
    let said = prop_oneof![
        3 => (20..60_i64, 1..20_i64).prop_map(|(start, length)| Said::Planned(start, length)),
        3 => Just(Said::Approved),
        2 => Just(Said::Finished),
        1 => Just(Said::Cancelled),
    ];
    let times = || 0..DAYS * DAY;
    let happening = prop_oneof![
        6 => (times(), status).prop_map(|(time, status)| Happening::Probe(time, status)),
        4 => (times(), 0..6_u8, action).prop_map(|(time, ticket, action)| Happening::Ticket(time, ticket, action)),
        1 => (times(), 0..11_i64).prop_map(|(time, score)| Happening::Score(time, score)),
        3 => (times(), 0..4_u8, said).prop_map(|(time, change, said)| Happening::Change(time, change, said)),
    ];
    (happening, 0..2 * DAY)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn r21_forgetting_what_has_passed_changes_no_row_of_what_is_remembered(
        events in prop::collection::vec(late_happening(), 1..150),
        lanes in 1..3_usize,
        restart_on in 0..DAYS as usize,
    ) {
        let arrivals = arrivals(&events);
        let (whole, forgetful) = (told(&arrivals, lanes, None, restart_on), told(&arrivals, lanes, Some(REMEMBERED), restart_on));
        for (day, (expected, found)) in whole.iter().zip(&forgetful).enumerate() {
            prop_assert_eq!(found, expected, "on day {}", day);
        }
    }
}

/// A day like any other, for each of the others: an outage that a check sees and one that a ticket declares, scores, a
/// change with its maintenance, a request.
fn day_like_any(day: i64) -> Vec<(usize, Happening)> {
    let at = |half_hour| day * DAY + half_hour;
    let id = |number: i64| (day * 4 + number).rem_euclid(240) as u8;
    let mut events: Vec<_> = (0..DAY)
        .map(|half_hour| Happening::Probe(at(half_hour), if half_hour == 20 { Status::Down } else { Status::Up }))
        .collect();
    events.extend([
        Happening::Ticket(at(10), id(1), Action::Opened),
        Happening::Ticket(at(11), id(0), Action::Opened),
        Happening::Ticket(at(30), id(1), Action::Resolved),
        Happening::Ticket(at(33), id(0), Action::Closed),
        Happening::Score(at(30), 9),
        Happening::Change(at(2), id(2), Said::Planned(at(40), at(44))),
        Happening::Change(at(3), id(2), Said::Approved),
        Happening::Change(at(43), id(2), Said::Finished),
    ]);
    events.into_iter().enumerate().map(|(number, event)| ((day * 100) as usize + number, event)).collect()
}

/// The largest state in each of these spans of days, in bytes.
fn largest(remembered: Option<Micros>, spans: &[std::ops::Range<i64>]) -> Vec<usize> {
    let mut group = LaneGroup::new(portfolio_of(&lasting()), 1);
    remembered.into_iter().for_each(|span| group.remember(span));
    let (mut offset, mut found) = (0, vec![0; spans.len()]);
    for day in 0..spans.iter().map(|span| span.end).max().unwrap_or(0) {
        let (events, tick) = (day_like_any(day), Instant((day + 1) * 24 * HOUR));
        group.fold(&delivery(&events, offset, true), tick);
        offset += events.len() as i64;
        group.close(day + 1, tick, true);
        for (size, _) in found.iter_mut().zip(spans).filter(|(_, span)| span.contains(&day)) {
            *size = group.snapshot().expect("a snapshot").len().max(*size);
        }
    }
    found
}

#[test]
fn r21_the_state_is_bounded_by_what_is_open_not_by_what_has_passed() {
    // Without forgetting, 63 days add so much; what one check saw is cut each nine days, so that 63 are like any other 63.
    let whole = largest(None, &[107..108, 170..171]);
    let added = whole[1] - whole[0];
    // By then the 32 windows that forecasts are made of are there, here weeks. What is still being filled up is what was
    // counted in the last 1,024 minutes in which anything was: one a day of some objectives.
    let bounded = largest(Some(REMEMBERED), &[400..463, 463..526]);
    assert!(bounded[1] < bounded[0] + added / 63, "{bounded:?}, and a day adds {}", added / 63);
    assert!(whole[1] > bounded[1]);
}

#[test]
fn r22_what_comes_later_than_is_remembered_is_counted_and_changes_nothing() {
    let mut group = LaneGroup::new(portfolio_of(&lasting()), 2);
    group.remember(REMEMBERED);
    let mut offset = 0;
    let mut said = |day: i64, events: &[(usize, Happening)]| {
        let tick = Instant((day + 1) * 24 * HOUR);
        group.fold(&delivery(events, offset, true), tick);
        offset += events.len() as i64;
        (group.close(day + 1, tick, true), group.beyond_history())
    };
    for day in 0..30 {
        assert_eq!(said(day, &day_like_any(day)).1, 0);
    }
    // Of day 1: a result, a score, a ticket of its own, a change. All of it is closed.
    let late = [
        Happening::Probe(DAY + 5, Status::Down),
        Happening::Score(DAY + 5, 0),
        Happening::Ticket(DAY + 5, 241, Action::Opened),
        Happening::Change(DAY + 5, 241, Said::Planned(DAY + 6, DAY + 9)),
    ];
    let late: Vec<_> = late.into_iter().enumerate().map(|(number, event)| (9_000 + number, event)).collect();
    let (facts, beyond) = said(29, &late);
    assert_eq!((facts.has_rows(), beyond), (false, 4), "{facts:#?}");
    // A ticket and a change of day 21 come back today: neither is new. The longest rolling window that is open at the end
    // of day 27 begins with day 23.
    let back = [
        Happening::Ticket(30 * DAY + 1, 21 * 4 + 1, Action::Reopened),
        Happening::Change(30 * DAY + 1, 21 * 4 + 2, Said::Finished),
    ];
    let back: Vec<_> = back.into_iter().enumerate().map(|(number, event)| (9_100 + number, event)).collect();
    let (facts, beyond) = said(30, &back);
    assert_eq!((facts.clocks.len(), beyond), (0, 6));
}
