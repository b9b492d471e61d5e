//! `plimsoll check`: every problem of a folder of definitions, a line each.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::definitions;

/// Check a folder of definitions.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder, with its YAML files at any depth
    #[arg(long, short = 'd', value_name = "DIR", default_value = "definitions")]
    definitions: PathBuf,
}

/// Prints what is wrong, or what is there. Exits 1 on problems.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let texts = definitions::read_folder(&arguments.definitions)?;
    match definitions::parse(&texts) {
        Ok(found) => {
            let objectives: usize =
                found.agreements.iter().map(|agreement| agreement.objectives.len() * agreement.services.len()).sum();
            println!(
                "{}: {}, {}, {}, {}, {}: no problems",
                arguments.definitions.display(),
                definitions::counted(texts.len(), "file"),
                definitions::counted(found.services.len(), "service"),
                definitions::counted(found.agreements.len(), "agreement"),
                definitions::counted(objectives, "judged objective"),
                definitions::counted(found.sources.len(), "source"),
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in &problems {
                println!("{problem}");
            }
            println!("{}", definitions::counted(problems.len(), "problem"));
            Ok(ExitCode::FAILURE)
        }
    }
}
