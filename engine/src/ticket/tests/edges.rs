//! Clocks at the edges: of versions, of the time in which a ticket is open, and of a part of their own time.

use super::*;

/// The clocks of a ticket under two versions with these rules, the first of which ends when the second starts; those of
/// the first, then those of the second.
fn check_rules(rules: &[ClockRule; 2], change: &str, lines: &str, expected: [&[&str]; 2]) {
    let (now, records) = lines.split_once('|').expect("now, a bar, records");
    let (now, change) = (at(now.trim()), at(change));
    let history = log(records).history(now).expect("at least one record");
    let run = |rule, in_force, before: &Passed| {
        let term = Term { in_force, before };
        clocks(&history, ClockKind::Resolution, rule, &|_| true, &Calendar::always(), term, now)
    };
    let until = Window { end: change, ..ALWAYS.in_force };
    let earlier = run(&rules[0], until, &Passed::default());
    let passed = Passed::default().after(until, &earlier, &[]);
    let later = run(&rules[1], Window { start: change, ..ALWAYS.in_force }, &passed);
    assert_eq!(earlier.iter().map(show_clock).collect::<Vec<_>>(), expected[0], "the first version: {lines}");
    assert_eq!(later.iter().map(show_clock).collect::<Vec<_>>(), expected[1], "the second version: {lines}");
}

#[test]
fn r13_a_version_has_its_clocks_from_its_first_instant_on() {
    let rules = [rule(5 * 24 * 60), rule(3 * 24 * 60)];
    let moved = "0 - 12:00-7/00:00 due 10/12:00, 1d 12h, 0s paused, moved";
    let running = "0 - 12:00- due 8/12:00, 1d 12h, 0s paused, running";
    check_rules(&rules, "7/00:00", "7/00:00 | 12:00 opened", [&[moved], &[running]]);
}

#[test]
fn r13_a_version_finds_no_clock_overdue_that_was_of_no_version_before() {
    // The first version is for P1 alone, so only the second has a clock of this ticket. Due after 36 h at its very first
    // instant it is breached there; due a minute before, it was overdue while no version had it.
    let first = ClockRule { priorities: vec!["P1".into()], ..rule(60) };
    let lines = "20/00:00 | 12:00 opened priority=P2";
    let breached = "0 P2 12:00- due 7/00:00, 14d 12h, 0s paused, breached @7/00:00";
    check_rules(&[first.clone(), rule(36 * 60)], "7/00:00", lines, [&[], &[breached]]);
    check_rules(&[first, rule(36 * 60 - 1)], "7/00:00", lines, [&[], &[]]);
}

#[test]
fn r16_a_cycle_is_of_the_version_in_which_it_began() {
    let cycles = |attribution| ClockRule { reopening: Reopening::NewCycle, attribution, ..rule(24 * 60) };
    // Of two cycles each version has one; the second may begin with the second version.
    for reopened in ["8/00:00", "7/00:00"] {
        let rules = [cycles(Attribution::Outcome), cycles(Attribution::Outcome)];
        let lines = format!("20/00:00 | 12:00 opened; 6/00:00 resolved; {reopened} reopened; 8/06:00 resolved");
        let (due, elapsed) = if reopened == "8/00:00" { ("9/00:00", "6h") } else { ("8/00:00", "1d 6h") };
        let second = match elapsed {
            "6h" => format!("1 - {reopened}-8/06:00 due {due}, 6h, 0s paused, met @8/06:00"),
            _ => format!("1 - {reopened}-8/06:00 due {due}, 1d 6h, 0s paused, breached @8/00:00"),
        };
        let first = "0 - 12:00-6/00:00 due 6/12:00, 12h, 0s paused, met @6/00:00";
        check_rules(&rules, "7/00:00", &lines, [&[first], &[&second]]);
    }
    // By the opening both cycles belong before the second version, and the first has none for it is for P1 alone. The
    // cycle that began in the second version is its own all the same, from its first instant on.
    let first = ClockRule { priorities: vec!["P1".into()], ..cycles(Attribution::Opened) };
    let lines = "20/00:00 | 12:00 opened priority=P2; 6/00:00 resolved; 8/00:00 reopened; 8/06:00 resolved";
    let second = "1 P2 8/00:00-8/06:00 due 9/00:00, 6h, 0s paused, met @7/00:00";
    check_rules(&[first, cycles(Attribution::Opened)], "7/00:00", lines, [&[], &[second]]);
}

#[test]
fn r10_a_ticket_is_open_and_overdue_for_no_empty_time() {
    let shown = |lines: &str| {
        let history = history(lines);
        let times = open_times(&history, &rule(60), &|_| true, &Calendar::always(), at("20/00:00"));
        let show = |time: &OpenTime| {
            format!("{}-{} {}", show(time.from), show_or_nothing(time.until), show_or_nothing(time.overdue_from))
        };
        times.iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(shown("08:00 opened; 08:00 resolved"), [""; 0]);
    // After an hour it has used no more than that; with the first microsecond beyond it is overdue.
    assert_eq!(shown("08:00 opened; 09:00 resolved"), ["08:00-09:00 "]);
    assert_eq!(shown("08:00 opened; 09:01 resolved"), ["08:00-09:01 09:00"]);
    assert_eq!(shown("08:00 opened; 09:01 resolved; 10:00 reopened"), ["08:00-09:01 09:00", "10:00- 10:00"]);
}

#[test]
fn r18_a_clock_is_exceeded_where_agreed_time_goes_on() {
    let exceeded = |calendar: &Calendar, lines: &str| {
        let (history, now) = (history(lines), at("12:00"));
        let clock = &clocks(&history, ClockKind::Resolution, &rule(60), &|_| true, calendar, ALWAYS, now)[0];
        exceeded(&history, &rule(60), calendar, clock, now)
    };
    assert_eq!(exceeded(&Calendar::always(), "08:00 opened"), Some(at("09:00")));
    // Due when the hours end at 17:00, and breached with the first microsecond of Tuesday's.
    assert_eq!(exceeded(&BUSINESS_HOURS, "16:00 opened"), Some(at("6/08:00")));
    assert_eq!(exceeded(&Calendar::always(), "08:00 opened; 08:30 paused"), None, "while it is paused nobody knows");
}

#[test]
fn r33_a_part_of_a_clocks_time_is_agreed_and_not_paused() {
    // From 15:00 until 9:00 two hours of Monday and one of Tuesday are agreed; the pause takes half an hour of them.
    let history = history("12:00 opened; 16:30 paused; 17:30 resumed; 6/12:00 resolved");
    let used = |start: &str, end: &str| {
        let run = Window { start: at(start), end: at(end) };
        used_within(&history, &rule(60), &BUSINESS_HOURS, run).to_string()
    };
    assert_eq!(used("15:00", "6/09:00"), "2h 30m");
    assert_eq!(used("16:30", "17:30"), "0s");
    assert_eq!(used("15:00", "16:40"), "1h 30m");
}
