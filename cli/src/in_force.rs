//! The definitions in force, and how they change while the process runs (R24).
//!
//! What comes in: the folder of definitions, looked at every two seconds, and files put into it over HTTP. What goes out:
//! the definitions in force and their number, which grows with each change; whoever works by them looks at the number and
//! goes over to the new ones between two epochs.
//!
//! The folder is the only place where definitions are kept, so a restart finds what was in force. A folder whose files
//! have problems is refused whole: the problems are told once, and what was in force stays until they are mended. A folder
//! is taken over when two looks have found the same, so that files which are copied one by one are not taken in halves.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use plimsoll_aggregate::Live;
use plimsoll_aggregate::definitions::touching_the_past;
use plimsoll_engine::past::TouchesThePast;
use plimsoll_lake::Lake;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Definitions, Problem};

use crate::definitions::{self, Folder, counted};
use crate::shutdown::Shutdown;

/// How often the folder is looked at: soon enough for whoever saves a file and watches, and a hundredth of a processor for
/// ten thousand files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often the thread looks whether it is to end.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is asked of definitions besides that they have no problem: the problems of those that do not fit what is there.
pub type Fits = Box<dyn Fn(&Definitions) -> Result<Vec<Problem>> + Send + Sync>;

/// See the head of this module.
pub struct InForce {
    /// `None` where nothing can change.
    folder: Option<PathBuf>,
    fits: Vec<Fits>,
    clock: fn() -> Instant,
    /// Held while something is looked at that may change what is in force, so that one comes after the other.
    changing: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    definitions: Arc<Definitions>,
    /// 0 for those of the start.
    number: u64,
    since: Instant,
    /// What the last look found, when that is not in force.
    seen: Option<Folder>,
    refused: Option<Refused>,
}

/// What a folder holds that was not taken over.
struct Refused {
    folder: Option<Folder>,
    problems: Vec<Problem>,
}

/// What became of a file that was put into the folder.
#[derive(Debug)]
pub enum Put {
    /// It is there, and so are its definitions; false when it was there before.
    Taken(bool),
    /// With it the folder would have these problems, so nothing was written.
    Refused(Vec<Problem>),
}

impl InForce {
    /// Definitions that never change.
    pub fn fixed(definitions: Arc<Definitions>) -> InForce {
        InForce::new(None, definitions)
    }

    /// Those of a folder.
    ///
    /// # Errors
    /// When the folder cannot be read or has problems, which are printed, or names no topic.
    pub fn of_folder(folder: &Path) -> Result<InForce> {
        let found = Folder::read(folder)?;
        let definitions = definitions::checked(found.with_topics(), &folder.display().to_string())?;
        Ok(InForce::new(Some(folder.to_owned()), Arc::new(definitions)))
    }

    fn new(folder: Option<PathBuf>, definitions: Arc<Definitions>) -> InForce {
        let clock = || Instant::from(chrono::Utc::now());
        let state = State { definitions, number: 0, since: clock(), seen: None, refused: None };
        InForce { folder, fits: Vec::new(), clock, changing: Mutex::default(), state: Mutex::new(state) }
    }

    /// The same, and whatever is to be in force must fit in this way, too.
    ///
    /// # Errors
    /// When those of the start do not, which is printed.
    pub fn that_fit(mut self, fits: Fits) -> Result<InForce> {
        let problems = fits(&self.now().1)?;
        definitions::tell(&problems);
        ensure!(problems.is_empty(), "the definitions do not fit the tables; mend them");
        self.fits.push(fits);
        Ok(self)
    }

    /// Those in force, and their number.
    pub fn now(&self) -> (u64, Arc<Definitions>) {
        let state = self.state();
        (state.number, state.definitions.clone())
    }

    /// The number of those in force.
    pub fn number(&self) -> u64 {
        self.state().number
    }

    /// Since when they are in force, and the problems of what the folder holds instead; none when it holds them.
    pub fn standing(&self) -> (Instant, Vec<Problem>) {
        let state = self.state();
        (state.since, state.refused.as_ref().map_or_else(Vec::new, |refused| refused.problems.clone()))
    }

    /// Looks at the folder every two seconds, on a thread of its own, until the shutdown.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn watch(self: &Arc<InForce>, shutdown: Shutdown) -> Result<()> {
        let watched = self.clone();
        let watching = move || {
            let looks = (LOOK_EVERY.as_millis() / STOP_LOOK_EVERY.as_millis()) as u64;
            for turn in 1_u64.. {
                std::thread::sleep(STOP_LOOK_EVERY);
                if shutdown.is_requested() {
                    return;
                }
                if turn % looks == 0 {
                    watched.look();
                }
            }
        };
        let thread = std::thread::Builder::new().name("definitions".to_owned()).spawn(watching);
        thread.map(drop).context("cannot start a thread")
    }

    /// Looks at the folder: what two looks have found is taken over, or refused.
    fn look(&self) {
        let Some(path) = &self.folder else { return };
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        let found = match Folder::read(path) {
            Ok(found) => found.with_topics(),
            Err(error) => return state.cannot_be_read(path, &error),
        };
        if found.problems.is_empty() && found.texts == state.definitions.texts {
            if state.refused.take().is_some() {
                eprintln!("the definitions in {} are again those in force", path.display());
            }
            state.seen = None;
        } else if state.refused.as_ref().is_some_and(|refused| refused.folder.as_ref() == Some(&found)) {
            state.seen = None;
        } else if state.seen.as_ref() != Some(&found) {
            state.seen = Some(found);
        } else {
            drop(state);
            self.take_over(path, found);
        }
    }

    /// Has what two looks have found in force, or refuses it.
    fn take_over(&self, path: &Path, found: Folder) {
        let judged = match self.judge(found.clone()) {
            Ok(judged) => judged,
            // It is looked at again.
            Err(error) => return tracing::warn!("changed definitions are not in force yet: {error:#}"),
        };
        let mut state = self.state();
        state.seen = None;
        let problems = match judged {
            Ok(definitions) => return state.enter(definitions, (self.clock)()),
            Err(problems) => problems,
        };
        definitions::tell(&problems);
        let count = counted(problems.len(), "problem");
        eprintln!("warning: {count} in {}; what was in force before stays so", path.display());
        state.refused = Some(Refused { folder: Some(found), problems });
    }

    /// What a folder defines, or every problem of it.
    fn judge(&self, folder: Folder) -> Result<std::result::Result<Definitions, Vec<Problem>>> {
        let definitions = match folder.definitions() {
            Ok(definitions) => definitions,
            Err(problems) => return Ok(Err(problems)),
        };
        let mut problems = Vec::new();
        for fits in &self.fits {
            problems.extend(fits(&definitions)?);
        }
        Ok(if problems.is_empty() { Ok(definitions) } else { Err(problems) })
    }

    /// Puts a file into the folder, or takes it out when there is no text, if the folder has no problems then.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or it cannot be found out whether the definitions fit.
    pub fn put(&self, name: &str, text: Option<&str>) -> Result<Put> {
        let path = self.folder.as_ref().context("these definitions do not change")?;
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Folder::read(path)?;
        let mut after = before.clone();
        after.texts.retain(|(known, _)| known != name);
        after.texts.extend(text.map(|text| (name.to_owned(), text.to_owned())));
        after.texts.sort();
        let after = after.with_topics();
        let definitions = match self.judge(after.clone())? {
            Ok(definitions) => definitions,
            Err(problems) => return Ok(Put::Refused(problems)),
        };
        if before != after {
            write(&path.join(name), text).with_context(|| format!("cannot write {name} in {}", path.display()))?;
        }
        let mut state = self.state();
        if definitions.texts != state.definitions.texts {
            state.enter(definitions, (self.clock)());
            return Ok(Put::Taken(true));
        }
        Ok(Put::Taken(before != after))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, definitions: Definitions, now: Instant) {
        (self.seen, self.refused) = (None, None);
        self.number += 1;
        self.since = now;
        eprintln!(
            "definitions changed: {}, {}; they are in force from the next epoch on",
            counted(definitions.services.len(), "service"),
            counted(definitions.agreements.len(), "agreement")
        );
        self.definitions = Arc::new(definitions);
    }

    fn cannot_be_read(&mut self, path: &Path, error: &anyhow::Error) {
        self.seen = None;
        if self.refused.as_ref().is_none_or(|refused| refused.folder.is_some()) {
            eprintln!("warning: {error}; what was in force before stays so");
            let problem = Problem {
                file: path.display().to_string(),
                line: 1,
                field: String::new(),
                found: format!("a folder that cannot be read ({error})"),
                allowed: "what this user can read".to_owned(),
            };
            self.refused = Some(Refused { folder: None, problems: vec![problem] });
        }
    }
}

/// Asks of definitions that no new version touches the past without saying so (R24): whoever works by what is in force could
/// not go on by it. `lives` are the workers of this process, who know best; of others the lake tells.
pub fn fits_the_past(
    lake: &Lake,
    runtime: &tokio::runtime::Handle,
    lives: impl Fn() -> Vec<Arc<Live>> + Send + Sync + 'static,
) -> Fits {
    let (lake, runtime) = (lake.clone(), runtime.clone());
    Box::new(move |definitions| {
        let lives = lives();
        let known = lives.iter().filter_map(|live| live.spoken_for()).collect();
        let refused = match lives.iter().find_map(|live| live.refuse_the_past(definitions).err()) {
            None => runtime.block_on(touching_the_past(&lake, definitions, &known))?,
            refused => refused,
        };
        Ok(refused.into_iter().map(|error| touching(definitions, &error)).collect())
    })
}

/// The refusal of a version that touches the past, at the place where it is defined, or where the one is to which its days
/// would fall back.
fn touching(definitions: &Definitions, error: &TouchesThePast) -> Problem {
    let TouchesThePast { of, id, version, falls_back_to, .. } = error;
    let version = &falls_back_to.unwrap_or(*version);
    let agreements = definitions.agreements.iter().map(|one| ("agreement", &one.id, one.version, &one.place));
    let calendars = definitions.calendars.values().flatten();
    let calendars = calendars.map(|one| ("calendar", &one.id, one.version, &one.place));
    let mut places = agreements.chain(calendars);
    let place = places.find(|place| (place.0, place.1.as_str(), place.2) == (*of, &**id, *version));
    let (file, line) = place.and_then(|(.., place)| place.rsplit_once(':')).unwrap_or_default();
    let (found, allowed) = error.told();
    Problem {
        file: file.to_owned(),
        line: line.parse().unwrap_or(1),
        field: if falls_back_to.is_some() { "metadata.version" } else { "spec.effective.from" }.to_owned(),
        found,
        allowed,
    }
}

/// A file as a whole under its name, or not at all. Whoever reads the folder leaves out names that begin with a dot.
fn write(path: &Path, text: Option<&str>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match (text, path.file_name()) {
        (Some(text), Some(name)) => {
            let staging = folder.join(format!(".{}.new", name.to_string_lossy()));
            let mut file = File::create(&staging)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&staging, path)?;
        }
        _ => std::fs::remove_file(path)?,
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
