//! The same facts under the policies that say what other products would say (R4, R5, R7). Each test carries the
//! product's own formula and where it is published; expected shares are worked out from that formula by hand.

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{ExcludedPolicy, Indicator, UnknownPolicy, WindowKind};

use super::*;
use crate::calendar::Calendar;
use crate::state::State;
use crate::state::service::Segment;
use crate::window::Window;

/// A day of minutes: unknown until 1:00, up, down 2:00-3:00, up, down 5:00-5:04, up, unknown 10:00-11:00, up, down
/// 20:00-22:00, up.
const DAY: [(State, i64); 9] = [
    (State::Unknown, 60),
    (State::Up, 120),
    (State::Down, 180),
    (State::Up, 300),
    (State::Down, 304),
    (State::Up, 600),
    (State::Unknown, 660),
    (State::Up, 1_200),
    (State::Down, 1_320),
];

/// Maintenance from 21:00 to 23:00, of which one hour was down and one hour up.
const MAINTENANCE: (i64, i64) = (1_260, 1_380);

fn minute(number: i64) -> Instant {
    Instant(number * Micros::MINUTE.0)
}

/// The attainment of the day under a policy, with its maintenance, and without when that is `None`.
fn attained(policy: StatePolicy, maintenance: Option<(i64, i64)>) -> Option<Share> {
    let mut start = minute(0);
    let ends = DAY.iter().copied().chain([(State::Up, 1_440)]);
    let states: Vec<Segment> = ends
        .map(|(state, end)| {
            let segment = Segment { start, end: minute(end), state, causes: Vec::new() };
            start = segment.end;
            segment
        })
        .collect();
    let excluded: Vec<Window> =
        maintenance.iter().map(|&(start, end)| Window { start: minute(start), end: minute(end) }).collect();
    let day = Window { start: minute(0), end: minute(1_440) };
    let found = stretches(&states, &excluded, &policy, day, day.end);
    let measured = measure_states(&found, &policy, &Calendar::always(), day.end - day.start);
    assert_eq!(measured.passed(), day.end - day.start, "the parts add up");
    let promise = Objective {
        id: "o".into(),
        indicator: Indicator { signal: Signal::Availability(policy), calendar: "24x7".into() },
        target: Target::AtLeast(Share(900_000_000)),
        window: WindowKind::Day,
        burn_rate_warnings: false,
        warn_at: Vec::new(),
        min_coverage: Share(0),
        min_sample: 0,
        met_when_empty: false,
        weight: 1,
        credits: Vec::new(),
    };
    judge(&promise, &measured, true).attainment
}

fn share(good: i128, of: i128) -> Option<Share> {
    Some(Share((good * 1_000_000_000 / of) as i64))
}

/// Icinga DB, `get_sla_ok_percent` (schema/mysql/schema.sql of github.com/Icinga/icingadb):
/// `100 * (total_time - problem_time) / total_time`, where time before the first check (state 99, pending) is taken off
/// `total_time`, and `problem_time` grows only while no downtime is active.
///
/// A service that is checked no more keeps its last state there, hence `hold`.
#[test]
fn r5_icinga_db_counts_scheduled_downtime_as_good() {
    let policy =
        StatePolicy { unknown: UnknownPolicy::Hold, excluded: ExcludedPolicy::CountGood, ..StatePolicy::default() };
    // Pending 60 of 1,440. Problems 60 + 4 + 60: the second hour of the last outage lies in the downtime.
    assert_eq!(attained(policy, Some(MAINTENANCE)), share(1_380 - 124, 1_380));
    assert_eq!(attained(policy, None), share(1_380 - 184, 1_380));
}

/// Zabbix, `sla.getsli` (zabbix.com/documentation/current/en/manual/api/reference/sla/getsli): `uptime` is the time
/// in the state OK and `downtime` the time in any other, both without excluded downtimes, and `sli` is the share of
/// uptime in the two. A service without a problem is OK, so time of which nothing is known counts as uptime.
#[test]
fn r5_zabbix_takes_excluded_downtimes_out_of_both() {
    let policy =
        StatePolicy { unknown: UnknownPolicy::Good, excluded: ExcludedPolicy::Remove, ..StatePolicy::default() };
    // 1,440 - 120 excluded; down 60 + 4 + 60.
    assert_eq!(attained(policy, Some(MAINTENANCE)), share(1_320 - 124, 1_320));
    assert_eq!(attained(policy, None), share(1_440 - 184, 1_440));
}

/// Checkmk, availability view (cmk/gui/availability.py of github.com/Checkmk/checkmk). Scheduled downtimes are excluded
/// from what is considered, or are ignored; unmonitored time likewise; and `melt_short_intervals` gives an interval
/// that is no longer than a limit the state of its neighbours where these agree.
///
/// Checkmk melts intervals of any state up to and with the limit, after downtimes were told apart; here only outages
/// below the limit are passed over, and before. The day has only outages to melt, so both say the same.
#[test]
fn r7_checkmk_melts_short_intervals_and_may_exclude_downtimes() {
    let five_minutes = Micros(5 * Micros::MINUTE.0);
    let excluded = StatePolicy { min_outage: five_minutes, ..StatePolicy::default() };
    // Unmonitored 120 and downtime 120 of 1,440 are not considered: 1,200, of which 60 + 60 are down. The 4 minutes
    // melt.
    assert_eq!(attained(excluded, Some(MAINTENANCE)), share(1_200 - 120, 1_200));
    let ignored = StatePolicy { excluded: ExcludedPolicy::CountActual, ..excluded };
    assert_eq!(attained(ignored, Some(MAINTENANCE)), share(1_320 - 180, 1_320));
    // Without the option, and with a limit that 4 minutes just reach: here that is not short, there it is.
    for min_outage in [Micros::ZERO, Micros(4 * Micros::MINUTE.0)] {
        assert_eq!(attained(StatePolicy { min_outage, ..excluded }, Some(MAINTENANCE)), share(1_200 - 124, 1_200));
    }
}

/// Datadog, monitor-based SLOs (docs.datadoghq.com/service_level_objectives/monitor/): the time the monitor is not in
/// ALERT divided by the total time; no data counts as uptime or as downtime, by the monitor's settings. Status
/// corrections (docs.datadoghq.com/service_level_objectives/) take periods such as planned maintenance out of it.
#[test]
fn r4_datadog_counts_no_data_by_setting_and_removes_corrected_time() {
    let policy = |unknown| StatePolicy { unknown, excluded: ExcludedPolicy::Remove, ..StatePolicy::default() };
    // 1,440 - 120 corrected; in ALERT 60 + 4 + 60; without data 60 + 60.
    assert_eq!(attained(policy(UnknownPolicy::Good), Some(MAINTENANCE)), share(1_320 - 124, 1_320));
    assert_eq!(attained(policy(UnknownPolicy::Bad), Some(MAINTENANCE)), share(1_320 - 244, 1_320));
}
