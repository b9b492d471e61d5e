//! Reads a folder of definitions.
//!
//! Every file whose name ends in `.yaml`, `.yml` or `.ics` is read, in the folder and the folders in it. Names that
//! begin with a dot are left out: they are what editors, version control and the mounts of Kubernetes keep for
//! themselves. Links are followed, and each folder is read once, whatever links lead to it. What cannot be read is a
//! problem of that file among those of the others.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use plimsoll_schemas::definition::{Definitions, File, Problem, load};

/// What a folder holds.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The texts of its files by their names relative to it, sorted.
    pub texts: Vec<(String, String)>,
    /// What in it cannot be read.
    pub problems: Vec<Problem>,
    visited: HashSet<PathBuf>,
    needs_topics: bool,
}

impl PartialEq for Folder {
    /// The same is to be read in both.
    fn eq(&self, other: &Folder) -> bool {
        self.texts == other.texts && self.problems == other.problems
    }
}

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(path: &Path) -> Result<Folder> {
        std::fs::read_dir(path).with_context(|| {
            format!("cannot read the definitions folder {}; --definitions names it", path.display())
        })?;
        let mut folder = Folder::default();
        folder.read_below(path, Path::new(""));
        folder.texts.sort();
        Ok(folder)
    }

    /// The same, of which some source has to name a topic.
    pub fn with_topics(mut self) -> Folder {
        self.needs_topics = true;
        self
    }

    /// What its files define, or every problem in them.
    pub fn definitions(self) -> std::result::Result<Definitions, Vec<Problem>> {
        let mut problems = self.problems;
        // A folder of which nothing can be read has definitions, only nobody knows which.
        let defined = if self.texts.is_empty() && !problems.is_empty() { Err(Vec::new()) } else { parse(&self.texts) };
        match defined {
            Ok(definitions) if self.needs_topics && definitions.topics().next().is_none() => {
                problems.push(no_topic());
            }
            Ok(definitions) if problems.is_empty() => return Ok(definitions),
            Ok(_) => {}
            Err(more) => problems.extend(more),
        }
        problems.sort();
        Err(problems)
    }

    fn read_below(&mut self, folder: &Path, name: &Path) {
        let entries = std::fs::read_dir(folder).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let (place, entries) = match (folder.canonicalize(), entries) {
            (Ok(place), Ok(entries)) => (place, entries),
            (Err(error), _) | (_, Err(error)) => return self.unreadable(name, "a folder", &error),
        };
        if !self.visited.insert(place) {
            return;
        }
        for entry in entries {
            let file_name = entry.file_name();
            if !file_name.to_string_lossy().starts_with('.') {
                self.read_entry(&entry.path(), &name.join(file_name));
            }
        }
    }

    fn read_entry(&mut self, path: &Path, name: &Path) {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let is_definition =
            extension.is_some_and(|extension| ["yaml", "yml", "ics"].iter().any(|known| extension == *known));
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() && is_definition => {
                self.problem(name, 1, "a folder", "a file; give the folder a name that does not look like a file's");
            }
            Ok(metadata) if metadata.is_dir() => self.read_below(path, name),
            Ok(_) if !is_definition => {}
            Ok(metadata) if metadata.is_file() => match std::fs::read(path) {
                Ok(bytes) => self.read_text(name, bytes),
                Err(error) => self.unreadable(name, "a file", &error),
            },
            Ok(_) => self.problem(name, 1, "a pipe, a socket or a device", "a file"),
            Err(error) if path.is_symlink() => self.unreadable(name, "a link", &error),
            Err(error) => self.unreadable(name, "a file", &error),
        }
    }

    fn read_text(&mut self, name: &Path, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => self.texts.push((name.display().to_string(), text)),
            Err(error) => {
                let readable = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = readable.iter().filter(|byte| **byte == b'\n').count() + 1;
                self.problem(name, line, "bytes that are not UTF-8", "a text in UTF-8; save the file in that encoding");
            }
        }
    }

    fn unreadable(&mut self, name: &Path, what: &str, error: &std::io::Error) {
        let found = format!("{what} that cannot be read ({error})");
        self.problem(name, 1, &found, "what this user can read; mend or remove it");
    }

    fn problem(&mut self, name: &Path, line: usize, found: &str, allowed: &str) {
        self.problems.push(Problem {
            file: name.display().to_string(),
            line,
            field: String::new(),
            found: found.to_owned(),
            allowed: allowed.to_owned(),
        });
    }
}

/// What is wrong with definitions of which no source names a topic.
fn no_topic() -> Problem {
    Problem {
        file: String::new(),
        line: 1,
        field: String::new(),
        found: "no Source that names a topic".to_owned(),
        allowed: "at least one; without a topic nothing can be read".to_owned(),
    }
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
    checked(Folder::read(folder)?, &folder.display().to_string())
}

/// What a folder that was read defines, by a name for people.
///
/// # Errors
/// When it has problems: they are all printed, a line each, and the error counts them.
pub fn checked(folder: Folder, name: &str) -> Result<Definitions> {
    folder.definitions().map_err(|problems| {
        tell(&problems);
        anyhow!("{} in {name}; mend them, `plimsoll check` shows what is left", counted(problems.len(), "problem"))
    })
}

/// Prints problems, a line each.
pub fn tell(problems: &[Problem]) {
    problems.iter().for_each(|problem| eprintln!("{problem}"));
}

/// `1 problem`, `2 problems`.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
