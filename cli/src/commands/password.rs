//! `plimsoll password`: the line of a user, for the file of those who may connect.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use plimsoll_query::Users;

/// A user.
#[derive(clap::Args)]
pub struct Arguments {
    /// The name
    name: String,
}

/// Reads the password from standard input and writes the line.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("the password, and then the end of the input (Ctrl-D):");
    }
    let mut password = String::new();
    input.read_to_string(&mut password).context("cannot read the password from standard input")?;
    let line = Users::line(&arguments.name, password.trim_end_matches(['\n', '\r'])).map_err(|wrong| anyhow!(wrong))?;
    println!("{line}");
    Ok(ExitCode::SUCCESS)
}
