//! `plimsoll password`: the line of a user with a password, for the file of those who may ask.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use plimsoll_query::Users;

use crate::commands::token::Seen;

/// A user.
#[derive(clap::Args)]
pub struct Arguments {
    /// The name
    name: String,
    #[command(flatten)]
    seen: Seen,
}

/// Reads the password from standard input and writes the line.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("the password, and then the end of the input (Ctrl-D):");
    }
    let mut password = String::new();
    input.read_to_string(&mut password).context("cannot read the password from standard input")?;
    let password = password.trim_end_matches(['\n', '\r']);
    let line = Users::with_password(&arguments.name, password, arguments.seen.grant(&[]));
    let line = line.map_err(|wrong| anyhow!(wrong))?;
    println!("{line}");
    Ok(ExitCode::SUCCESS)
}
