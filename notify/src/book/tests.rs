use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::Decimal;

use super::*;

const MINUTE: i64 = Micros::MINUTE.0;
const HOUR: i64 = Micros::HOUR.0;
const DAY: i64 = Micros::DAY.0;

/// A warning, or a breach, of a window that is the first day.
fn of_window(percent: Option<i64>, at: i64) -> BreachRow {
    BreachRow {
        event: if percent.is_some() { "warning" } else { "breach" }.to_owned(),
        scope: "objective".to_owned(),
        agreement: "gold".to_owned(),
        agreement_version: 1,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        service: "web".to_owned(),
        objective: "up".to_owned(),
        signal: "availability".to_owned(),
        ticket: None,
        cycle: None,
        window_start: Some(Instant(0)),
        window_end: Some(Instant(DAY)),
        at: Instant(at),
        detail: String::new(),
        retracts: None,
        threshold_ratio: percent.map(|percent| Decimal(Share(percent * Share::WHOLE / 100))),
        span_us: None,
        severity: None,
        ended_at: None,
        revision: 0,
        recorded_at: Instant(at),
        epoch: 1,
    }
}

fn burning(span: i64, at: i64, ended_at: Option<i64>) -> BreachRow {
    let row = of_window(Some(1440), at);
    BreachRow { span_us: Some(span), severity: Some("page".to_owned()), ended_at: ended_at.map(Instant), ..row }
}

fn of_ticket(percent: Option<i64>, at: i64) -> BreachRow {
    BreachRow {
        scope: "ticket".to_owned(),
        objective: "fix".to_owned(),
        signal: "resolution_time".to_owned(),
        ticket: Some("T1".to_owned()),
        cycle: Some(0),
        window_start: None,
        window_end: None,
        ..of_window(percent, at)
    }
}

fn taken_back(row: &BreachRow) -> BreachRow {
    let row = row.clone();
    BreachRow { retracts: Some(row.event), event: "retraction".to_owned(), revision: row.revision + 1, ..row }
}

/// The first ticket's clock.
fn clock(verdict: &str, stopped_at: Option<i64>, recorded_at: i64) -> ClockRow {
    ClockRow {
        agreement: "gold".to_owned(),
        agreement_version: 1,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        service: "web".to_owned(),
        objective: "fix".to_owned(),
        signal: "resolution_time".to_owned(),
        ticket: "T1".to_owned(),
        cycle: 0,
        priority: None,
        started_at: Instant(0),
        stopped_at: stopped_at.map(Instant),
        due_at: None,
        elapsed_us: 0,
        paused_us: 0,
        target_us: HOUR,
        verdict: verdict.to_owned(),
        attributed_at: None,
        revision: 0,
        retracted: false,
        recorded_at: Instant(recorded_at),
        epoch: 1,
    }
}

/// What is told at an instant, in short, and that it was.
fn tell(book: &mut Book, now: i64) -> Vec<(Status, Level, Option<i64>)> {
    let changes = book.changes(Instant(now));
    book.told(&changes, Instant(now));
    let short = |change: &Change| (change.status, Level::of(&change.row), change.ended_at.map(|ended| ended.0));
    changes.iter().map(short).collect()
}

fn used(percent: i64) -> Level {
    Level::Used(percent * Share::WHOLE / 100)
}

#[test]
fn the_worst_of_a_window_is_told_once_and_until_the_window_is_over() {
    let mut book = Book::default();
    book.fold(vec![of_window(Some(50), HOUR), of_window(Some(75), HOUR)], &[]);
    assert_eq!(tell(&mut book, HOUR), [(Status::Firing, used(75), None)]);
    assert_eq!(tell(&mut book, 2 * HOUR), []);
    book.fold(vec![of_window(None, 3 * HOUR)], &[]);
    let worse = [(Status::Superseded, used(75), Some(3 * HOUR)), (Status::Firing, Level::Breached, None)];
    assert_eq!(tell(&mut book, 3 * HOUR), worse);
    assert_eq!(book.firing().count(), 1);
    assert_eq!(tell(&mut book, DAY - 1), []);
    assert_eq!(tell(&mut book, DAY), [(Status::Resolved, Level::Breached, Some(DAY))]);
    assert_eq!(book.firing().count(), 0);
    assert_eq!(tell(&mut book, 2 * DAY), []);
}

#[test]
fn what_is_taken_back_is_told_so_and_what_it_hid_stands_again() {
    let mut book = Book::default();
    let breach = of_window(None, 2 * HOUR);
    book.fold(vec![of_window(Some(90), HOUR), breach.clone()], &[]);
    assert_eq!(tell(&mut book, 2 * HOUR), [(Status::Firing, Level::Breached, None)]);
    book.fold(vec![taken_back(&breach)], &[]);
    let again = [(Status::Retracted, Level::Breached, Some(3 * HOUR)), (Status::Firing, used(90), None)];
    assert_eq!(tell(&mut book, 3 * HOUR), again);
}

#[test]
fn a_breach_that_was_told_is_told_to_be_taken_back_long_after_its_window() {
    let mut book = Book::default();
    let breach = of_window(None, HOUR);
    book.fold(vec![breach.clone()], &[]);
    tell(&mut book, HOUR);
    tell(&mut book, DAY);
    // Written again, as something else was measured, it is no news.
    book.fold(vec![BreachRow { revision: 1, recorded_at: Instant(30 * DAY), ..breach.clone() }], &[]);
    assert_eq!(tell(&mut book, 30 * DAY), []);
    book.fold(vec![taken_back(&BreachRow { revision: 1, ..breach.clone() })], &[]);
    assert_eq!(tell(&mut book, 31 * DAY), [(Status::Retracted, Level::Breached, Some(31 * DAY))]);
    assert_eq!(tell(&mut book, 32 * DAY), []);
    // One that nobody was told of is nobody's news.
    let mut book = Book::default();
    book.fold(vec![taken_back(&breach)], &[]);
    assert_eq!(tell(&mut book, HOUR), []);
}

#[test]
fn what_was_over_before_it_could_be_told() {
    // Half a day after the window's end it becomes known that it was missed, and that shares were used up before.
    let known = |row: BreachRow, at: i64| BreachRow { recorded_at: Instant(at), ..row };
    let late = DAY + 12 * HOUR;
    let mut book = Book::default();
    book.fold(vec![known(of_window(Some(50), HOUR), late), known(of_window(None, HOUR), late)], &[]);
    assert_eq!(tell(&mut book, late), [(Status::Firing, Level::Breached, None)]);
    assert_eq!(tell(&mut book, late + 59 * MINUTE), []);
    assert_eq!(tell(&mut book, late + HOUR), [(Status::Resolved, Level::Breached, Some(DAY))]);
    assert_eq!(tell(&mut book, late + 2 * HOUR), []);
    // Whoever reads a year of history is not told of all that was missed in it.
    let mut book = Book::default();
    book.fold(vec![known(of_window(None, HOUR), 2 * DAY + 1)], &[]);
    assert_eq!(tell(&mut book, 2 * DAY + 1), []);
}

#[test]
fn a_budget_burns_no_longer_after_five_minutes_and_the_shortest_span_is_told() {
    let (hour, day) = (Level::Burning(HOUR), Level::Burning(DAY));
    let mut book = Book::default();
    book.fold(vec![burning(HOUR, HOUR, None), burning(DAY, HOUR, None)], &[]);
    assert_eq!(tell(&mut book, HOUR), [(Status::Firing, hour, None)]);
    // From 1:10 to 1:14 it does not burn too fast: nobody is told.
    let (first, ended) = (70 * MINUTE, Some(70 * MINUTE));
    book.fold(vec![burning(HOUR, HOUR, ended)], &[]);
    assert_eq!(tell(&mut book, first + 4 * MINUTE), []);
    book.fold(vec![burning(HOUR, first + 4 * MINUTE, None)], &[]);
    assert_eq!(tell(&mut book, first + 20 * MINUTE), []);
    // The end of the earlier time comes again, and is not that of the present one.
    book.fold(vec![burning(HOUR, HOUR, ended)], &[]);
    assert_eq!(tell(&mut book, first + 21 * MINUTE), []);
    let last = 2 * HOUR;
    book.fold(vec![burning(HOUR, first + 4 * MINUTE, Some(last))], &[]);
    assert_eq!(tell(&mut book, last + 5 * MINUTE - 1), []);
    let over = [(Status::Resolved, hour, Some(last)), (Status::Firing, day, None)];
    assert_eq!(tell(&mut book, last + 5 * MINUTE), over);
}

#[test]
fn a_tickets_alerts_end_with_its_clock_whichever_is_read_first() {
    let mut book = Book::default();
    book.fold(vec![of_ticket(Some(50), 30 * MINUTE)], &[clock("running", None, 0)]);
    assert_eq!(tell(&mut book, 30 * MINUTE), [(Status::Firing, used(50), None)]);
    book.fold(vec![], &[clock("met", Some(40 * MINUTE), 41 * MINUTE)]);
    assert_eq!(tell(&mut book, 41 * MINUTE), [(Status::Resolved, used(50), Some(40 * MINUTE))]);
    // That its clock had stopped is read before the warning.
    let mut book = Book::default();
    book.fold(vec![], &[clock("cancelled", None, 41 * MINUTE)]);
    book.fold(vec![BreachRow { recorded_at: Instant(41 * MINUTE), ..of_ticket(Some(50), 30 * MINUTE) }], &[]);
    assert_eq!(tell(&mut book, 42 * MINUTE), []);
}

#[test]
fn a_ticket_that_is_reopened_is_missed_again() {
    let mut book = Book::default();
    book.fold(vec![of_ticket(None, HOUR)], &[clock("breached", None, HOUR)]);
    assert_eq!(tell(&mut book, HOUR), [(Status::Firing, Level::Breached, None)]);
    book.fold(vec![], &[clock("breached", Some(2 * HOUR), 2 * HOUR)]);
    assert_eq!(tell(&mut book, 2 * HOUR), [(Status::Resolved, Level::Breached, Some(2 * HOUR))]);
    book.fold(vec![], &[clock("breached", None, 3 * HOUR)]);
    assert_eq!(tell(&mut book, 3 * HOUR), [(Status::Firing, Level::Breached, None)]);
}

#[test]
fn a_book_is_saved_whole() {
    let mut book = Book::default();
    book.fold(vec![of_window(None, HOUR), of_ticket(Some(75), HOUR), burning(HOUR, HOUR, None)], &[]);
    tell(&mut book, HOUR);
    let saved = serde_json::to_vec(&book).expect("JSON");
    let read: Book = serde_json::from_slice(&saved).expect("a book");
    assert_eq!(read, book);
}
