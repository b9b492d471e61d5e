//! `plimsoll rules`: recording and alerting rules for Prometheus, over the numbers of `/metrics`.
//!
//! In: the definitions, which say what there is to be watched. Out: a file of rules. Each rule serves all objectives at
//! once: what differs from one to the other (rates, shares) Plimsoll tells as numbers of its own, because it depends on the
//! window that is measured at present (docs/decisions/0060-rules-are-the-same-for-all.md).

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::builder::NonEmptyStringValueParser;
use plimsoll_aggregate::levels::Levels;
use plimsoll_engine::portfolio::Portfolio;
use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};

use crate::definitions;

mod pipeline;
mod promises;

/// What the file begins with.
const HEAD: &str = "# Recording and alerting rules for Prometheus. `plimsoll rules` makes them from definitions.\n";

/// Print rules for Prometheus.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of definitions
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
    /// Where people reach Plimsoll, e.g. https://plimsoll.example: alerts link to what they stand on
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<String>,
    /// The name of the job that scrapes Plimsoll
    #[arg(long, value_name = "NAME", default_value = "plimsoll", value_parser = NonEmptyStringValueParser::new())]
    job: String,
}

/// The begin of a link.
fn url(text: &str) -> Result<String, String> {
    let is_url = ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    // What braces enclose would be a template of Prometheus.
    if is_url && !text.contains(['{', '}', ' ', '?', '#']) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("expected http:// or https://, a host and perhaps a path, e.g. https://plimsoll.example".to_owned())
    }
}

/// How urgent an alert is.
#[derive(Clone, Copy)]
enum Severity {
    /// Somebody must look now.
    Page,
    /// Somebody must look within days.
    Ticket,
}

/// One rule.
enum Rule {
    /// Keeps what an expression comes to under a name.
    Record { name: &'static str, expression: String },
    /// Tells of each series that an expression comes to.
    Alert(Alert),
}

/// See [`Rule::Alert`].
struct Alert {
    name: &'static str,
    expression: String,
    /// For how long it must hold, as Prometheus writes it; empty for no time.
    lasting: &'static str,
    severity: Severity,
    /// Labels beside the severity.
    labels: Vec<(&'static str, String)>,
    summary: &'static str,
    description: String,
    /// What the link shows, with templates in it.
    evidence: Option<&'static str>,
}

/// What the definitions ask to be watched.
struct Wanted {
    promises: bool,
    burning: bool,
    budgets: bool,
    tickets: bool,
}

/// Prints the rules.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let definitions = definitions::read(&arguments.definitions)?;
    let portfolio = Portfolio::new(&definitions);
    let levels: Vec<Levels> = portfolio.objectives().iter().map(Levels::of).collect();
    let wanted = Wanted {
        promises: !levels.is_empty(),
        burning: levels.iter().any(Levels::watch_burn_rates),
        budgets: levels.iter().any(Levels::watch_budgets),
        tickets: levels.iter().any(Levels::watch_tickets),
    };
    let mut groups = Vec::new();
    if wanted.promises {
        groups.push(("plimsoll-promises", promises::rules(&wanted)));
    }
    groups.push(("plimsoll-pipeline", pipeline::rules(&arguments.job)));
    std::io::stdout().write_all(written(groups, arguments.url.as_deref())?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The file.
fn written(groups: Vec<(&'static str, Vec<Rule>)>, url: Option<&str>) -> Result<String> {
    let group = |(name, rules): (&'static str, Vec<Rule>)| {
        let rules = rules.into_iter().map(|rule| rule.yaml(url)).collect();
        mapping([("name", text(name)), ("rules", Yaml::Sequence(rules))])
    };
    let file = mapping([("groups", Yaml::Sequence(groups.into_iter().map(group).collect()))]);
    let mut body = String::new();
    let mut emitter = YamlEmitter::new(&mut body);
    emitter.multiline(true);
    emitter.dump(&file).map_err(|error| anyhow!("cannot write YAML: {error}"))?;
    Ok(format!("{HEAD}{body}\n"))
}

impl Rule {
    fn yaml(self, url: Option<&str>) -> Yaml<'static> {
        match self {
            Rule::Record { name, expression } => mapping([("record", text(name)), ("expr", text(expression))]),
            Rule::Alert(alert) => alert.yaml(url),
        }
    }
}

impl Alert {
    fn yaml(self, url: Option<&str>) -> Yaml<'static> {
        let severity = match self.severity {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        };
        let labels = std::iter::once(("severity", severity.to_owned())).chain(self.labels);
        let mut annotations = vec![("summary", text(self.summary)), ("description", text(self.description))];
        if let Some((url, evidence)) = url.zip(self.evidence) {
            annotations.push(("evidence", text(format!("{url}{evidence}"))));
        }
        let lasting = (!self.lasting.is_empty()).then(|| ("for", text(self.lasting)));
        let head = [("alert", text(self.name)), ("expr", text(self.expression))];
        let tail = [
            ("labels", mapping(labels.map(|(name, value)| (name, text(value))))),
            ("annotations", mapping(annotations)),
        ];
        mapping(head.into_iter().chain(lasting).chain(tail))
    }
}

fn mapping(entries: impl IntoIterator<Item = (&'static str, Yaml<'static>)>) -> Yaml<'static> {
    let mut mapping = Mapping::new();
    for (name, value) in entries {
        mapping.insert(text(name), value);
    }
    Yaml::Mapping(mapping)
}

fn text(text: impl Into<std::borrow::Cow<'static, str>>) -> Yaml<'static> {
    Yaml::Value(Scalar::String(text.into()))
}
