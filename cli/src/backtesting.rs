//! A back-test (R31) as it is asked on the command line and over HTTP: what a draft would have come to, had it been in
//! force, beside the agreement that was.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::NaiveDate;
use plimsoll_engine::backtest::{Compared, NotJudged, as_if_in_force, beside, in_force_of};
use plimsoll_query::{Format, encode_batch};
use plimsoll_schemas::definition::{Agreement, Definitions};
use plimsoll_schemas::delivery::Delivery;
use plimsoll_schemas::table::AttainmentRow;
use plimsoll_schemas::{Instant, Micros};

use crate::definitions::counted;
use crate::history::History;
use crate::judging::Judging;

/// Why there is nothing to be said of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It has no agreement that is not in force.
    NoAgreement,
    /// Nothing happened so far.
    NoEvent,
}

impl fmt::Display for Nothing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Nothing::NoAgreement => "the draft has no agreement beside those in force; give the draft of one",
            Nothing::NoEvent => "there is no event to judge the draft by",
        })
    }
}

impl std::error::Error for Nothing {}

/// What is asked.
pub struct Question<'a> {
    /// The draft and what is in force, together.
    pub drafted: Definitions,
    /// What is in force.
    pub in_force: &'a Definitions,
    /// The first civil day of the draft. Unless said, that of the first event.
    pub from: Option<NaiveDate>,
    /// When it is judged: later events are not known yet.
    pub as_of: Instant,
}

/// The events judged twice, under the draft and under what is in force.
pub struct Judged {
    draft: Judging,
    in_force: Judging,
    not_judged: Vec<NotJudged>,
}

impl Question<'_> {
    /// Judges all events; `is_wanted` may end that.
    ///
    /// # Errors
    /// `Nothing` where nothing can be said; and when the events cannot be read.
    pub fn judge(self, history: &History<'_>, is_wanted: impl Fn() -> Result<()>) -> Result<Judged> {
        let Question { mut drafted, in_force, from, as_of } = self;
        drafted.agreements.retain(|agreement| is_new(agreement, in_force));
        if drafted.agreements.is_empty() {
            return Err(Nothing::NoAgreement.into());
        }
        let Some(first) = history.first(&drafted)? else { return Err(Nothing::NoEvent.into()) };
        let laid_out = as_if_in_force(drafted.agreements, from, first, as_of);
        drafted.agreements = laid_out.agreements;
        let (mut draft, mut current) = (Judging::new(&drafted, as_of), Judging::new(in_force, as_of));
        history.read(&drafted, &mut |delivery: Delivery| {
            is_wanted()?;
            current.fold(delivery.clone())?;
            draft.fold(delivery)
        })?;
        Ok(Judged { draft, in_force: current, not_judged: laid_out.not_judged })
    }
}

impl Judged {
    /// Says on standard error what is not judged, and what was read and set aside.
    pub fn tell(&self) {
        self.draft.tell();
        for NotJudged { agreement, version, because } in &self.not_judged {
            eprintln!("warning: version {version} of {agreement} is not judged: {because}");
        }
    }

    /// The windows of the draft beside those of what is in force.
    pub fn compare(self) -> Backtest {
        let (draft, in_force) = (self.draft.finish(), self.in_force.finish());
        Backtest { compared: beside(draft.facts.attainment, &in_force.facts.attainment), not_judged: self.not_judged }
    }
}

/// Each window of a draft, with what stands beside it.
pub struct Backtest {
    compared: Vec<Compared>,
    /// What is not among them.
    pub not_judged: Vec<NotJudged>,
}

impl Backtest {
    /// A row for each window of the draft and each that stands beside it: for people in words, for programs with units in
    /// the names.
    ///
    /// # Errors
    /// When the columns do not fit together, which is a defect.
    pub fn write(&self, format: Format) -> Result<Vec<u8>> {
        let pairs = &pairs(&self.compared);
        Ok(match format {
            Format::Table => {
                let count = format!("{}\n", counted(self.compared.len(), "window"));
                let rows = if pairs.is_empty() { Vec::new() } else { encode_batch(&for_people(pairs)?, format)? };
                [count.into_bytes(), rows].concat()
            }
            _ => encode_batch(&columns(pairs)?, format)?,
        })
    }

    /// How often each promise would have been kept and was, a line each.
    pub fn summary(&self) -> Vec<String> {
        let mut promises: BTreeMap<(&str, &str, &str), Vec<&Compared>> = BTreeMap::new();
        for one in &self.compared {
            promises.entry((&*one.draft.agreement, &*one.draft.service, &*one.draft.objective)).or_default().push(one);
        }
        let line = |((agreement, service, objective), compared): ((&str, &str, &str), Vec<&Compared>)| {
            let draft = verdicts(compared.iter().map(|one| &one.draft));
            let in_force = verdicts(in_force_of(compared.into_iter()).into_iter());
            format!("{agreement}, {service}, {objective}: draft {draft}; in force {in_force}")
        };
        promises.into_iter().map(line).collect()
    }
}

/// Whether an agreement's version is none that is in force.
fn is_new(agreement: &Agreement, in_force: &Definitions) -> bool {
    let is_same = |known: &Agreement| known.id == agreement.id && known.version == agreement.version;
    !in_force.agreements.iter().any(is_same)
}

/// A result of the draft, and one that stands beside it, if there is one.
type Pair<'a> = (&'a AttainmentRow, Option<&'a AttainmentRow>);

/// One of the two.
type Side = for<'a> fn(&Pair<'a>) -> Option<&'a AttainmentRow>;

/// A line for each result of the draft and each that stands beside it.
fn pairs(compared: &[Compared]) -> Vec<Pair<'_>> {
    let mut pairs = Vec::new();
    for Compared { draft, in_force } in compared {
        pairs.extend(in_force.iter().map(|row| (draft, Some(row))));
        pairs.extend(in_force.is_empty().then_some((draft, None)));
    }
    pairs
}

/// `3 breached, 9 met`.
fn verdicts<'a>(rows: impl Iterator<Item = &'a AttainmentRow>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(&*row.verdict).or_default() += 1;
    }
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect::<Vec<_>>().join(", ")
}

/// What people read: values in words.
fn for_people(pairs: &[Pair<'_>]) -> Result<RecordBatch> {
    let of_draft = |of: fn(&AttainmentRow) -> String| text(pairs, |(draft, _)| Some(of(draft)));
    let of_other = |of: fn(&AttainmentRow) -> String| text(pairs, |(_, in_force)| in_force.map(of));
    Ok(RecordBatch::try_from_iter([
        ("agreement", of_draft(|row| row.agreement.to_string())),
        ("version", of_draft(|row| row.agreement_version.to_string())),
        ("service", of_draft(|row| row.service.to_string())),
        ("objective", of_draft(|row| row.objective.to_string())),
        ("window_start", time(pairs, |row| row.window_start)),
        ("draft_segment", of_draft(segment)),
        ("draft_target", of_draft(|row| row.target.to_string())),
        ("draft_measured", of_draft(measured)),
        ("draft_verdict", of_draft(|row| row.verdict.to_string())),
        ("in_force", of_other(|row| row.agreement.to_string())),
        ("in_force_version", of_other(|row| row.agreement_version.to_string())),
        ("in_force_segment", of_other(segment)),
        ("in_force_target", of_other(|row| row.target.to_string())),
        ("in_force_measured", of_other(measured)),
        ("in_force_verdict", of_other(|row| row.verdict.to_string())),
    ])?)
}

/// The part of the window that is judged; empty when it is all of it.
fn segment(row: &AttainmentRow) -> String {
    match (row.segment_start, row.segment_end) {
        (start, end) if (start, end) == (row.window_start, row.window_end) => String::new(),
        (start, end) => format!("{start}/{end}"),
    }
}

/// What was measured, in the unit of the target; empty when nothing was.
fn measured(row: &AttainmentRow) -> String {
    let share = row.value_ratio.map(|decimal| decimal.0.to_string());
    let time = row.value_us.map(|time| Micros(time).to_string());
    share.or(time).or(row.value_count.map(|count| count.to_string())).unwrap_or_default()
}

/// What programs read: units in the names.
fn columns(pairs: &[Pair<'_>]) -> Result<RecordBatch> {
    let mut columns = vec![
        ("window_start".to_owned(), time(pairs, |row| row.window_start), false),
        ("window_end".to_owned(), time(pairs, |row| row.window_end), false),
        ("service".to_owned(), text(pairs, |(draft, _)| Some(draft.service.to_string())), false),
        ("objective".to_owned(), text(pairs, |(draft, _)| Some(draft.objective.to_string())), false),
    ];
    let sides: [(&str, Side); 2] = [("draft", |pair| Some(pair.0)), ("in_force", |pair| pair.1)];
    for (side, row_of) in sides {
        let words = |of: fn(&AttainmentRow) -> String| text(pairs, |pair| row_of(pair).map(of));
        let numbers = |of: fn(&AttainmentRow) -> Option<i64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter(pairs.iter().map(|pair| row_of(pair).and_then(of))))
        };
        let instants = |of: fn(&AttainmentRow) -> Instant| -> ArrayRef {
            let times = pairs.iter().map(|pair| row_of(pair).map(|row| of(row).0));
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
        };
        let ratios = pairs.iter().map(|pair| row_of(pair)?.value_ratio.map(|decimal| i128::from(decimal.0.0)));
        let ratios = Decimal128Array::from_iter(ratios).with_precision_and_scale(18, 9)?;
        for (name, column) in [
            ("agreement", words(|row| row.agreement.to_string())),
            ("agreement_version", numbers(|row| Some(row.agreement_version.into()))),
            ("segment_start", instants(|row| row.segment_start)),
            ("segment_end", instants(|row| row.segment_end)),
            ("target", words(|row| row.target.to_string())),
            ("verdict", words(|row| row.verdict.to_string())),
            ("finality", words(|row| row.finality.to_string())),
            ("value_ratio", Arc::new(ratios) as ArrayRef),
            ("value_us", numbers(|row| row.value_us)),
            ("value_count", numbers(|row| row.value_count)),
            ("bad_us", numbers(|row| Some(row.bad_us))),
            ("unknown_us", numbers(|row| Some(row.unknown_us))),
        ] {
            columns.push((format!("{side}_{name}"), column, true));
        }
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn text(pairs: &[Pair<'_>], of: impl Fn(&Pair<'_>) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(pairs.iter().map(of)))
}

fn time(pairs: &[Pair<'_>], of: impl Fn(&AttainmentRow) -> Instant) -> ArrayRef {
    let times = pairs.iter().map(|(draft, _)| of(draft).0);
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}
