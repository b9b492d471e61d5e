//! How an agreement is looked after (R35): its reviews, its reports, and the register of its improvements.

use chrono::NaiveDate;

use super::document::Node;
use super::problem::Problems;
use super::scalar;

/// How an agreement is looked after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Care {
    /// How often it is reviewed, and when it last was; `None` where nobody said.
    pub review: Option<Due>,
    /// How often a report on it is sent, and when the last one was; `None` where nobody said.
    pub reports: Option<Due>,
    /// What is or was to be improved.
    pub improvements: Vec<Improvement>,
}

/// Something that is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Months from one time to the next.
    pub every_months: u32,
    /// The civil day on which it was last done; `None` when it never was.
    pub last: Option<NaiveDate>,
}

/// An entry of the register of improvements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Improvement {
    /// What it is, for people.
    pub name: String,
    /// The civil day on which it was entered.
    pub opened: NaiveDate,
    /// The civil day on which it was done or given up; `None` while it is open.
    pub closed: Option<NaiveDate>,
}

/// How the spec of an agreement says that it is looked after.
pub(super) fn care(spec: &Node<'_>, problems: &mut Problems) -> Care {
    Care {
        review: due(spec.get("review"), problems),
        reports: due(spec.get("reports"), problems),
        improvements: improvements(spec, problems),
    }
}

fn due(node: Option<Node<'_>>, problems: &mut Problems) -> Option<Due> {
    let node = node?;
    let last = node.get("last").and_then(|node| scalar::date(&node, problems));
    Some(Due { every_months: months(&node.get("every")?, problems)?, last })
}

fn improvements(spec: &Node<'_>, problems: &mut Problems) -> Vec<Improvement> {
    let mut improvements = Vec::new();
    for node in spec.list("improvements") {
        let opened = node.get("opened").and_then(|node| scalar::date(&node, problems));
        let closed_node = node.get("closed");
        let closed = closed_node.as_ref().and_then(|node| scalar::date(node, problems));
        let (Some(name), Some(opened)) = (scalar::optional_text(node.get("name")), opened) else { continue };
        if let (Some(node), true) = (closed_node, closed.is_some_and(|closed| closed < opened)) {
            problems.wrong(&node, format!("a date from {opened} on, when it was opened"));
        }
        improvements.push(Improvement { name, opened, closed });
    }
    improvements
}

/// The months in `3 months` or `1 year`.
fn months(node: &Node<'_>, problems: &mut Problems) -> Option<u32> {
    let months = node.text().and_then(|text| text.split_once(' ')).and_then(|(count, unit)| {
        let count = count.parse::<u32>().ok().filter(|count| *count > 0)?;
        match unit {
            "month" | "months" => Some(count),
            "year" | "years" => count.checked_mul(12),
            _ => None,
        }
    });
    if months.is_none() {
        problems.wrong(node, "a number of months or years such as 3 months");
    }
    months
}
