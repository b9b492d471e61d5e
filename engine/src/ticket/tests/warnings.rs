//! When shares of a clock's target are used up (R28).

use plimsoll_schemas::ratio::Share;

use super::*;

/// `share at` for each share that is or will be used up, of every clock, as it stands at the time before the bar.
fn check_used_up(kind: ClockKind, rule: &ClockRule, calendar: &Calendar, shares: &[&str], lines: &str, expected: &str) {
    let (now, records) = lines.split_once('|').expect("now, a bar, records");
    let now = at(now.trim());
    let history = log(records).history(now).expect("at least one record");
    let shares: Vec<Share> = shares.iter().map(|text| Share::parse(text).expect("a share")).collect();
    let found = clocks(&history, kind, rule, &|_| true, calendar, ALWAYS, now);
    let used = found.iter().flat_map(|clock| used_up(&history, rule, calendar, clock, &shares, now));
    let shown: Vec<String> = used.map(|(share, at)| format!("{share} {}", show(at))).collect();
    assert_eq!(shown.join(", "), expected, "{lines}");
}

const SHARES: [&str; 3] = ["50 %", "75 %", "90 %"];

fn check_four_hours(lines: &str, expected: &str) {
    check_used_up(ClockKind::Resolution, &rule(240), &BUSINESS_HOURS, &SHARES, lines, expected);
}

#[test]
fn r28_shares_are_used_up_in_agreed_time_without_pauses() {
    // 2 h, 3 h and 3 h 36 min of 4 h. Nothing needs to happen then.
    check_four_hours("12:00 | 09:00 opened", "50 % 11:00, 75 % 12:00, 90 % 12:36");
    // From 15:30 on 90 min are left of the day; the rest is on Tuesday from 08:00.
    check_four_hours("18:00 | 15:30 opened", "50 % 6/08:30, 75 % 6/09:30, 90 % 6/10:06");
    // 15:00 + 2 h is the evening, not the next morning (R2).
    check_four_hours("18:00 | 15:00 opened", "50 % 17:00, 75 % 6/09:00, 90 % 6/09:36");
    // An hour of pause puts off what is not yet used up.
    check_four_hours("14:00 | 09:00 opened; 11:30 paused; 12:30 resumed", "50 % 11:00, 75 % 13:00, 90 % 13:36");
    // A pause that begins at the very instant comes too late to stop it; those beyond it are not known while it lasts.
    check_four_hours("14:00 | 09:00 opened; 11:00 paused", "50 % 11:00");
    check_four_hours("14:00 | 09:00 opened; 10:59 paused", "");
}

#[test]
fn r28_a_clock_warns_only_while_it_runs() {
    // Stopped at the very instant at which 75 % are used up, it does not run there.
    check_four_hours("17:00 | 09:00 opened; 12:00 resolved", "50 % 11:00");
    check_four_hours("17:00 | 09:00 opened; 10:30 resolved", "");
    // Breached: it went through all of them.
    check_four_hours("17:00 | 09:00 opened", "50 % 11:00, 75 % 12:00, 90 % 12:36");
    // A cancelled ticket should never have been (R17).
    check_four_hours("17:00 | 09:00 opened; 12:30 cancelled", "");
}

#[test]
fn r28_a_share_is_used_up_in_its_first_microsecond() {
    // A third of 10 s is 3.333333 s and a bit: in the microsecond that ends with 3.333334.
    let rule = ClockRule { within: Micros(10_000_000), ..rule(1) };
    let (history, now) = (history("09:00 opened"), at("10:00"));
    let calendar = Calendar::always();
    let found = clocks(&history, ClockKind::Resolution, &rule, &|_| true, &calendar, ALWAYS, now);
    let used = used_up(&history, &rule, &calendar, &found[0], &[Share(333_333_333), Share(333_333_400)], now);
    assert_eq!(used.iter().map(|(_, when)| (*when - at("09:00")).0).collect::<Vec<_>>(), [3_333_334, 3_333_334]);
}

#[test]
fn r28_a_restarted_clock_warns_anew_and_a_reopened_one_goes_on() {
    // Restarted at 10:30: 50 % would be used up at 12:30.
    let restart = ClockRule { priority_change: PriorityChange::Restart, ..rule(240) };
    let lines = "12:00 | 08:00 opened priority=P3; 10:30 updated priority=P1";
    check_used_up(ClockKind::Resolution, &restart, &BUSINESS_HOURS, &SHARES[..1], lines, "50 % 12:30");
    // The hour spent resolved is a pause (R16).
    check_four_hours("12:00 | 08:00 opened; 09:00 resolved; 10:00 reopened", "50 % 11:00, 75 % 12:00, 90 % 12:36");
    // Each cycle warns for itself: 08:00 to 10:30, then from 12:00 on.
    let anew = ClockRule { reopening: Reopening::NewCycle, ..rule(240) };
    let lines = "13:00 | 08:00 opened; 10:30 resolved; 12:00 reopened";
    check_used_up(ClockKind::Resolution, &anew, &BUSINESS_HOURS, &SHARES[..1], lines, "50 % 10:00, 50 % 14:00");
}
