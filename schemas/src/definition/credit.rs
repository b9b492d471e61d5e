//! Service credits (R34): what is charged, the ladders of objectives, and the terms; document in, checked value out.

use std::collections::BTreeMap;

use super::document::Node;
use super::model::{Objective, Service, Signal, Target, WindowKind};
use super::money::{
    Charge, Clipped, Combine, CreditRule, CreditStep, CreditTerms, Money, Rounding, YearMax, minor_digits,
};
use super::objective::Promise;
use super::problem::Problems;
use super::scalar;
use crate::ratio::Share;

/// An amount and its currency.
pub(super) fn money(node: &Node<'_>, problems: &mut Problems) -> Option<Money> {
    let amount = node.get("amount")?;
    let currency = scalar::optional_text(node.get("currency"))?;
    let money = amount.scalar().and_then(|text| Money::parse(text, &currency));
    if money.is_none() {
        let (decimals, example) = match minor_digits(&currency) {
            0 => ("without decimals", "1200"),
            2 => ("with at most two decimals", "1200.00"),
            _ => ("with at most three decimals", "1200.000"),
        };
        problems.wrong(&amount, format!("an amount in digits {decimals}, as {currency} has them, such as {example}"));
    }
    money
}

/// The ladder of an objective's credits, from the mildest miss to the worst.
pub(super) fn ladder(
    node: &Node<'_>,
    signal: &Signal,
    target: Target,
    window: WindowKind,
    problems: &mut Problems,
) -> Vec<CreditStep> {
    let Some(list) = node.get("credits") else { return Vec::new() };
    if window.months().is_none() {
        problems.found(
            &list,
            format!("credits over a window {}", window.as_str()),
            "credits of objectives whose window is a month, quarter or year: a share of what is charged in it",
        );
    }
    let mut steps: Vec<CreditStep> = Vec::new();
    let promise = Promise::of(signal);
    let (field, value) = promise.step_field();
    for node in list.items() {
        let Some(at) = node.get(field).filter(|at| promise.is_form_of(at)) else {
            if let Some(found) = node.get("below").or_else(|| node.get("above")) {
                problems.wrong(&found, format!("{field} with {value}, as the target is measured"));
            }
            continue;
        };
        let credit_node = node.get("credit");
        let credit = credit_node.as_ref().and_then(|node| scalar::positive_share(node, problems));
        let Some(missed) = promise.target(&at, problems) else { continue };
        let than = if field == "below" { "less" } else { "more" };
        match steps.last() {
            None if is_stricter(missed, target) => {
                problems.wrong(&at, format!("the target ({target}) or {than}: what keeps it gives no credit"));
            }
            _ if missed != target && matches!(signal, Signal::LatencyPercentile { .. }) => {
                let allowed =
                    format!("the target itself ({target}): latencies are counted as within it or not, no finer");
                problems.wrong(&at, allowed);
            }
            Some(last) if missed == last.missed || is_stricter(missed, last.missed) => {
                problems.wrong(&at, format!("{than} than at the step before: a worse miss at each step"));
            }
            _ => {}
        }
        let Some(credit) = credit else { continue };
        if let (Some(last), Some(node)) = (steps.last().filter(|last| last.credit >= credit), credit_node) {
            problems.wrong(&node, format!("a larger credit at each step: more than {} here", last.credit));
        }
        steps.push(CreditStep { missed, credit });
    }
    if steps.is_empty() {
        // A ladder that is wrong is a ladder all the same: what is told of it says enough, and nobody will judge by it.
        steps.push(CreditStep { missed: target, credit: Share(Share::WHOLE) });
    }
    steps
}

/// Whether a target is harder to keep than another of its kind.
fn is_stricter(one: Target, other: Target) -> bool {
    match (one, other) {
        (Target::AtLeast(one), Target::AtLeast(other)) => one > other,
        (Target::AtMost(one), Target::AtMost(other)) => one < other,
        (Target::AtLeastTime(one), Target::AtLeastTime(other)) => one > other,
        (Target::AtMostTime(one), Target::AtMostTime(other)) => one < other,
        (Target::AtLeastCount(one), Target::AtLeastCount(other)) => one > other,
        (Target::AtMostCount(one), Target::AtMostCount(other)) => one < other,
        _ => false,
    }
}

/// The terms in `credits` of an agreement or an offering; `objectives` are all that it has.
pub(super) fn rule(spec: &Node<'_>, objectives: &[Objective], problems: &mut Problems) -> Option<CreditRule> {
    let node = spec.get("credits")?;
    if is_without_ladder(spec, objectives) {
        problems.wrong(&node, NO_LADDER);
    }
    let default = CreditRule::DEFAULT;
    let combine = [("sum", Some(Combine::Sum)), ("largest", Some(Combine::Largest))];
    let rounding = [
        ("half_up", Rounding::HalfUp),
        ("half_even", Rounding::HalfEven),
        ("half_down", Rounding::HalfDown),
        ("up", Rounding::Up),
        ("down", Rounding::Down),
    ];
    let clipped = [("pro_rata", Clipped::ProRata), ("whole", Clipped::Whole)];
    let window_max = node.path(&["at_most", "window"]).and_then(|node| scalar::positive_share(&node, problems));
    Some(CreditRule {
        combine: scalar::word(node.get("combine"), &combine, default.combine, problems),
        rounding: scalar::word(node.get("rounding"), &rounding, default.rounding, problems),
        clipped: scalar::word(node.get("clipped"), &clipped, default.clipped, problems),
        window_max: window_max.unwrap_or(default.window_max),
        year_max: year_max(&node, problems),
    })
}

/// Whether there are objectives, and none of them has credits, nor would have if it could be read.
fn is_without_ladder(spec: &Node<'_>, objectives: &[Objective]) -> bool {
    let is_declared = spec.list("objectives").iter().any(|node| node.get("credits").is_some());
    !objectives.is_empty() && !is_declared && objectives.iter().all(|objective| objective.credits.is_empty())
}

const NO_LADDER: &str = "no such field: none of the objectives has credits";

fn year_max(credits: &Node<'_>, problems: &mut Problems) -> Option<YearMax> {
    let at_most = credits.get("at_most")?;
    let month = at_most.get("first_month");
    let Some(year) = at_most.get("year") else {
        if let Some(month) = month {
            problems.wrong(&month, "no such field: it belongs to year, the most that is given back in a year");
        }
        return None;
    };
    let first_month = month.and_then(|node| scalar::integer(&node, 1..=12, problems)).unwrap_or(1) as u32;
    let share: Option<Share> = scalar::positive_share(&year, problems);
    share.map(|share| YearMax { share, first_month })
}

/// The terms of an agreement, if it gives credits: what it charges, or what the catalogue says that its services cost
/// in the tier of its offering.
pub(super) fn terms(
    spec: &Node<'_>,
    rule: Option<CreditRule>,
    objectives: &[Objective],
    (services, tier): (&[&Service], Option<&str>),
    problems: &mut Problems,
) -> Option<CreditTerms> {
    let declared = spec.get("charge");
    let ladders: Vec<&Objective> = objectives.iter().filter(|objective| !objective.credits.is_empty()).collect();
    if ladders.is_empty() {
        if let Some(charge) = declared.filter(|_| is_without_ladder(spec, objectives)) {
            problems.wrong(&charge, NO_LADDER);
        }
        return None;
    }
    let rule = rule.unwrap_or(CreditRule::DEFAULT);
    let (currency, charge) = match declared {
        Some(node) => declared_charge(&node, services, problems)?,
        None => charge_of_catalogue(spec, services, tier, problems)?,
    };
    let together = if matches!(charge, Charge::AllServices(_)) { services.len() } else { 1 };
    let of_window =
        |window: WindowKind| ladders.iter().filter(|other| other.window.months() == window.months()).count();
    let is_combined = ladders.iter().any(|objective| of_window(objective.window) * together > 1);
    if is_combined && rule.combine.is_none() {
        let allowed = "sum or largest: several credits may fall into one window";
        match spec.get("credits") {
            Some(credits) => problems.missing(&credits, "combine", allowed),
            None => problems.missing(spec, "credits.combine", allowed),
        }
    }
    Some(CreditTerms { rule, currency, charge })
}

fn declared_charge(node: &Node<'_>, services: &[&Service], problems: &mut Problems) -> Option<(String, Charge)> {
    let words = [("each_service", false), ("all_services", true)];
    let for_all = scalar::word(node.get("for"), &words, false, problems);
    let Money { amount_minor, currency } = money(node, problems)?;
    let each = || services.iter().map(|service| (service.id.clone(), amount_minor)).collect();
    Some((currency, if for_all { Charge::AllServices(amount_minor) } else { Charge::EachService(each()) }))
}

fn charge_of_catalogue(
    spec: &Node<'_>,
    services: &[&Service],
    tier: Option<&str>,
    problems: &mut Problems,
) -> Option<(String, Charge)> {
    let costs: Option<Vec<_>> = services.iter().map(|service| Some((service, service.costs.get(tier?)?))).collect();
    let allowed = match (tier, &costs) {
        (_, Some(costs)) => match costs.iter().find(|(_, cost)| cost.currency != costs[0].1.currency) {
            Some((service, cost)) => format!(
                "what is charged a month: {} costs {}, {} costs {}",
                costs[0].0.id, costs[0].1.currency, service.id, cost.currency
            ),
            None => {
                let charges: BTreeMap<String, i64> =
                    costs.iter().map(|(service, cost)| (service.id.clone(), cost.amount_minor)).collect();
                return costs.first().map(|(_, cost)| (cost.currency.clone(), Charge::EachService(charges)));
            }
        },
        (Some(tier), None) => format!(
            "what is charged a month, such as {{amount: 1200.00, currency: EUR}}, for its credits; or costs of the \
             tier {tier} at each of its services"
        ),
        (None, None) => "what is charged a month, such as {amount: 1200.00, currency: EUR}, for its credits".to_owned(),
    };
    problems.missing(spec, "charge", allowed);
    None
}
