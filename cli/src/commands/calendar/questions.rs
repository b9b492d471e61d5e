//! `elapsed` and `due`: one question and its answer, or as many as there are lines.

use std::io::{BufRead, BufWriter, IsTerminal, Write};

use anyhow::{Context, Result, anyhow, bail};
use clap::error::ErrorKind;
use plimsoll_engine::calendar::AGREED_UNTIL;
use plimsoll_schemas::definition::parse_duration;
use plimsoll_schemas::{Instant, Micros};

use super::Format;
use super::chosen::{Chosen, in_hours, writable};

/// A question in two words, and what is to be told of it.
type Answer = fn(&Chosen, &str, &str) -> Result<Vec<Field>>;

/// One value of an answer, and its name.
pub(super) struct Field {
    name: &'static str,
    value: Value,
}

enum Value {
    Instant(Instant),
    /// Microseconds of agreed time.
    Micros(i64),
    /// An instant that is never reached.
    Never,
}

/// The question that the arguments ask; `None` when questions come from standard input.
///
/// # Errors
/// Wrong usage: half a question, or nothing to read.
pub(super) fn one<'a>(
    first: Option<&'a str>,
    second: Option<&'a str>,
    form: &str,
) -> Result<Option<(&'a str, &'a str)>, clap::Error> {
    let usage = |what: String| Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, what));
    match (first, second) {
        (Some("-"), None) => Ok(None),
        (None, _) if std::io::stdin().is_terminal() => {
            usage(format!("expected {form}, or such lines on standard input (- reads them from a terminal)\n"))
        }
        (None, _) => Ok(None),
        (Some(first), Some(second)) if first != "-" => Ok(Some((first, second))),
        _ => usage(format!("expected {form}, or - alone for such lines on standard input\n")),
    }
}

/// How much agreed time lies between two instants.
pub(super) fn elapsed(chosen: &Chosen, from: &str, until: &str) -> Result<Vec<Field>> {
    let (from, until) = (chosen.instant(from)?, chosen.instant(until)?);
    let elapsed = Value::Micros(chosen.time.elapsed(from, until).0);
    Ok(vec![
        Field { name: "from", value: Value::Instant(from) },
        Field { name: "until", value: Value::Instant(until) },
        Field { name: "elapsed", value: elapsed },
    ])
}

/// When an amount of agreed time has passed.
pub(super) fn due(chosen: &Chosen, start: &str, amount: &str) -> Result<Vec<Field>> {
    let start = chosen.instant(start)?;
    let amount = parse_duration(amount)
        .ok_or_else(|| anyhow!("found {amount:?}, expected a duration such as 4h, 1h 30m or 90s, at most 36500d"))?;
    let due = match chosen.time.due(start, amount) {
        Some(due) => Value::Instant(writable(due)?),
        None => Value::Never,
    };
    Ok(vec![
        Field { name: "start", value: Value::Instant(start) },
        Field { name: "amount", value: Value::Micros(amount.0) },
        Field { name: "due", value: due },
    ])
}

/// Answers the question, or those on standard input.
///
/// # Errors
/// When a question cannot be read; on standard input the line is named.
pub(super) fn answer(chosen: &Chosen, answer: Answer, question: Option<(&str, &str)>, format: Format) -> Result<()> {
    let mut output = BufWriter::new(std::io::stdout().lock());
    if let Some((first, second)) = question {
        let fields = answer(chosen, first, second)?;
        match format {
            Format::Table => write_for_people(&mut output, chosen, &fields)?,
            _ => write_line(&mut output, &fields, format, true)?,
        }
        return Ok(output.flush()?);
    }
    let mut is_first = true;
    for (place, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.with_context(|| format!("line {} of standard input cannot be read", place + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let answered = two_words(&line).and_then(|(first, second)| answer(chosen, first, second));
        match answered {
            Ok(fields) => write_line(&mut output, &fields, format, is_first)?,
            Err(error) => {
                // What was answered before is still an answer.
                output.flush()?;
                return Err(error.context(format!("line {} of standard input", place + 1)));
            }
        }
        is_first = false;
    }
    Ok(output.flush()?)
}

/// The first word of a line and the rest, parted by blanks or a comma.
fn two_words(line: &str) -> Result<(&str, &str)> {
    let is_between = |letter: char| letter.is_whitespace() || letter == ',';
    match line.trim().split_once(is_between) {
        Some((first, rest)) => Ok((first, rest.trim_start_matches(is_between))),
        None => bail!("found {line:?}, expected two values with a blank or a comma between them"),
    }
}

/// One answer on some lines, with clocks beside instants.
fn write_for_people(output: &mut impl Write, chosen: &Chosen, fields: &[Field]) -> Result<()> {
    let readable = |field: &Field| match field.value {
        Value::Instant(instant) => {
            let local = chosen.local(instant);
            format!("{} {}", local.format("%a %Y-%m-%d %H:%M:%S%.f %:z"), local.timezone().name())
        }
        Value::Micros(micros) => in_hours(Micros(micros)),
        Value::Never => format!("never before {AGREED_UNTIL}"),
    };
    let width = fields.iter().map(|field| readable(field).len()).max().unwrap_or_default();
    for field in fields {
        let exact = match field.value {
            Value::Instant(instant) => instant.to_string(),
            Value::Micros(micros) => format!("{micros} us"),
            Value::Never => String::new(),
        };
        writeln!(output, "{}", format!("{:<8} {:<width$}  {exact}", field.name, readable(field)).trim_end())?;
    }
    Ok(())
}

/// One answer on one line; the names come before the first one in CSV.
fn write_line(output: &mut impl Write, fields: &[Field], format: Format, is_first: bool) -> Result<()> {
    let name = |field: &Field| match field.value {
        Value::Micros(_) => format!("{}_us", field.name),
        Value::Instant(_) | Value::Never => field.name.to_owned(),
    };
    let text = |field: &Field| match field.value {
        Value::Instant(instant) => instant.to_string(),
        Value::Micros(micros) => micros.to_string(),
        Value::Never => String::new(),
    };
    let line = match format {
        Format::Csv => {
            if is_first {
                writeln!(output, "{}", fields.iter().map(name).collect::<Vec<_>>().join(","))?;
            }
            fields.iter().map(text).collect::<Vec<_>>().join(",")
        }
        Format::Json => {
            // Numbers and times of RFC 3339 need no escapes.
            let json = |field: &Field| match field.value {
                Value::Instant(instant) => format!("\"{}\":\"{instant}\"", name(field)),
                Value::Micros(micros) => format!("\"{}\":{micros}", name(field)),
                Value::Never => format!("\"{}\":null", name(field)),
            };
            format!("{{{}}}", fields.iter().map(json).collect::<Vec<_>>().join(","))
        }
        Format::Table => {
            let cell = |field: &Field| match field.value {
                Value::Instant(instant) => format!("{:<27}", instant.to_string()),
                Value::Micros(micros) => format!("{:<20}", in_hours(Micros(micros))),
                Value::Never => "never".to_owned(),
            };
            fields.iter().map(cell).collect::<Vec<_>>().join(" ").trim_end().to_owned()
        }
    };
    Ok(writeln!(output, "{line}")?)
}
