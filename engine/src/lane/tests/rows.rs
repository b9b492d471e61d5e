//! A small life of three services, with every row that is written of its first day worked out by hand, column by column:
//! said for the first time, made final, and corrected by late events.

use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{
    AttainmentRow, AttributionRow, BreachRow, ClockRow, CorrectionRow, Decimal, MeasureRow, OutageRow, TransitionRow,
    WatermelonRow,
};

use super::*;

/// `shop` is composed of `web`, which a check looks at, and `mail`, which tickets take down. Its customer is promised 90 %
/// of each day, so 144 minutes may be bad; within, `web` may be down for 3 h.
const SHOP: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}, spec: {state: {from: checks, stale_after: 2h}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: mail}, spec: {state: {from: incidents}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [web, mail]}}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Source, metadata: {id: plain}, spec: {topics: [t], lateness: 1h}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: care}
spec:
  type: ola
  services: [mail]
  effective: {from: 1970-01-01, until: 1970-01-03}
  objectives:
    - {id: calm, indicator: {signal: outage_count}, target: {at_most: 2}, window: {calendar: day}}
    - {id: liked, indicator: {signal: satisfaction}, target: {at_least: 80 %}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: desk, version: 4}
spec:
  type: sla
  customer: acme
  services: [mail]
  effective: {from: 1970-01-01, until: 1970-01-03}
  rests_on: [care]
  objectives:
    - {id: fix, indicator: {signal: resolution_time, within: 1h}, target: {at_least: 50 %}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: inner}
spec:
  type: ola
  services: [web]
  effective: {from: 1970-01-01, until: 1970-01-03}
  objectives:
    - {id: down, indicator: {signal: downtime}, target: {at_most: 3h}, window: {calendar: day}}
---
apiVersion: plimsoll/v1
kind: Agreement
metadata: {id: sla}
spec:
  type: sla
  customer: acme
  services: [shop]
  effective: {from: 1970-01-01, until: 1970-01-03}
  rests_on: [inner]
  objectives:
    - {id: up, indicator: {signal: availability}, target: {at_least: 90 %}, window: {calendar: day}}
";

const MINUTE: i64 = HOUR / 60;

/// 1:00 of the second day: the first one and its grace are over.
const OVER: i64 = 25 * HOUR;

/// `web` is down from 10:00 to 12:00, `mail` by a ticket from 15:00 to 16:30; of two scores one is good.
fn first_day() -> Vec<Happening> {
    let status = |tick: &i64| if (20..24).contains(tick) { Status::Down } else { Status::Up };
    let mut events: Vec<Happening> = (0..51).map(|tick| Happening::Probe(tick, status(&tick))).collect();
    events.extend([
        Happening::Ticket(30, 1, Action::Opened),
        Happening::Ticket(33, 1, Action::Resolved),
        Happening::Score(2, 5),
        Happening::Score(4, 1),
    ]);
    events
}

/// The group after 13:00 and then 1:00, and what it said at both.
fn told() -> (LaneGroup, Facts, Facts) {
    let events = first_day().into_iter().enumerate();
    let (early, late): (Vec<_>, Vec<_>) = events.partition(|(_, event)| event.time() < 26);
    let mut group = LaneGroup::new(portfolio_of(SHOP), 2);
    group.fold(&delivery(&early, 0, true), Instant(13 * HOUR));
    let noon = group.close(1, Instant(13 * HOUR), true);
    group.fold(&delivery(&late, early.len() as i64, true), Instant(OVER));
    let over = group.close(2, Instant(OVER), true);
    (group, noon, over)
}

/// A result of the first day as it is final, before anything is said of it.
fn final_row([agreement, objective, service, signal]: [&str; 4]) -> AttainmentRow {
    let is_sla = agreement == "sla" || agreement == "desk";
    AttainmentRow {
        agreement: agreement.into(),
        agreement_version: if agreement == "desk" { 4 } else { 1 },
        agreement_type: if is_sla { "sla" } else { "ola" }.into(),
        customer: is_sla.then(|| "acme".into()),
        service: service.into(),
        objective: objective.into(),
        signal: signal.into(),
        calendar: "24x7".into(),
        window_kind: "day".into(),
        window_end: Instant(24 * HOUR),
        segment_end: Instant(24 * HOUR),
        finality: "final".into(),
        agreed_us: 24 * HOUR,
        revision: 1,
        recorded_at: Instant(OVER),
        epoch: 2,
        ..AttainmentRow::default()
    }
}

fn ratio(billionths: i64) -> Option<Decimal> {
    Some(Decimal(Share(billionths)))
}

fn calm() -> AttainmentRow {
    AttainmentRow {
        verdict: "met".into(),
        verdict_before: Some("met".into()),
        target: "at most 2".into(),
        target_count: Some(2),
        value_count: Some(1),
        // 22.5 h of 24 h.
        attainment_ratio: ratio(937_500_000),
        good_us: 1_350 * MINUTE,
        bad_us: 90 * MINUTE,
        outage_count: 1,
        longest_outage_us: 90 * MINUTE,
        budget_left_ratio: ratio(500_000_000),
        ..final_row(["care", "calm", "mail", "outage_count"])
    }
}

fn liked() -> AttainmentRow {
    AttainmentRow {
        verdict: "breached".into(),
        // One of two scores was good at noon already.
        verdict_before: Some("at_risk".into()),
        target: "at least 80 %".into(),
        target_ratio: ratio(800_000_000),
        value_ratio: ratio(500_000_000),
        attainment_ratio: ratio(500_000_000),
        good_count: 1,
        total_count: 2,
        // A fifth of two may be bad, 0.4; one is, which leaves -0.6.
        budget_left_ratio: ratio(-1_500_000_000),
        breached_at: Some(Instant(24 * HOUR)),
        ..final_row(["care", "liked", "mail", "satisfaction"])
    }
}

fn fix() -> AttainmentRow {
    AttainmentRow {
        verdict: "breached".into(),
        verdict_before: Some("no_data".into()),
        target: "at least 50 %".into(),
        target_ratio: ratio(500_000_000),
        value_ratio: ratio(0),
        attainment_ratio: ratio(0),
        total_count: 1,
        // Half of one may be bad.
        budget_left_ratio: ratio(-1_000_000_000),
        breached_at: Some(Instant(24 * HOUR)),
        ..final_row(["desk", "fix", "mail", "resolution_time"])
    }
}

fn down() -> AttainmentRow {
    AttainmentRow {
        verdict: "met".into(),
        verdict_before: Some("met".into()),
        target: "at most 3h".into(),
        target_us: Some(3 * HOUR),
        value_us: Some(2 * HOUR),
        // 22 h of 24 h.
        attainment_ratio: ratio(916_666_666),
        good_us: 22 * HOUR,
        bad_us: 2 * HOUR,
        outage_count: 1,
        longest_outage_us: 2 * HOUR,
        budget_us: Some(3 * HOUR),
        budget_left_us: Some(HOUR),
        budget_left_ratio: ratio(333_333_333),
        headroom_us: Some(0),
        ..final_row(["inner", "down", "web", "downtime"])
    }
}

fn up() -> AttainmentRow {
    AttainmentRow {
        verdict: "breached".into(),
        verdict_before: Some("met".into()),
        target: "at least 90 %".into(),
        target_ratio: ratio(900_000_000),
        // 20.5 h of 24 h.
        value_ratio: ratio(854_166_666),
        attainment_ratio: ratio(854_166_666),
        good_us: 1_230 * MINUTE,
        bad_us: 210 * MINUTE,
        outage_count: 2,
        longest_outage_us: 120 * MINUTE,
        budget_us: Some(144 * MINUTE),
        budget_left_us: Some(-66 * MINUTE),
        // -66 of 144 minutes, rounded down.
        budget_left_ratio: ratio(-458_333_334),
        headroom_us: Some(0),
        // 120 minutes until 12:00, and 24 more from 15:00 on; the next microsecond is too much.
        breached_at: Some(Instant(924 * MINUTE + 1)),
        ..final_row(["sla", "up", "shop", "availability"])
    }
}

#[test]
fn r22_results_of_a_day_that_is_over() {
    let (_, noon, over) = told();
    let of_day: Vec<_> = over.attainment.iter().filter(|row| row.window_start == Instant(0)).cloned().collect();
    assert_eq!(of_day, [calm(), liked(), fix(), up(), down()]);
    assert_eq!(over.corrections, []);
    // At 13:00 11 h were up, and 24 of 144 minutes were left; what may come of that is another matter.
    let at_noon = noon.attainment.iter().find(|row| &*row.objective == "up").expect("a result").clone();
    let expected = AttainmentRow {
        finality: "provisional".into(),
        verdict: "met".into(),
        verdict_before: None,
        value_ratio: ratio(846_153_846),
        attainment_ratio: ratio(846_153_846),
        good_us: 660 * MINUTE,
        bad_us: 120 * MINUTE,
        outage_count: 1,
        budget_left_us: Some(24 * MINUTE),
        budget_left_ratio: ratio(166_666_666),
        headroom_us: Some(24 * MINUTE),
        breach_probability_ratio: at_noon.breach_probability_ratio,
        exhaustion_at: at_noon.exhaustion_at,
        breached_at: None,
        revision: 0,
        recorded_at: Instant(13 * HOUR),
        epoch: 1,
        ..up()
    };
    assert!(at_noon.breach_probability_ratio > ratio(0) && at_noon.breach_probability_ratio < ratio(Share::WHOLE));
    assert_eq!(at_noon, expected);
}

fn transition(
    service: &str,
    minute: i64,
    state: &str,
    causes: &str,
    (recorded_at, epoch): (i64, i64),
) -> TransitionRow {
    TransitionRow {
        service: service.to_owned(),
        at: Instant(minute * MINUTE),
        state: state.to_owned(),
        causes: causes.to_owned(),
        revision: 0,
        retracted: false,
        recorded_at: Instant(recorded_at),
        epoch,
    }
}

fn outage(service: &str, from: i64, until: i64, causes: &str, (recorded_at, epoch): (i64, i64)) -> OutageRow {
    OutageRow {
        service: service.to_owned(),
        started_at: Instant(from * MINUTE),
        ended_at: Some(Instant(until * MINUTE)),
        duration_us: Some((until - from) * MINUTE),
        causes: causes.to_owned(),
        revision: 0,
        retracted: false,
        recorded_at: Instant(recorded_at),
        epoch,
    }
}

#[test]
fn r3_states_and_outages_with_what_brought_them_about() {
    let (_, noon, over) = told();
    let (at_noon, at_last) = ((13 * HOUR, 1), (OVER, 2));
    // `mail` is up as long as no ticket says otherwise, `web` when its check said so first, and so is the `shop`.
    let transitions = |service: &str, causes: &str| {
        [
            transition(service, 0, "up", "", at_noon),
            transition(service, 600, "down", causes, at_noon),
            transition(service, 720, "up", "", at_noon),
        ]
    };
    let expected = [transitions("shop", "web/http"), transitions("web", "http")].concat();
    assert_eq!(noon.transitions, expected);
    assert_eq!(noon.outages, [outage("shop", 600, 720, "web/http", at_noon), outage("web", 600, 720, "http", at_noon)]);
    assert_eq!(over.outages, [outage("mail", 900, 990, "T1", at_last), outage("shop", 900, 990, "mail/T1", at_last)]);
    let states = |service: &str, causes: &str| {
        [transition(service, 900, "down", causes, at_last), transition(service, 990, "up", "", at_last)]
    };
    assert_eq!(over.transitions, [states("mail", "T1"), states("shop", "mail/T1")].concat());
}

fn clock() -> ClockRow {
    ClockRow {
        agreement: "desk".to_owned(),
        agreement_version: 4,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        service: "mail".to_owned(),
        objective: "fix".to_owned(),
        signal: "resolution_time".to_owned(),
        ticket: "T1".to_owned(),
        cycle: 0,
        priority: None,
        started_at: Instant(900 * MINUTE),
        stopped_at: Some(Instant(990 * MINUTE)),
        due_at: Some(Instant(960 * MINUTE)),
        elapsed_us: 90 * MINUTE,
        paused_us: 0,
        target_us: HOUR,
        verdict: "breached".to_owned(),
        attributed_at: Some(Instant(960 * MINUTE)),
        revision: 0,
        retracted: false,
        recorded_at: Instant(OVER),
        epoch: 2,
    }
}

/// A warning or a breach of the `shop`'s promise, at a microsecond of the first day.
fn of_shop(share: Option<i64>, at: i64, detail: &str, (recorded_at, epoch): (i64, i64)) -> BreachRow {
    BreachRow {
        event: if share.is_some() { "warning" } else { "breach" }.to_owned(),
        scope: "objective".to_owned(),
        agreement: "sla".to_owned(),
        agreement_version: 1,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        service: "shop".to_owned(),
        objective: "up".to_owned(),
        signal: "availability".to_owned(),
        ticket: None,
        cycle: None,
        window_start: Some(Instant(0)),
        at: Instant(at),
        detail: detail.to_owned(),
        retracts: None,
        threshold_ratio: share.map(|percent| Decimal(Share(percent * Share::WHOLE / 100))),
        span_us: None,
        severity: None,
        ended_at: None,
        revision: 0,
        recorded_at: Instant(recorded_at),
        epoch,
    }
}

/// One of the first ticket's clock.
fn of_ticket(share: Option<i64>, at: i64, detail: &str) -> BreachRow {
    BreachRow {
        scope: "ticket".to_owned(),
        agreement: "desk".to_owned(),
        agreement_version: 4,
        service: "mail".to_owned(),
        objective: "fix".to_owned(),
        signal: "resolution_time".to_owned(),
        ticket: Some("T1".to_owned()),
        cycle: Some(0),
        window_start: None,
        ..of_shop(share, at, detail, (OVER, 2))
    }
}

fn sorted(mut rows: Vec<BreachRow>) -> Vec<BreachRow> {
    rows.sort_unstable();
    rows
}

#[test]
fn r18_r28_breaches_and_warnings_of_objectives_and_of_a_ticket() {
    let (_, noon, over) = told();
    let used = |percent: i64| format!("promised at least 90 %, {percent} % of what that allows is used");
    let at_noon = (13 * HOUR, 1);
    // Of 144 minutes 50 % are 72, from 10:00 on until 11:12, and 75 % are 108. Of 3 h 50 % are 90 minutes.
    let of_web = |at: i64| BreachRow {
        agreement: "inner".to_owned(),
        agreement_type: "ola".to_owned(),
        customer: None,
        service: "web".to_owned(),
        objective: "down".to_owned(),
        signal: "downtime".to_owned(),
        ..of_shop(Some(50), at, "promised at most 3h, 50 % of what that allows is used", at_noon)
    };
    let expected = vec![
        of_web(690 * MINUTE),
        of_shop(Some(50), 672 * MINUTE, &used(50), at_noon),
        of_shop(Some(75), 708 * MINUTE, &used(75), at_noon),
    ];
    assert_eq!(noon.breaches, sorted(expected));
    // 90 % are 129 minutes and 36 seconds, of which 120 minutes are used up by noon.
    let last = of_shop(Some(90), 900 * MINUTE + 576 * MINUTE / 60, &used(90), (OVER, 2));
    let breach = of_shop(None, 924 * MINUTE + 1, "promised at least 90 %, attained 85.4166666 %", (OVER, 2));
    let of_care = |objective: &str, signal: &str, at: i64, share, detail: &str| BreachRow {
        agreement: "care".to_owned(),
        agreement_type: "ola".to_owned(),
        customer: None,
        service: "mail".to_owned(),
        objective: objective.to_owned(),
        signal: signal.to_owned(),
        ..of_shop(share, at, detail, (OVER, 2))
    };
    let of_desk = BreachRow {
        scope: "objective".to_owned(),
        ticket: None,
        cycle: None,
        window_start: Some(Instant(0)),
        ..of_ticket(None, 24 * HOUR, "promised at least 50 %, attained 0 %")
    };
    let expected = vec![
        last,
        breach,
        of_care("calm", "outage_count", 900 * MINUTE, Some(50), "promised at most 2, 50 % of what that allows is used"),
        of_care("liked", "satisfaction", 24 * HOUR, None, "promised at least 80 %, attained 50 %"),
        of_desk,
        of_ticket(Some(50), 930 * MINUTE, "50 % of 1h used"),
        of_ticket(Some(75), 945 * MINUTE, "75 % of 1h used"),
        of_ticket(Some(90), 954 * MINUTE, "90 % of 1h used"),
        // It was due at 16:00, and used half an hour more.
        of_ticket(None, 960 * MINUTE, "allowed 1h, used 1h 30m"),
    ];
    assert_eq!(over.breaches, sorted(expected));
    assert_eq!((noon.clocks, over.clocks), (vec![], vec![clock()]));
}

/// Who spent how many minutes of the `shop`'s budget; `inner` covers `web` alone.
fn spent_of_shop(service: &str, spent: i64, total: i64, share: i64, epoch: i64) -> AttributionRow {
    let is_web = service == "web";
    AttributionRow {
        agreement: "sla".to_owned(),
        agreement_version: 1,
        agreement_type: "sla".to_owned(),
        customer: Some("acme".to_owned()),
        service: "shop".to_owned(),
        objective: "up".to_owned(),
        signal: "availability".to_owned(),
        ticket: None,
        cycle: None,
        window_start: Instant(0),
        supporting_agreement: is_web.then(|| "inner".to_owned()),
        supporting_version: is_web.then_some(1),
        supporting_type: is_web.then(|| "ola".to_owned()),
        supporting_service: service.to_owned(),
        spent_us: Some(spent * MINUTE),
        total_us: Some(total * MINUTE),
        spent_count: None,
        total_count: None,
        spent_ratio: ratio(share),
        budget_us: Some(144 * MINUTE),
        revision: 0,
        retracted: false,
        recorded_at: Instant(OVER),
        epoch,
    }
}

/// Who had the ticket all the time that it took.
fn spent_of_ticket(minutes: i64) -> AttributionRow {
    AttributionRow {
        agreement: "desk".to_owned(),
        agreement_version: 4,
        service: "mail".to_owned(),
        objective: "fix".to_owned(),
        signal: "resolution_time".to_owned(),
        ticket: Some("T1".to_owned()),
        cycle: Some(0),
        supporting_agreement: Some("care".to_owned()),
        supporting_version: Some(1),
        supporting_type: Some("ola".to_owned()),
        budget_us: Some(HOUR),
        ..spent_of_shop("mail", minutes, minutes, Share::WHOLE, 2)
    }
}

fn watermelon() -> WatermelonRow {
    WatermelonRow {
        agreement: "care".to_owned(),
        agreement_version: 1,
        agreement_type: "ola".to_owned(),
        customer: None,
        offering: None,
        service: "mail".to_owned(),
        objective: "liked".to_owned(),
        signal: "satisfaction".to_owned(),
        window_kind: "day".to_owned(),
        window_start: Instant(0),
        window_end: Instant(24 * HOUR),
        segment_start: Instant(0),
        segment_end: Instant(24 * HOUR),
        target: "at least 80 %".to_owned(),
        met_count: 1,
        unknown_count: 0,
        revision: 0,
        retracted: false,
        recorded_at: Instant(OVER),
        epoch: 2,
    }
}

#[test]
fn r33_r36_who_spent_the_budget_and_who_is_not_satisfied_all_the_same() {
    let (_, noon, over) = told();
    assert_eq!((noon.attributions, noon.watermelons), (vec![], vec![]));
    // 120 and 90 of 210 minutes.
    let expected = [
        spent_of_ticket(90),
        spent_of_shop("mail", 90, 210, 428_571_428, 2),
        spent_of_shop("web", 120, 210, 571_428_571, 2),
    ];
    assert_eq!(over.attributions, expected);
    assert_eq!(over.watermelons, [watermelon()]);
}

fn measured(
    service: &str,
    indicator: &str,
    minutes: (i64, i64),
    counts: (i64, i64),
    (at, epoch): (i64, i64),
) -> MeasureRow {
    MeasureRow {
        service: service.to_owned(),
        indicator: indicator.to_owned(),
        calendar: "24x7".to_owned(),
        time_zone: "UTC".to_owned(),
        customer: indicator.starts_with("resolution").then(|| "acme".to_owned()),
        bucket_start: Instant(0),
        bucket_end: Instant(24 * HOUR),
        latency_at_most_us: None,
        good_us: minutes.0 * MINUTE,
        bad_us: minutes.1 * MINUTE,
        degraded_us: 0,
        excluded_us: 0,
        unknown_us: 0,
        good_count: counts.0,
        total_count: counts.1,
        recorded_at: Instant(at),
        epoch,
    }
}

#[test]
fn days_are_measured_when_they_are_over_and_counts_when_results_are_published() {
    let (_, noon, over) = told();
    let (at_noon, at_last) = ((13 * HOUR, 1), (OVER, 2));
    assert_eq!(noon.measures, [measured("mail", "satisfaction from 4", (0, 0), (1, 2), at_noon)]);
    let fixed = "resolution_time all within 1h (retarget, samecycle, outcome)";
    assert_eq!(
        over.measures,
        [
            measured("mail", fixed, (0, 0), (0, 1), at_last),
            measured("mail", "state", (1_350, 90), (0, 0), at_last),
            measured("shop", "state", (1_230, 210), (0, 0), at_last),
            measured("web", "state", (1_320, 120), (0, 0), at_last),
        ]
    );
}

#[test]
fn r33_parts_are_said_with_a_new_verdict_and_when_results_are_published() {
    let events = first_day().into_iter().filter(|event| event.time() < 33).enumerate();
    let (early, late): (Vec<_>, Vec<_>) = events.partition(|(_, event)| event.time() < 31);
    let mut group = LaneGroup::new(portfolio_of(SHOP), 1);
    let mut said = |minute: i64, publish: bool, events: &[(usize, Happening)], offset: usize| {
        group.fold(&delivery(events, offset as i64, true), Instant(minute * MINUTE));
        let facts = group.close(minute, Instant(minute * MINUTE), publish);
        let rows = facts.attributions.iter().filter(|row| row.agreement == "sla");
        let shown =
            rows.map(|row| (row.supporting_service.clone(), row.spent_us.map(|spent| spent / MINUTE), row.revision));
        shown.collect::<Vec<_>>()
    };
    let part = |service: &str, minutes, revision| (service.to_owned(), Some(minutes), revision);
    // `mail` is down from 15:00 on, and 24 minutes later there was too much of it; that is seen at 15:30.
    assert_eq!(said(900, true, &early, 0), []);
    assert_eq!(said(930, false, &[], early.len()), [part("mail", 30, 0), part("web", 120, 0)]);
    // `web` is down too from 16:00 on, and is covered by an agreement as `mail` is not; the verdict is the same.
    let down = [(900, Happening::Probe(32, Status::Down))];
    assert_eq!(said(970, false, &down, early.len()), []);
    assert_eq!(said(975, true, &[], early.len() + 1), [part("mail", 60, 1), part("web", 135, 1)]);
    assert_eq!(late.len(), 2, "the results of 15:30 and 16:00 came otherwise");
}

#[test]
fn r22_late_events_correct_all_that_follows_from_them() {
    let (mut group, ..) = told();
    // `web` was down from 13:00 to 13:30 too, and there were two good scores more: 3 of 4.
    let late = [Happening::Probe(26, Status::Down), Happening::Score(6, 5), Happening::Score(7, 4)];
    let late: Vec<_> = late.into_iter().enumerate().map(|(number, event)| (100 + number, event)).collect();
    group.fold(&delivery(&late, first_day().len() as i64, true), Instant(OVER));
    let facts = group.close(3, Instant(OVER), true);
    // 150 minutes of 3 h leave 30; the `shop` was bad for 240 minutes of 144.
    let again =
        |row: AttainmentRow| AttainmentRow { verdict_before: Some(row.verdict.clone()), revision: 2, epoch: 3, ..row };
    let down = AttainmentRow {
        value_us: Some(150 * MINUTE),
        attainment_ratio: ratio(895_833_333),
        good_us: 1_290 * MINUTE,
        bad_us: 150 * MINUTE,
        outage_count: 2,
        budget_left_us: Some(30 * MINUTE),
        budget_left_ratio: ratio(166_666_666),
        ..again(down())
    };
    let up = AttainmentRow {
        value_ratio: ratio(833_333_333),
        attainment_ratio: ratio(833_333_333),
        good_us: 1_200 * MINUTE,
        bad_us: 240 * MINUTE,
        outage_count: 3,
        budget_left_us: Some(-96 * MINUTE),
        budget_left_ratio: ratio(-666_666_667),
        // 24 minutes after 13:00.
        breached_at: Some(Instant(804 * MINUTE + 1)),
        ..again(up())
    };
    // A fifth of four may be bad, 0.8; one is.
    let liked = AttainmentRow {
        value_ratio: ratio(750_000_000),
        attainment_ratio: ratio(750_000_000),
        good_count: 3,
        total_count: 4,
        budget_left_ratio: ratio(-250_000_000),
        ..again(liked())
    };
    let of_day: Vec<_> = facts.attainment.iter().filter(|row| row.window_start == Instant(0)).cloned().collect();
    assert_eq!(of_day, [liked, up, down]);
    let correction = |agreement: &str, service: &str, objective: &str, before: &str, after: &str| CorrectionRow {
        agreement: agreement.to_owned(),
        agreement_version: 1,
        service: Some(service.to_owned()),
        objective: Some(objective.to_owned()),
        window_start: Instant(0),
        revision: 2,
        reason: "late_event".to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        recorded_at: Instant(OVER),
        epoch: 3,
    };
    let parts = |verdict: &str, (good, bad): (i64, i64), (good_count, total_count), (outages, longest): (i64, i64)| {
        format!(
            "{verdict}: good_us {}, bad_us {}, degraded_us 0, excluded_us 0, unknown_us 0, good_count {good_count}, \
             total_count {total_count}, outage_count {outages}, longest_outage_us {}",
            good * MINUTE,
            bad * MINUTE,
            longest * MINUTE
        )
    };
    let counted = |good, total| parts("breached", (0, 0), (good, total), (0, 0));
    let states = |verdict, good, outages| parts(verdict, (good, 1_440 - good), (0, 0), (outages, 120));
    assert_eq!(
        facts.corrections,
        [
            correction("care", "mail", "liked", &counted(1, 2), &counted(3, 4)),
            correction("inner", "web", "down", &states("met", 1_320, 1), &states("met", 1_290, 2)),
            correction("sla", "shop", "up", &states("breached", 1_230, 2), &states("breached", 1_200, 3)),
        ]
    );
    let said = (OVER, 3);
    let used = "promised at least 90 %, 90 % of what that allows is used";
    let expected = vec![
        BreachRow {
            revision: 1,
            ..of_shop(None, 804 * MINUTE + 1, "promised at least 90 %, attained 83.3333333 %", said)
        },
        // 9 minutes and 36 seconds after 13:00.
        BreachRow { revision: 1, ..of_shop(Some(90), 780 * MINUTE + 576 * MINUTE / 60, used, said) },
        // 135 minutes of 3 h are 75 %: 15 after 13:00.
        BreachRow {
            agreement: "inner".to_owned(),
            agreement_type: "ola".to_owned(),
            customer: None,
            service: "web".to_owned(),
            objective: "down".to_owned(),
            signal: "downtime".to_owned(),
            ..of_shop(Some(75), 795 * MINUTE, "promised at most 3h, 75 % of what that allows is used", said)
        },
        BreachRow {
            agreement: "care".to_owned(),
            agreement_type: "ola".to_owned(),
            customer: None,
            service: "mail".to_owned(),
            objective: "liked".to_owned(),
            signal: "satisfaction".to_owned(),
            revision: 1,
            ..of_shop(None, 24 * HOUR, "promised at least 80 %, attained 75 %", said)
        },
    ];
    assert_eq!(facts.breaches, sorted(expected));
    let again = |row| AttributionRow { revision: 1, ..row };
    let expected =
        [again(spent_of_shop("mail", 90, 240, 375_000_000, 3)), again(spent_of_shop("web", 150, 240, 625_000_000, 3))];
    assert_eq!(facts.attributions, expected);
    assert_eq!((facts.watermelons, facts.clocks), (vec![], vec![]), "these are the same");
    let transitions = |service: &str, causes: &str| {
        [transition(service, 780, "down", causes, said), transition(service, 810, "up", "", said)]
    };
    assert_eq!(facts.transitions, [transitions("shop", "web/http"), transitions("web", "http")].concat());
    assert_eq!(facts.outages, [outage("shop", 780, 810, "web/http", said), outage("web", 780, 810, "http", said)]);
    // With four good ones more it is 7 of 8, and whoever is satisfied is no watermelon.
    let more: Vec<_> = (0..4).map(|number| (200 + number, Happening::Score(8, 5))).collect();
    group.fold(&delivery(&more, first_day().len() as i64 + 3, true), Instant(OVER));
    let facts = group.close(4, Instant(OVER), true);
    let taken_back = WatermelonRow { revision: 1, retracted: true, epoch: 4, ..watermelon() };
    assert_eq!(facts.watermelons, [taken_back]);
    let shown: Vec<_> = facts.breaches.iter().map(|row| (&*row.event, row.retracts.as_deref(), row.revision)).collect();
    assert_eq!(shown, [("retraction", Some("breach"), 2)]);
}
