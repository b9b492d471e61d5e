//! Forecasts of past windows, as the engine would have made them then.

use anyhow::{Result, bail};
use chrono_tz::UTC;
use plimsoll_engine::calendar::Calendar;
use plimsoll_engine::forecast::{Past, forecast};
use plimsoll_engine::state::service::Segment;
use plimsoll_engine::verdict::{Measured, Stretch, Verdict, judge, measure_states, stretches};
use plimsoll_engine::window::{Window, windows_between};
use plimsoll_schemas::definition::{File, Objective, Signal, StatePolicy, Target, WindowKind, load};
use plimsoll_schemas::{Instant, Micros};

/// A service as it went, from its first state until `end`.
pub struct Service {
    /// Without gap or overlap.
    pub states: Vec<Segment>,
    /// The end of the last.
    pub end: Instant,
}

/// A promise, and the time that counts for it.
pub struct Promise {
    objective: Objective,
    policy: StatePolicy,
    calendar: Calendar,
}

/// What was said of a window and what became of it.
pub struct Said {
    /// The id of the promise.
    pub promise: String,
    /// The probability of a breach.
    pub probability: f64,
    /// Whether what was measured until then would be too much if it went on like that.
    pub straight_line: bool,
    /// Whether it was breached at the end.
    pub breached: bool,
    /// Whether that was open when it was said.
    pub open: bool,
}

/// When forecasts are made: at these percentages of a window's agreed time.
const AT: [i64; 3] = [25, 50, 75];

/// Windows of which less than this percentage is known at the end are left out: nobody knows what became of them.
const KNOWN_MIN: i64 = 90;

/// The promises for the services that are made up.
pub fn promises_for_services() -> Result<Vec<Promise>> {
    promises(
        "    - {id: three-nines, indicator: {signal: availability}, target: {at_least: 99.9 %}, window: {calendar: month}}
    - {id: office, indicator: {signal: availability, calendar: office, degraded: 50 %}, target: {at_least: 99.5 %}, window: {calendar: month}}
    - {id: downtime, indicator: {signal: downtime}, target: {at_most: 2h}, window: {calendar: month}}
    - {id: longest, indicator: {signal: longest_outage}, target: {at_most: 1h}, window: {calendar: month}}
    - {id: count, indicator: {signal: outage_count}, target: {at_most: 2}, window: {calendar: month}}",
    )
}

/// The promises for the sites of the log: those that `tests/real/uptime` makes of them by month.
pub fn promises_for_sites() -> Result<Vec<Promise>> {
    promises(
        "    - {id: month, indicator: {signal: availability}, target: {at_least: 99.5 %}, window: {calendar: month}}
    - {id: downtime, indicator: {signal: downtime}, target: {at_most: 4h}, window: {calendar: month}}
    - {id: longest-outage, indicator: {signal: longest_outage}, target: {at_most: 1h}, window: {calendar: month}}
    - {id: outages, indicator: {signal: outage_count}, target: {at_most: 3}, window: {calendar: month}}",
    )
}

fn promises(objectives: &str) -> Result<Vec<Promise>> {
    let text = format!(
        "apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: any}}\n---\napiVersion: plimsoll/v1\nkind: Calendar\n\
         metadata: {{id: office}}\nspec: {{time_zone: UTC, hours: [{{days: mon-fri, from: \"08:00\", until: \"18:00\"}}]}}\n\
         ---\napiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: any}}\nspec:\n  type: ola\n  services: [any]\n  \
         effective: {{from: 2020-01-01}}\n  objectives:\n{objectives}\n"
    );
    let definitions = match load(&[File { name: "promises.yaml", text: &text }]) {
        Ok(definitions) => definitions,
        Err(problems) => bail!("the promises are not sound: {problems:?}"),
    };
    let promise = |objective: &Objective| {
        let calendar = match definitions.calendars.get(&objective.indicator.calendar) {
            Some(versions) => Calendar::compile(versions),
            None => Calendar::always(),
        };
        Ok(Promise { objective: objective.clone(), policy: policy_of(&objective.indicator.signal)?, calendar })
    };
    definitions.agreements.iter().flat_map(|agreement| &agreement.objectives).map(promise).collect()
}

fn policy_of(signal: &Signal) -> Result<StatePolicy> {
    match signal {
        Signal::Availability(policy)
        | Signal::Downtime(policy)
        | Signal::LongestOutage(policy)
        | Signal::OutageCount(policy) => Ok(*policy),
        other => bail!("{} is not forecast", other.as_str()),
    }
}

/// What is said of all whole months of all services.
///
/// # Errors
/// When a promise cannot be forecast, which is a defect of this benchmark.
pub fn forecasts(services: &[Service], promises: &[Promise]) -> Result<Vec<Said>> {
    let mut said = Vec::new();
    for service in services {
        let Some(first) = service.states.first() else { continue };
        for promise in promises {
            let mut earlier: Vec<Past> = Vec::new();
            for window in windows_between(WindowKind::Month, UTC, first.start, service.end) {
                if window.end > service.end {
                    break;
                }
                let (end, whole) = promise.seen(service, window, window.end);
                let known = (end.passed() - end.unknown).0;
                let judged = judge(&promise.objective, &end, true);
                if known * 100 >= end.agreed.0 * KNOWN_MIN {
                    for percent in AT {
                        said.push(promise.say(
                            service,
                            window,
                            percent,
                            &earlier,
                            judged.verdict == Verdict::Breached,
                        )?);
                    }
                }
                earlier.push(whole);
            }
        }
    }
    Ok(said)
}

impl Promise {
    /// What was known of a window at an instant.
    fn seen(&self, service: &Service, window: Window, now: Instant) -> (Measured, Past) {
        let first = service.states.partition_point(|state| state.end <= window.start);
        let after = service.states.partition_point(|state| state.start < now);
        let mut states = service.states[first..after].to_vec();
        if let Some(last) = states.last_mut() {
            last.end = last.end.min(now);
        }
        let stretches: Vec<Stretch> = stretches(&states, &[], &self.policy, window, now);
        let agreed = self.calendar.elapsed(window.start, window.end);
        let past = Past::read(&self.objective.indicator.signal, &self.policy, &stretches, &self.calendar);
        (measure_states(&stretches, &self.policy, &self.calendar, agreed), past)
    }

    fn say(&self, service: &Service, window: Window, percent: i64, earlier: &[Past], breached: bool) -> Result<Said> {
        let agreed = self.calendar.elapsed(window.start, window.end);
        let passed = Micros(agreed.0 / 100 * percent);
        let now = self.calendar.due(window.start, passed).unwrap_or(window.end);
        let (measured, past) = self.seen(service, window, now);
        let judged = judge(&self.objective, &measured, false);
        let forecast =
            forecast(&self.objective, &measured, judged.budget_left, agreed - passed, &past, earlier.iter().rev());
        let Some(forecast) = forecast else { bail!("{} is not forecast", self.objective.id) };
        let beyond = |value: i64, limit: i64| {
            i128::from(value) * i128::from(agreed.0) > i128::from(limit) * i128::from(passed.0)
        };
        let straight_line = match (self.objective.target, judged.budget.zip(judged.budget_left)) {
            (_, Some((budget, left))) => beyond((budget - left).0, budget.0),
            (Target::AtMostCount(limit), _) => beyond(measured.outage_count, limit),
            (Target::AtMostTime(limit), _) => measured.longest_outage > limit,
            _ => false,
        };
        let open = forecast.breach_probability > 0.0 && judged.verdict != Verdict::Breached;
        let promise = self.objective.id.clone();
        Ok(Said { promise, probability: forecast.breach_probability, straight_line, breached, open })
    }
}
