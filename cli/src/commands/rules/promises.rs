//! The rules of promises: what dashboards ask again and again, and what somebody must hear of.

use plimsoll_engine::budget::BurnPair;
use plimsoll_engine::budget::Severity as Urgency;
use plimsoll_schemas::Micros;

use super::{Alert, Rule, Severity, Wanted};

/// What names a promise, whoever tells of it: without the labels of a process, so that an alert outlives it, and two
/// processes that tell the same are one.
const BY: &str = "by (agreement, agreement_type, customer, objective, offering, service, window)";

/// From which probability on a breach is told to be likely: it is likelier than not.
const LIKELY: &str = "0.5";

/// Agreed time in which each pair of spans has a rate of at least 1: that of a year.
const LONGEST: Micros = Micros(366 * Micros::DAY.0);

/// The result that an alert is of.
const RESULT: &str = "/v1/attainment?agreement={{ $labels.agreement | urlquery }}&service={{ $labels.service | urlquery }}\
                      &objective={{ $labels.objective | urlquery }}&limit=1";

/// What was missed of it, and when.
const BREACHES: &str = "/v1/breaches?agreement={{ $labels.agreement | urlquery }}\
                        &service={{ $labels.service | urlquery }}&objective={{ $labels.objective | urlquery }}";

/// The tickets whose clocks run, and those whose were overdue last: those that still are have no `stopped_at`.
const CLOCKS: &str = "/v1/clocks?agreement={{ $labels.agreement | urlquery }}&service={{ $labels.service | urlquery }}\
                      &objective={{ $labels.objective | urlquery }}&verdict=running&verdict=breached&sort=-due_at";

/// What is wanted of them.
pub(super) fn rules(wanted: &Wanted) -> Vec<Rule> {
    let mut rules = recorded();
    rules.push(Rule::Alert(breached()));
    rules.push(Rule::Alert(likely()));
    if wanted.budgets {
        rules.push(Rule::Alert(used()));
    }
    if wanted.burning {
        rules.extend(BurnPair::of(LONGEST).iter().map(burning).map(Rule::Alert));
    }
    if wanted.tickets {
        rules.extend([overdue(), near_due()].map(Rule::Alert));
    }
    rules
}

fn recorded() -> Vec<Rule> {
    let record = |(name, expression): (&'static str, &str)| Rule::Record { name, expression: expression.to_owned() };
    let left = "plimsoll_objective_error_budget_remaining_ratio";
    let rate = "plimsoll_objective_error_budget_burn_rate";
    let mut rules: Vec<Rule> = [
        ("verdict:plimsoll_objectives:count", "count by (agreement_type, verdict) (plimsoll_objective_verdict)"),
        (
            "agreement:plimsoll_objective_breach_probability_ratio:max",
            "max by (agreement, customer) (plimsoll_objective_breach_probability_ratio)",
        ),
    ]
    .map(record)
    .into();
    let told = [
        (
            "agreement:plimsoll_objective_error_budget_remaining_ratio:min",
            format!("min by (agreement, customer) ({left})"),
        ),
        ("service:plimsoll_objective_error_budget_remaining_ratio:min", format!("min by (service) ({left})")),
        ("service:plimsoll_objective_error_budget_burn_rate:max", format!("max by (service, span) ({rate})")),
        (
            "objective:plimsoll_objective_seconds_to_breach:min",
            format!("min {BY} (plimsoll_objective_error_budget_exhaustion_timestamp_seconds) - time()"),
        ),
    ];
    rules.extend(told.map(|(name, expression)| Rule::Record { name, expression }));
    rules
}

fn breached() -> Alert {
    Alert {
        name: "PlimsollObjectiveBreached",
        expression: broken(),
        lasting: "",
        severity: Severity::Ticket,
        labels: Vec::new(),
        summary: "{{ $labels.agreement }}: {{ $labels.objective }} of {{ $labels.service }} is breached",
        description: "The promise of the {{ $labels.window }} that is measured now is missed. A late event, or an \
                      exclusion that was agreed, may still change that."
            .to_owned(),
        evidence: Some(BREACHES),
    }
}

/// The promises that are missed.
fn broken() -> String {
    format!("max {BY} (plimsoll_objective_verdict{{verdict=\"breached\"}})")
}

fn likely() -> Alert {
    let probability = format!("max {BY} (plimsoll_objective_breach_probability_ratio) >= {LIKELY}");
    Alert {
        name: "PlimsollBreachLikely",
        expression: format!("{probability}\nunless\n{}", broken()),
        lasting: "15m",
        severity: Severity::Ticket,
        labels: Vec::new(),
        summary: "{{ $labels.agreement }}: {{ $labels.objective }} of {{ $labels.service }} is likely to be breached",
        description: "The forecast gives a breach by the end of this {{ $labels.window }} a probability of \
                      {{ $value | humanizePercentage }}."
            .to_owned(),
        evidence: Some(RESULT),
    }
}

fn used() -> Alert {
    let used = format!("max {BY} (plimsoll_objective_error_budget_warned_ratio)");
    Alert {
        name: "PlimsollErrorBudgetUsed",
        expression: format!("{used}\nunless\n{}", broken()),
        lasting: "",
        severity: Severity::Ticket,
        labels: Vec::new(),
        summary: "{{ $labels.agreement }}: {{ $labels.objective }} of {{ $labels.service }} has used much of what is allowed",
        description:
            "{{ $value | humanizePercentage }} of what the target allows in this {{ $labels.window }} is used up, \
                      which is the greatest share of its warn_at that is reached."
                .to_owned(),
        evidence: Some(RESULT),
    }
}

/// The budget burns too fast over both spans of a pair, each beside the rate that this window has for the pair.
fn burning(pair: &BurnPair) -> Alert {
    let BurnPair { long, short, percent, .. } = pair;
    let over = |span: &Micros| {
        let rate = "plimsoll_objective_error_budget_burn_rate";
        format!("max {BY} ({rate}{{span=\"{span}\"}})\n  >= max {BY} ({rate}_limit{{span=\"{long}\"}})")
    };
    let severity = match pair.severity {
        Urgency::Page => Severity::Page,
        Urgency::Ticket => Severity::Ticket,
    };
    Alert {
        name: "PlimsollErrorBudgetBurn",
        expression: format!("{}\nand\n{}", over(long), over(short)),
        lasting: "",
        severity,
        labels: vec![("long_window", long.to_string()), ("short_window", short.to_string())],
        summary: "{{ $labels.agreement }}: {{ $labels.objective }} of {{ $labels.service }} burns its error budget too fast",
        description: format!(
            "Over the last {long} of agreed time, and over the last {short}, the error budget was spent so fast that \
             {percent} % of that of the {{{{ $labels.window }}}} goes in {long}: {{{{ $value | humanize }}}} times faster than \
             the target allows."
        ),
        evidence: Some(RESULT),
    }
}

fn overdue() -> Alert {
    Alert {
        name: "PlimsollTicketOverdue",
        expression: format!("0 - min {BY} (plimsoll_ticket_seconds_to_due) >= 0"),
        lasting: "",
        severity: Severity::Page,
        labels: Vec::new(),
        summary: "{{ $labels.agreement }}: a ticket of {{ $labels.service }} is beyond {{ $labels.objective }}",
        description: "A ticket's clock has not stopped, and was due {{ $value | humanizeDuration }} ago.".to_owned(),
        evidence: Some(CLOCKS),
    }
}

fn near_due() -> Alert {
    Alert {
        name: "PlimsollTicketNearDue",
        expression: format!("max {BY} (plimsoll_ticket_warned_ratio)"),
        lasting: "",
        severity: Severity::Ticket,
        labels: Vec::new(),
        summary: "{{ $labels.agreement }}: a ticket of {{ $labels.service }} is soon due by {{ $labels.objective }}",
        description:
            "{{ $value | humanizePercentage }} of the agreed time of the ticket that is due next is used up, which is \
                      the greatest share of warn_at that is reached."
                .to_owned(),
        evidence: Some(CLOCKS),
    }
}
