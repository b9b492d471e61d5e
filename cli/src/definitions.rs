//! Reads a folder of definitions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use plimsoll_schemas::definition::{Definitions, File, Problem, load};

/// The texts of all YAML files in a folder and the folders in it, by name relative to it, sorted.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn read_folder(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in yaml_files(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        texts.push((name, text));
    }
    Ok(texts)
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the definitions folder {}; --definitions names it", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.path();
        if path.is_dir() {
            files.extend(yaml_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the texts define, or every problem in them.
pub fn parse(texts: &[(String, String)]) -> std::result::Result<Definitions, Vec<Problem>> {
    let files: Vec<File<'_>> = texts.iter().map(|(name, text)| File { name, text }).collect();
    load(&files)
}

/// The definitions of a folder.
///
/// # Errors
/// When it cannot be read, or has problems: they are all printed, a line each, and the error counts them.
pub fn read(folder: &Path) -> Result<Definitions> {
    match parse(&read_folder(folder)?) {
        Ok(definitions) => Ok(definitions),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            bail!(
                "{} in {}; mend them, `plimsoll check` shows what is left",
                counted(problems.len(), "problem"),
                folder.display()
            )
        }
    }
}

/// `1 problem`, `2 problems`.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
