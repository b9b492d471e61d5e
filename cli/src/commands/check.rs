//! `plimsoll check`: every problem of a folder of definitions, a line each.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::definitions::{Folder, counted};

/// Check a folder of definitions.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder, with its YAML files at any depth
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
}

/// Prints what is wrong, or what is there. Exits 1 on problems.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let folder = Folder::read(&arguments.definitions)?;
    let files = folder.texts.len();
    match folder.definitions() {
        Ok(found) => {
            let objectives: usize =
                found.agreements.iter().map(|agreement| agreement.objectives.len() * agreement.services.len()).sum();
            writeln!(
                std::io::stdout(),
                "{}: {}, {}, {}, {}, {}: no problems",
                arguments.definitions.display(),
                counted(files, "file"),
                counted(found.services.len(), "service"),
                counted(found.agreements.len(), "agreement"),
                counted(objectives, "judged objective"),
                counted(found.sources.len(), "source"),
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            match writeln!(std::io::stdout(), "{lines}{}", counted(problems.len(), "problem")) {
                // Whoever has read enough of them, as `head` does, is still told that there are some.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                told => told?,
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
