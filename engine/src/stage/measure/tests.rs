//! Days of indicators as they are written: once, when they are over, and then as differences.

use super::*;
use crate::portfolio::Portfolio;
use crate::portfolio::tests::portfolio_of;
use crate::state::State;

const DAY: i64 = Micros::DAY.0;
const HOUR: i64 = Micros::HOUR.0;

/// What is promised from the day 1970-01-02 on until the 6th; what is an hour late is not late.
const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [t], lateness: 1h}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla}
spec:
  type: sla
  customer: acme
  services: [web]
  effective: {from: 1970-01-02, until: 1970-01-06}
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: liked, indicator: {signal: satisfaction}, target: {at_least: 90 %}, window: {calendar: day}}
    - {id: slow, indicator: {signal: latency_percentile, percentile: 90 %}, target: {at_most: 300ms}, window: {calendar: day}}
";

/// One indicator of `web`, step by step.
struct World {
    portfolio: Portfolio,
    place: usize,
    state: IndicatorState,
    epoch: i64,
}

impl World {
    fn new(indicator: &str) -> World {
        let portfolio = portfolio_of(DEFINITIONS);
        let place = portfolio.services()[0].indicators.iter().position(|plan| plan.name == indicator);
        World { place: place.expect("an indicator"), portfolio, state: IndicatorState::default(), epoch: 0 }
    }

    fn plan(&self) -> &IndicatorPlan {
        &self.portfolio.services()[0].indicators[self.place]
    }

    fn step(&self, watermark: i64) -> Step {
        let at = Instant(watermark);
        Step { epoch: self.epoch, tick: at, watermark: at, publish: true, closed_until: Instant(i64::MIN) }
    }

    fn next_from(&self, watermark: i64) -> Option<i64> {
        self.state.next_from(self.plan(), &self.step(watermark)).map(|at| at.0)
    }

    /// What a step writes when the service was so from each of these hours since the epoch on.
    fn write(&mut self, watermark: i64, states: &[(i64, State)]) -> Vec<MeasureRow> {
        self.epoch += 1;
        let end = |place: usize| states.get(place + 1).map_or(watermark, |(hour, _)| (hour * HOUR).min(watermark));
        let segments = states.iter().enumerate().map(|(place, (hour, state))| Segment {
            start: Instant(hour * HOUR),
            end: Instant(end(place)),
            state: *state,
            causes: Vec::new(),
        });
        let segments: Vec<Segment> = segments.filter(|segment| segment.start < segment.end).collect();
        let (step, grace, mut facts) = (self.step(watermark), self.portfolio.grace(), Facts::default());
        let service = &self.portfolio.services()[0];
        self.state.write_states(service, &service.indicators[self.place], &step, grace, &segments, &mut facts);
        facts.measures
    }

    fn count(&mut self, at: i64, latency: Option<i64>, good: i64, total: i64) {
        let objective = self.portfolio.services()[0].event_objectives[0];
        let bin = latency.map(|latency| Bin::of(Micros(latency)));
        let counted = Contribution { objective, at: Instant(at), bin, good, total, speaks: true };
        self.state.count(&self.portfolio.services()[0].indicators[self.place], counted);
    }

    fn write_counts(&mut self, watermark: i64) -> Vec<MeasureRow> {
        self.epoch += 1;
        let (step, mut facts) = (self.step(watermark), Facts::default());
        let service = &self.portfolio.services()[0];
        self.state.write_counts(service, &service.indicators[self.place], &step, &mut facts);
        facts.measures
    }
}

/// A row of a day of `web` that says nothing yet.
fn row(indicator: &str, day: i64, recorded_at: i64, epoch: i64) -> MeasureRow {
    MeasureRow {
        service: "web".to_owned(),
        indicator: indicator.to_owned(),
        calendar: "24x7".to_owned(),
        time_zone: "UTC".to_owned(),
        customer: (indicator != "state").then(|| "acme".to_owned()),
        bucket_start: Instant(day * DAY),
        bucket_end: Instant((day + 1) * DAY),
        latency_at_most_us: None,
        good_us: 0,
        bad_us: 0,
        degraded_us: 0,
        excluded_us: 0,
        unknown_us: 0,
        good_count: 0,
        total_count: 0,
        recorded_at: Instant(recorded_at),
        epoch,
    }
}

/// Up on the first day, down from 10:00 to 11:00 on the second and up on the third; the fourth is unknown, and of the fifth
/// 2 h are degraded and 3 h unknown, after which all is up.
const STATES: &[(i64, State)] = &[
    (0, State::Up),
    (34, State::Down),
    (35, State::Up),
    (72, State::Unknown),
    (96, State::Degraded),
    (98, State::Unknown),
    (101, State::Up),
];

#[test]
fn r22_a_day_is_written_when_it_is_over_and_its_grace_is() {
    let mut world = World::new("state");
    // Nothing is promised on the first day, and of the second nothing is known at its start.
    assert_eq!((world.next_from(DAY - 1), world.next_from(DAY), world.next_from(DAY + 1)), (None, None, Some(DAY)));
    assert_eq!(world.write(2 * DAY - 1, STATES), []);
    assert_eq!(world.write(2 * DAY + HOUR - 1, STATES), []);
    let now = 2 * DAY + HOUR;
    let second = MeasureRow { good_us: 23 * HOUR, bad_us: HOUR, ..row("state", 1, now, 3) };
    assert_eq!(world.write(now, STATES), [second]);
    assert_eq!((world.write(now, STATES), world.next_from(now)), (vec![], Some(2 * DAY)), "once");
    // Neither a day of which all is good nor one of which nothing is known is written.
    assert_eq!(world.write(4 * DAY + HOUR, STATES), []);
    assert_eq!(world.state.written.keys().collect::<Vec<_>>(), [&Instant(DAY)]);
    let now = 9 * DAY;
    let fifth =
        MeasureRow { good_us: 19 * HOUR, degraded_us: 2 * HOUR, unknown_us: 3 * HOUR, ..row("state", 4, now, 6) };
    assert_eq!(world.write(now, STATES), [fifth]);
    // The agreement has ended with it.
    assert_eq!((world.next_from(now), world.write(10 * DAY, STATES)), (None, vec![]));
}

#[test]
fn r22_a_day_that_changes_is_written_as_the_difference() {
    let mut world = World::new("state");
    let now = 9 * DAY;
    assert_eq!(world.write(now, STATES).len(), 2);
    // The outage of the second day lasted from 9:00 to 11:00; there was one on the third at 5:00 for an hour.
    let mut later = vec![(0, State::Up), (33, State::Down), (35, State::Up), (53, State::Down), (54, State::Up)];
    later.extend(&STATES[3..]);
    world.state.touch(Instant(2 * DAY + 5 * HOUR));
    world.state.touch(Instant(DAY + 9 * HOUR));
    world.state.touch(Instant(3 * DAY));
    assert_eq!(world.next_from(now), Some(DAY));
    let second = MeasureRow { good_us: -HOUR, bad_us: HOUR, ..row("state", 1, now, 2) };
    let third = MeasureRow { good_us: 23 * HOUR, bad_us: HOUR, ..row("state", 2, now, 2) };
    assert_eq!(world.write(now, &later), [second, third]);
    assert_eq!(world.next_from(now), None, "it was looked at");
    // It turns out that the second day had no outage: what was written of it adds up to nothing.
    later.drain(1..3);
    world.state.touch(Instant(DAY));
    let second = MeasureRow { good_us: -22 * HOUR, bad_us: -2 * HOUR, ..row("state", 1, now, 3) };
    assert_eq!(world.write(now, &later), [second]);
    world.state.touch(Instant(DAY));
    assert_eq!(world.write(now, &later), []);
    assert_eq!(world.state.written.keys().collect::<Vec<_>>(), [&Instant(2 * DAY), &Instant(4 * DAY)]);
}

#[test]
fn r21_days_are_remembered_until_they_are_closed_and_a_day_more() {
    let mut world = World::new("state");
    world.write(9 * DAY, STATES);
    world.state.forget(Instant(6 * DAY));
    assert_eq!(world.state.written.keys().collect::<Vec<_>>(), [&Instant(4 * DAY)]);
    // What is closed is not looked at again.
    world.state.touch(Instant(DAY));
    let step = |closed_until| Step { closed_until: Instant(closed_until), ..world.step(9 * DAY) };
    let from = |closed_until| world.state.next_from(world.plan(), &step(closed_until)).map(|at| at.0 / DAY);
    assert_eq!([DAY, 3 * DAY, 5 * DAY].map(from), [Some(1), Some(3), None]);
}

#[test]
fn counts_are_written_once_by_the_day_and_the_bin() {
    let mut world = World::new("satisfaction from 4");
    for (at, good, total) in [(2 * DAY - 1, 1, 1), (DAY, 0, 1), (2 * DAY, 5, 7), (DAY + 1, 3, 4)] {
        world.count(at, None, good, total);
    }
    let liked = |day, (good_count, total_count), epoch| MeasureRow {
        good_count,
        total_count,
        ..row("satisfaction from 4", day, 3 * DAY, epoch)
    };
    assert_eq!(world.write_counts(3 * DAY), [liked(1, (4, 6), 1), liked(2, (5, 7), 1)]);
    assert_eq!(world.write_counts(3 * DAY), []);
    // What is taken back at once is not written; what is taken back later has a row of its own.
    world.count(DAY, None, 1, 1);
    world.count(DAY, None, -1, -1);
    world.count(2 * DAY, None, -5, -6);
    assert_eq!(world.write_counts(3 * DAY), [liked(2, (-5, -6), 3)]);
    // Good ones alone, as when a bad one turns out to be good.
    world.count(2 * DAY, None, 1, 0);
    assert_eq!(world.write_counts(3 * DAY), [liked(2, (1, 0), 4)]);
    // More than a column holds is said in several rows.
    world.count(DAY, None, 10, i64::MAX);
    world.count(DAY, None, 0, i64::MAX);
    world.count(DAY, None, 0, 5);
    let (most, rest) = (i64::MAX, 5);
    assert_eq!(world.write_counts(3 * DAY), [liked(1, (10, most), 5), liked(1, (0, most), 5), liked(1, (0, rest), 5)]);
}

#[test]
fn r10_latencies_are_written_bin_by_bin() {
    let mut world = World::new("latency_percentile at most 0.3s");
    // Of 200 and 300 us each has a bin of its own: up to 255 they are a microsecond wide, from 256 on two.
    for (latency, good) in [(300, 1), (200, 1), (301, 1)] {
        world.count(DAY, Some(latency), good, 1);
    }
    let slow = |latency, count| MeasureRow {
        latency_at_most_us: Some(latency),
        good_count: count,
        total_count: count,
        ..row("latency_percentile at most 0.3s", 1, 3 * DAY, 1)
    };
    assert_eq!(world.write_counts(3 * DAY), [slow(200, 1), slow(301, 2)]);
}
