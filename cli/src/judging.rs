//! Events in, facts out, without a server: what `judge`, `gate` and `backtest` share. The same decoder and the same
//! engine as the server's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_select::filter::filter_record_batch;
use plimsoll_engine::Name;
use plimsoll_engine::lane::LaneGroup;
use plimsoll_engine::portfolio::Portfolio;
use plimsoll_engine::stage::Facts;
use plimsoll_ingest::file::read_file;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::definition::source::Source;
use plimsoll_schemas::delivery::Delivery;
use plimsoll_schemas::event::{EventBatch, EventColumn, EventKind, Vocabulary};
use plimsoll_schemas::table::DeadLetterRow;

use crate::definitions;

/// How many dead letters are told on standard error; the rest is counted.
const DEAD_LETTERS_TOLD_MAX: usize = 10;
/// How many tickets, changes and services without a place in the catalogue are named; the rest is counted.
const UNASSIGNED_TOLD_MAX: usize = 5;

/// A state that takes events as they were known at an instant.
pub struct Judging {
    group: LaneGroup,
    portfolio: Arc<Portfolio>,
    as_of: Instant,
    later: usize,
    duplicates: u64,
    accepted: usize,
    dead_letters: Vec<DeadLetterRow>,
    /// How many results and scores there were of each service that the catalogue lacks, and of none under an empty name.
    strangers: BTreeMap<String, usize>,
}

impl Judging {
    /// Nothing was read yet.
    pub fn new(definitions: &Definitions, as_of: Instant) -> Judging {
        let portfolio = Arc::new(Portfolio::new(definitions));
        Judging {
            group: LaneGroup::new(portfolio.clone(), 1),
            portfolio,
            as_of,
            later: 0,
            duplicates: 0,
            accepted: 0,
            dead_letters: Vec::new(),
            strangers: BTreeMap::new(),
        }
    }

    /// Takes a delivery, but for what is later than the instant.
    ///
    /// # Errors
    /// When the rest cannot be made a batch, which is a defect.
    pub fn fold(&mut self, mut delivery: Delivery) -> Result<()> {
        let times = delivery.events.times(EventColumn::Time);
        let known: BooleanArray = times.values().iter().map(|time| Some(*time <= self.as_of.0)).collect();
        if known.true_count() < known.len() {
            self.later += known.len() - known.true_count();
            delivery.events = match known.true_count() {
                0 => EventBatch::empty(),
                _ => EventBatch::try_new(filter_record_batch(delivery.events.record_batch(), &known)?)?,
            };
        }
        let folded = self.group.fold(&delivery, self.as_of);
        self.accepted += folded.accepted.as_ref().map_or(delivery.events.num_rows(), Vec::len);
        match &folded.accepted {
            Some(rows) => self.note_strangers(&delivery.events, rows.iter().map(|row| *row as usize)),
            None => self.note_strangers(&delivery.events, 0..delivery.events.num_rows()),
        }
        self.duplicates += folded.duplicates;
        for letter in &delivery.dead_letters {
            self.dead_letters.push(DeadLetterRow::new(&delivery.partition, letter, self.as_of, 1));
        }
        Ok(())
    }

    /// Counts results and scores by the services that the catalogue lacks. Tickets and changes keep theirs (R38).
    fn note_strangers(&mut self, events: &EventBatch, rows: impl Iterator<Item = usize>) {
        let (services, kinds) = (events.interned(EventColumn::Service), events.words(EventColumn::Kind));
        let names = services.values().as_string::<i32>();
        let is_known = |name: Option<&str>| name.is_some_and(|id| self.portfolio.service_place(id).is_some());
        let known: Vec<bool> = names.iter().map(is_known).collect();
        for row in rows {
            let service = services.key(row);
            let kind = EventKind::from_key(kinds.keys().value(row));
            let is_single = matches!(kind, Some(EventKind::Monitoring | EventKind::Feedback));
            if is_single && !service.is_some_and(|key| known[key]) {
                let name = service.map_or("", |key| names.value(key));
                *self.strangers.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// Says on standard error what was read and what was set aside.
    pub fn tell(&self) {
        eprintln!(
            "{}, {}, {} later than {}, {} set aside",
            definitions::counted(self.accepted, "event"),
            definitions::counted(self.duplicates as usize, "duplicate"),
            self.later,
            self.as_of,
            definitions::counted(self.dead_letters.len(), "record")
        );
        for letter in self.dead_letters.iter().take(DEAD_LETTERS_TOLD_MAX) {
            eprintln!("  {}:{}: {}: {}", letter.topic, letter.offset, letter.reason, letter.detail);
        }
        if self.dead_letters.len() > DEAD_LETTERS_TOLD_MAX {
            eprintln!(
                "  and {} more; `plimsoll judge --show dead_letters` has them all",
                self.dead_letters.len() - DEAD_LETTERS_TOLD_MAX
            );
        }
    }

    /// What follows from all that was read.
    pub fn finish(mut self) -> Judged {
        let facts = self.group.close(1, self.as_of, true);
        Judged { group: self.group, facts, dead_letters: self.dead_letters, strangers: self.strangers }
    }
}

/// What was found out.
pub struct Judged {
    /// The state.
    pub group: LaneGroup,
    /// Everything, as of a first publication.
    pub facts: Facts,
    /// What was set aside.
    pub dead_letters: Vec<DeadLetterRow>,
    strangers: BTreeMap<String, usize>,
}

impl Judged {
    /// Says on standard error what was kept but counts nowhere, because the catalogue lacks its service (R38).
    pub fn tell_unassigned(&self) {
        let named =
            |(name, service): (&Name, Option<&Name>)| format!("{name} ({})", service.map_or("none", |id| &**id));
        let mut tickets: Vec<String> = self.group.unassigned_tickets().map(named).collect();
        let mut changes: Vec<String> = self.group.unassigned_changes().map(named).collect();
        tickets.sort_unstable();
        changes.sort_unstable();
        let of_service =
            |(name, count): (&String, &usize)| format!("{} ({count})", if name.is_empty() { "none" } else { name });
        let strangers: Vec<String> = self.strangers.iter().map(of_service).collect();
        let others = self.strangers.values().sum();
        for (count, what, named) in [
            (tickets.len(), "ticket", &tickets),
            (changes.len(), "change", &changes),
            (others, "other event", &strangers),
        ] {
            if count > 0 {
                let more = named.len().saturating_sub(UNASSIGNED_TOLD_MAX);
                let first = named[..named.len() - more].join(", ");
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                eprintln!(
                    "{} of no service that the catalogue knows: {first}{rest}",
                    definitions::counted(count, what)
                );
            }
        }
    }
}

/// Reads event files, each mapped by its source.
///
/// # Errors
/// When a file cannot be read, when two have one name, and when `take` refuses.
pub fn read_files(
    definitions: &Definitions,
    paths: &[impl AsRef<Path>],
    mut take: impl FnMut(Delivery) -> Result<()>,
) -> Result<()> {
    let mut names = BTreeSet::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !names.insert(name.clone()) {
            bail!(
                "two event files are called {name}, and their records could not be told apart; give one another name"
            );
        }
        let source = match definitions.source_of_file(&name) {
            Some(source) => source.clone(),
            None if name.contains(".csv") => bail!(
                "no Source maps {name}, and CSV has no plain form; add a Source with files: [\"{name}\"] to the definitions"
            ),
            None => {
                if definitions.sources.values().any(|source| !source.files.is_empty()) {
                    eprintln!("warning: {name} fits the `files` of no Source, so it is read in the plain form");
                }
                Source::plain("file")
            }
        };
        let missing = read_file::<anyhow::Error>(path, &Arc::new(source), &mut take)?;
        for column in missing {
            eprintln!("warning: {name} has {column}");
        }
    }
    Ok(())
}
