//! Objectives, whether of an offering or of an agreement: document in, checked value out.

use crate::event::{EventKind, TicketType, Vocabulary};
use crate::ratio::Share;
use crate::time::Micros;

use super::credit;
use super::document::Node;
use super::index::{Index, Kind};
use super::model::{
    AROUND_THE_CLOCK, Attribution, ClockRule, CountRule, Denominator, Every, ExcludedPolicy, Indicator, Objective,
    PriorityChange, RatioRule, Reopening, Signal, StatePolicy, Target, UnknownPolicy, WindowKind,
};
use super::problem::Problems;
use super::scalar::{self, word};

/// A weight beyond this would make all others nothing.
const WEIGHT_MAX: i64 = 1_000_000;

/// The objectives that a spec lists, and where each stands. Only what cannot even be guessed at is left out, and then
/// a problem has been told.
pub(super) fn objectives<'a>(spec: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Vec<Objective> {
    let mut ids: Vec<(&str, Node<'a>)> = Vec::new();
    let mut objectives = Vec::new();
    for node in spec.list("objectives") {
        if let Some(id_node) = node.get("id") {
            let id = id_node.text().unwrap_or_default();
            match ids.iter().find(|(known, _)| *known == id) {
                Some((_, first)) => {
                    let allowed = format!("an id of its own; {} has this one already", first.place());
                    problems.found(&id_node, format!("\"{id}\" again"), allowed);
                }
                None => ids.push((id, id_node)),
            }
        }
        objectives.extend(objective(&node, index, problems));
    }
    objectives
}

fn objective<'a>(node: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Option<Objective> {
    let warn_at = warn_at(node, problems);
    let burn_rate_warnings = node.get("burn_rate_warnings").is_some_and(|node| node.value().as_bool() == Some(true));
    let window = node.get("window").and_then(|node| window(&node, problems)).unwrap_or(WindowKind::Month);
    let coverage = node.get("min_coverage").and_then(|node| scalar::share(&node, problems));
    let min_sample = node.get("min_sample").and_then(|node| scalar::integer(&node, 0..=i64::MAX, problems));
    let met_when_empty = word(node.get("when_empty"), &[("no_data", false), ("met", true)], false, problems);
    let weight = node.get("weight").and_then(|node| scalar::integer(&node, 1..=WEIGHT_MAX, problems));
    let indicator = indicator(&node.get("indicator")?, index, problems);
    let target = target(&node.get("target")?, &indicator.as_ref()?.signal, problems)?;
    let credits = credit::ladder(node, &indicator.as_ref()?.signal, target, window, problems);
    Some(Objective {
        id: scalar::optional_text(node.get("id"))?,
        indicator: indicator?,
        target,
        window,
        warn_at,
        burn_rate_warnings,
        min_coverage: coverage.unwrap_or(Objective::MIN_COVERAGE),
        min_sample: min_sample.unwrap_or(0),
        met_when_empty,
        weight: weight.unwrap_or(1),
        credits,
    })
}

fn window(node: &Node<'_>, problems: &mut Problems) -> Option<WindowKind> {
    if let Some(rolling) = node.get("rolling") {
        return rolling_window(&rolling, node.get("every"), problems);
    }
    let first_month = node.get("first_month");
    let month = first_month.as_ref().and_then(|node| scalar::integer(node, 1..=12, problems)).unwrap_or(1) as u32;
    let windows = [
        ("day", WindowKind::Day),
        ("week", WindowKind::Week),
        ("month", WindowKind::Month),
        ("quarter", WindowKind::Quarter { first_month: month }),
        ("year", WindowKind::Year { first_month: month }),
    ];
    let window = word(node.get("calendar"), &windows, WindowKind::Month, problems);
    let years = matches!(window, WindowKind::Quarter { .. } | WindowKind::Year { .. });
    if let (Some(first_month), false) = (&first_month, years) {
        problems.wrong(first_month, "no such field: it belongs to the windows quarter and year");
    }
    Some(window)
}

/// How long windows that end with each minute may be: a late event says each of them again that it lies in.
const EVERY_MINUTE_MAX: Micros = Micros::DAY;

/// A rolling window ends at each end of a day; of an hour or a minute if it is told so, or is shorter than a day or an
/// hour.
fn rolling_window(rolling: &Node<'_>, every: Option<Node<'_>>, problems: &mut Problems) -> Option<WindowKind> {
    let length = scalar::positive_duration(rolling, problems)?;
    let default = match length {
        _ if length < Micros::HOUR => Every::Minute,
        _ if length < Micros::DAY => Every::Hour,
        _ => Every::Day,
    };
    let words = [("minute", Every::Minute), ("hour", Every::Hour), ("day", Every::Day)];
    let every = word(every, &words, default, problems);
    let (allowed, what) = match every {
        Every::Minute => (
            Micros::MINUTE..=EVERY_MINUTE_MAX,
            "a duration of at least 1m, and of at most 1d where windows end with each minute",
        ),
        Every::Hour => (
            Micros::HOUR..=Micros(i64::MAX),
            "a duration of at least 1h where windows end with each hour; or every: minute",
        ),
        Every::Day => (
            Micros::DAY..=Micros(i64::MAX),
            "a duration of at least 1d where windows end with each day; or every: hour",
        ),
    };
    if !allowed.contains(&length) {
        problems.wrong(rolling, what);
        return None;
    }
    Some(WindowKind::Rolling { length, every })
}

fn warn_at(node: &Node<'_>, problems: &mut Problems) -> Vec<Share> {
    let Some(list) = node.get("warn_at") else { return Objective::WARN_AT.to_vec() };
    let mut shares: Vec<Share> = Vec::new();
    for node in list.items() {
        let Some(share) = scalar::positive_share(&node, problems) else { continue };
        match shares.last() {
            Some(last) if *last >= share => problems.wrong(&node, format!("rising shares: more than {last} here")),
            _ => shares.push(share),
        }
    }
    shares
}

fn indicator<'a>(node: &Node<'a>, index: &Index<'a>, problems: &mut Problems) -> Option<Indicator> {
    let calendar = match node.get("calendar") {
        Some(calendar) => index.reference(&calendar, Kind::Calendar, problems),
        None => Some(AROUND_THE_CLOCK.to_owned()),
    };
    let signal = match node.get("signal")?.text()? {
        "availability" => Signal::Availability(state_policy(node, problems)),
        "downtime" => Signal::Downtime(state_policy(node, problems)),
        "longest_outage" => Signal::LongestOutage(state_policy(node, problems)),
        "outage_count" => Signal::OutageCount(state_policy(node, problems)),
        "mtbf" => Signal::Mtbf(state_policy(node, problems)),
        "mtbsi" => Signal::Mtbsi(state_policy(node, problems)),
        "mtrs" => Signal::Mtrs(state_policy(node, problems)),
        "response_time" => Signal::ResponseTime(clock_rule(node, problems)),
        "resolution_time" => Signal::ResolutionTime(clock_rule(node, problems)),
        "fulfilment_time" => {
            Signal::FulfilmentTime(ClockRule { ticket_type: TicketType::Request, ..clock_rule(node, problems) })
        }
        "overdue_count" => Signal::OverdueCount(clock_rule(node, problems)),
        "good_ratio" => Signal::GoodRatio(ratio_rule(node, problems)),
        "change_success" => Signal::ChangeSuccess,
        "satisfaction" => {
            let good_from = node.get("good_from");
            let good_from = good_from.and_then(|node| scalar::integer(&node, i64::MIN..=i64::MAX, problems));
            Signal::Satisfaction { good_from: good_from.unwrap_or(Signal::GOOD_FROM) }
        }
        "net_promoter_score" => Signal::NetPromoterScore,
        "latency" => Signal::Latency { within: positive("within", node, problems)? },
        "latency_percentile" => {
            let percentile = node.get("percentile").and_then(|node| scalar::positive_share(&node, problems));
            Signal::LatencyPercentile { percentile: percentile? }
        }
        "throughput" => Signal::Throughput { kind: kind(node, problems), per: positive("per", node, problems)? },
        "error_count" => Signal::ErrorCount { kind: kind(node, problems) },
        "changes_on_time" => Signal::ChangesOnTime,
        "emergency_change_share" => Signal::EmergencyChangeShare,
        _ => return None,
    };
    Some(Indicator { signal, calendar: calendar? })
}

fn state_policy(node: &Node<'_>, problems: &mut Problems) -> StatePolicy {
    let default = StatePolicy::default();
    let unknown = [
        ("remove", UnknownPolicy::Remove),
        ("good", UnknownPolicy::Good),
        ("bad", UnknownPolicy::Bad),
        ("hold", UnknownPolicy::Hold),
    ];
    let excluded = [
        ("remove", ExcludedPolicy::Remove),
        ("count_good", ExcludedPolicy::CountGood),
        ("count_actual", ExcludedPolicy::CountActual),
    ];
    let denominator = [("elapsed", Denominator::Elapsed), ("full_window", Denominator::FullWindow)];
    let min_outage = node.get("min_outage").and_then(|node| scalar::duration(&node, problems));
    let min_duration = node.get("min_duration").and_then(|node| scalar::positive_duration(&node, problems));
    StatePolicy {
        unknown: word(node.get("unknown"), &unknown, default.unknown, problems),
        excluded: word(node.get("excluded"), &excluded, default.excluded, problems),
        denominator: word(node.get("denominator"), &denominator, default.denominator, problems),
        min_outage: min_outage.unwrap_or(default.min_outage),
        degraded_good: node
            .get("degraded")
            .map_or(default.degraded_good, |node| scalar::degraded_good(&node, problems)),
        min_duration: min_duration.unwrap_or(default.min_duration),
    }
}

fn clock_rule(node: &Node<'_>, problems: &mut Problems) -> ClockRule {
    let default = ClockRule::default();
    let priority_change = [("retarget", PriorityChange::Retarget), ("restart", PriorityChange::Restart)];
    let reopening = [
        ("same_cycle", Reopening::SameCycle),
        ("new_cycle", Reopening::NewCycle),
        ("first_only", Reopening::FirstOnly),
        ("largest", Reopening::Largest),
    ];
    let attribution =
        [("outcome", Attribution::Outcome), ("opened", Attribution::Opened), ("closed", Attribution::Closed)];
    let within = node.get("within").and_then(|within| scalar::positive_duration(&within, problems));
    ClockRule {
        ticket_type: word(node.get("ticket_type"), TicketType::WORDS, default.ticket_type, problems),
        priorities: node.list("priorities").iter().filter_map(|node| Some(node.text()?.to_owned())).collect(),
        within: within.unwrap_or(default.within),
        priority_change: word(node.get("priority_change"), &priority_change, default.priority_change, problems),
        reopening: word(node.get("reopening"), &reopening, default.reopening, problems),
        attribution: word(node.get("attribution"), &attribution, default.attribution, problems),
    }
}

/// A duration of more than zero in a field that is needed; the schema tells when it is not there.
fn positive(name: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Micros> {
    node.get(name).and_then(|node| scalar::positive_duration(&node, problems))
}

/// The kind of event that is counted.
fn kind(node: &Node<'_>, problems: &mut Problems) -> EventKind {
    word(node.get("kind"), EventKind::WORDS, EventKind::Monitoring, problems)
}

fn ratio_rule(node: &Node<'_>, problems: &mut Problems) -> RatioRule {
    let counts =
        [("each_event", CountRule::EachEvent), ("once_per_ticket_at_closing", CountRule::OncePerTicketAtClosing)];
    let kind = kind(node, problems);
    let count = word(node.get("count"), &counts, CountRule::EachEvent, problems);
    let closes = kind == EventKind::Incident;
    if let (CountRule::OncePerTicketAtClosing, false, Some(count)) = (count, closes, node.get("count")) {
        problems.wrong(&count, "each_event: once_per_ticket_at_closing belongs to the kind incident");
    }
    RatioRule { kind, count }
}

/// How a signal is promised: in which direction, and in what it is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    ShareAtLeast,
    ShareAtMost,
    TimeAtLeast,
    TimeAtMost,
    /// From the first of these numbers to the last.
    CountAtLeast(i64, i64),
    CountAtMost,
}

impl Promise {
    pub(super) fn of(signal: &Signal) -> Promise {
        match signal {
            Signal::Availability(_)
            | Signal::ResponseTime(_)
            | Signal::ResolutionTime(_)
            | Signal::FulfilmentTime(_)
            | Signal::GoodRatio(_)
            | Signal::ChangeSuccess
            | Signal::Satisfaction { .. }
            | Signal::Latency { .. }
            | Signal::ChangesOnTime => Promise::ShareAtLeast,
            Signal::EmergencyChangeShare => Promise::ShareAtMost,
            Signal::NetPromoterScore => Promise::CountAtLeast(-100, 100),
            Signal::Throughput { .. } => Promise::CountAtLeast(1, i64::MAX),
            Signal::Mtbf(_) | Signal::Mtbsi(_) => Promise::TimeAtLeast,
            Signal::Downtime(_) | Signal::LongestOutage(_) | Signal::Mtrs(_) | Signal::LatencyPercentile { .. } => {
                Promise::TimeAtMost
            }
            Signal::OutageCount(_) | Signal::ErrorCount { .. } | Signal::OverdueCount(_) => Promise::CountAtMost,
        }
    }

    /// The field of the target that states it, and what stands there.
    fn field(self) -> (&'static str, &'static str) {
        match self {
            Promise::ShareAtLeast => ("at_least", "a share such as 99.9 %"),
            Promise::ShareAtMost => ("at_most", "a share such as 5 %"),
            Promise::CountAtLeast(..) => ("at_least", "a whole number such as 30"),
            Promise::TimeAtLeast => ("at_least", "a duration such as 200h"),
            Promise::TimeAtMost => ("at_most", "a duration such as 4h"),
            Promise::CountAtMost => ("at_most", "a whole number such as 3"),
        }
    }

    /// The field of a step of credits that says how far it must be missed, and what stands there.
    pub(super) fn step_field(self) -> (&'static str, &'static str) {
        let (field, value) = self.field();
        (if field == "at_least" { "below" } else { "above" }, value)
    }

    /// Whether a value is written in the form that this takes, though it may not be a good one.
    pub(super) fn is_form_of(self, at: &Node<'_>) -> bool {
        let is_share = at.text().is_some_and(|text| text.contains('%'));
        let is_duration = at.text().is_some_and(|text| scalar::parse_duration(text).is_some());
        match self {
            Promise::ShareAtLeast | Promise::ShareAtMost => !is_duration,
            Promise::TimeAtLeast | Promise::TimeAtMost => at.text().is_some() && !is_share,
            Promise::CountAtLeast(..) | Promise::CountAtMost => !is_share && !is_duration,
        }
    }

    /// The target that a value states.
    pub(super) fn target(self, at: &Node<'_>, problems: &mut Problems) -> Option<Target> {
        Some(match self {
            Promise::ShareAtLeast => Target::AtLeast(scalar::positive_share(at, problems)?),
            Promise::ShareAtMost => Target::AtMost(scalar::share(at, problems)?),
            Promise::CountAtLeast(least, most) => Target::AtLeastCount(scalar::integer(at, least..=most, problems)?),
            Promise::TimeAtLeast => Target::AtLeastTime(scalar::positive_duration(at, problems)?),
            Promise::TimeAtMost => Target::AtMostTime(scalar::duration(at, problems)?),
            Promise::CountAtMost => Target::AtMostCount(scalar::integer(at, 0..=i64::MAX, problems)?),
        })
    }
}

/// The target, which must be what the signal is measured in: any other cannot be measured.
fn target(node: &Node<'_>, signal: &Signal, problems: &mut Problems) -> Option<Target> {
    let promise = Promise::of(signal);
    let (field, value) = promise.field();
    let Some(at) = node.get(field).filter(|at| promise.is_form_of(at)) else {
        let found = node.get("at_least").or_else(|| node.get("at_most"))?;
        let signal = signal.as_str();
        problems.wrong(&found, format!("{field} with {value}: {signal} cannot be measured otherwise"));
        return None;
    };
    promise.target(&at, problems)
}
