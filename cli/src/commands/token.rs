//! `plimsoll token`: a new token, and the line of its user, for the file of those who may ask.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use plimsoll_query::{Grant, Scope, Users};

/// A user.
#[derive(clap::Args)]
pub struct Arguments {
    /// The name
    name: String,
    /// What for: the tables, /metrics, or /v1/definitions. Default: the tables
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope())]
    scopes: Vec<Scope>,
    #[command(flatten)]
    seen: Seen,
}

/// What a user sees.
#[derive(clap::Args)]
#[group(skip)]
pub struct Seen {
    /// Only what belongs to agreements of this customer, and of others that are named. Default: everything
    #[arg(long = "customer", value_name = "ID")]
    customers: Vec<String>,
    /// Only what belongs to this agreement, and to others that are named. Default: everything
    #[arg(long = "agreement", value_name = "ID")]
    agreements: Vec<String>,
}

impl Seen {
    /// What is granted, for these scopes.
    pub fn grant(&self, scopes: &[Scope]) -> Grant {
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        Grant {
            scopes: scopes.iter().copied().collect(),
            customers: set(&self.customers),
            agreements: set(&self.agreements),
        }
    }
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    let of = |word: String| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).try_map(move |word| of(word).ok_or("no scope"))
}

/// Draws the token, which is shown this once, and writes the line.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let grant = arguments.seen.grant(&arguments.scopes);
    let (token, line) = Users::with_token(&arguments.name, grant).map_err(|wrong| anyhow!(wrong))?;
    eprintln!("the token, which is shown this once: {token}");
    println!("{line}");
    Ok(ExitCode::SUCCESS)
}
