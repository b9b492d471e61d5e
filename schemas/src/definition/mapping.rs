//! Sources and their field rules: document in, checked value out.

use std::collections::BTreeMap;

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::event::{ColumnType, EventColumn, EventKind, Vocabulary};

use super::catalogue::id_of;
use super::document::{Node, unescape};
use super::index::{Index, Kind};
use super::problem::{Problems, one_of};
use super::scalar;
use super::source::{Field, Format, Mapping, Origin, Otherwise, Source, TimeFormat};

/// A source.
pub(super) fn source(root: &Node<'_>, problems: &mut Problems) -> Source {
    let id = id_of(root);
    let Some(spec) = root.get("spec") else { return Source::plain(id) };
    let texts = |name| spec.list(name).iter().filter_map(|node| Some(node.text()?.to_owned())).collect::<Vec<_>>();
    if spec.get("topics").is_none() && spec.get("files").is_none() {
        problems.missing(&spec, "topics", "topics or files: without one of them no record can come from here");
    }
    let formats = [("json", Format::Json), ("csv", Format::Csv)];
    let format = scalar::word(spec.get("format"), &formats, Format::Json, problems);
    let lateness = spec.get("lateness").and_then(|node| scalar::duration(&node, problems));
    let csv_columns = texts("columns");
    match (spec.get("columns"), format) {
        (Some(columns), Format::Json) => problems.wrong(&columns, "no such field: it belongs to the format csv"),
        (None, Format::Csv) if spec.get("topics").is_some() => {
            problems.missing(&spec, "columns", "the names of the columns, because a Kafka record has no header line");
        }
        _ => {}
    }
    let fields = fields(&spec, &id, problems);
    if format == Format::Csv {
        check_csv(&spec, &csv_columns, problems);
    }
    Source {
        topics: texts("topics"),
        files: texts("files"),
        format,
        lateness: lateness.unwrap_or(Source::LATENESS),
        mapping: Mapping { fields, csv_columns },
        id,
    }
}

/// The rules of the fields, with those that the spec's shorthands `kind` and `records` stand for.
fn fields(spec: &Node<'_>, id: &str, problems: &mut Problems) -> BTreeMap<EventColumn, Field> {
    let map = spec.get("map");
    let mut fields = match &map {
        Some(map) => map.entries().into_iter().filter_map(|(name, node)| named_field(name, &node, problems)).collect(),
        None => Mapping::plain().fields,
    };
    if map.is_some() {
        fields.entry(EventColumn::Source).or_insert_with(|| Field::constant(id));
    }
    let snapshots = scalar::word(spec.get("records"), &[("actions", false), ("snapshots", true)], false, problems);
    let shorthands = [
        (EventColumn::Kind, spec.get("kind").and_then(|kind| kind.text())),
        (EventColumn::Action, snapshots.then_some("snapshot")),
    ];
    for (column, word) in shorthands {
        let Some(word) = word else { continue };
        if let Some(node) = map.as_ref().and_then(|map| map.get(column.name())) {
            let shorthand = if column == EventColumn::Kind { "kind" } else { "records" };
            problems.found(&node, "a second rule", format!("either this field or spec.{shorthand}"));
        }
        fields.insert(column, Field::constant(word));
    }
    if let Some(map) = &map {
        check_complete(map, &fields, problems);
    }
    fields
}

fn named_field(name: &str, node: &Node<'_>, problems: &mut Problems) -> Option<(EventColumn, Field)> {
    let column = EventColumn::from_field_name(name)?;
    let text_rule = node.text().is_some();
    let origin = if text_rule { pointer(node, problems).map(Origin::Pointer) } else { origin(node, problems) };
    let values = values(node, column, problems);
    let otherwise = otherwise(node, column, problems);
    let time_format = time_format(node, column, problems);
    let time_zone = time_zone(node, column, &time_format, problems);
    let missing = node.list("missing").iter().filter_map(Node::scalar).collect();
    Some((column, Field { origin: origin?, missing, values, otherwise, time_format, time_zone }))
}

/// The tokens of a JSON Pointer (RFC 6901).
fn pointer(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let text = node.text()?;
    let sound_escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if !text.starts_with('/') || !sound_escapes {
        problems.wrong(node, "a JSON Pointer such as /event/time, which starts with /");
        return None;
    }
    Some(text.split('/').skip(1).map(unescape).collect())
}

fn origin(node: &Node<'_>, problems: &mut Problems) -> Option<Origin> {
    let names: Vec<&str> =
        ["pointer", "constant", "join"].into_iter().filter(|name| node.get(name).is_some()).collect();
    match names.as_slice() {
        ["pointer"] => node.get("pointer").and_then(|node| pointer(&node, problems)).map(Origin::Pointer),
        ["constant"] => node.get("constant").and_then(|constant| constant.scalar()).map(Origin::Constant),
        ["join"] => {
            let join = node.get("join")?;
            let parts = join.list("pointers").iter().filter_map(|node| pointer(node, problems)).collect();
            let separator = scalar::optional_text(join.get("separator")).unwrap_or_else(|| ":".to_owned());
            Some(Origin::Joined { parts, separator })
        }
        [] => {
            problems.wrong(node, "one of pointer, constant and join, to say where the value stands");
            None
        }
        several => {
            problems.found(node, several.join(" and "), "only one of pointer, constant and join");
            None
        }
    }
}

/// The value map; what each raw value means must fit the column.
fn values(node: &Node<'_>, column: EventColumn, problems: &mut Problems) -> BTreeMap<String, String> {
    if let Some(constant) = node.get("constant") {
        check_fits(&constant, column, problems);
    }
    let mut values = BTreeMap::new();
    for (raw, meaning) in node.get("values").map(|values| values.entries()).unwrap_or_default() {
        check_fits(&meaning, column, problems);
        values.insert(raw.to_owned(), meaning.scalar().unwrap_or_default());
    }
    values
}

fn otherwise(node: &Node<'_>, column: EventColumn, problems: &mut Problems) -> Option<Otherwise> {
    let otherwise = node.get("otherwise")?;
    if node.get("values").is_none() {
        problems.wrong(&otherwise, "no such field without `values`: it says what a value outside them means");
    }
    match otherwise.text() {
        Some("keep") => Some(Otherwise::Keep),
        Some("missing") => Some(Otherwise::Missing),
        _ => {
            let value = otherwise.get("value")?;
            check_fits(&value, column, problems);
            value.scalar().map(Otherwise::Value)
        }
    }
}

/// Tells when a written value can never be one of the column.
fn check_fits(node: &Node<'_>, column: EventColumn, problems: &mut Problems) {
    let Some(text) = node.scalar() else { return };
    let field = column.field_name();
    match column.column_type() {
        ColumnType::Word if !column.words().contains(&text.as_str()) => {
            problems.wrong(node, one_of(&text, column.words(), &format!("a word for {field}")));
        }
        ColumnType::Boolean if text != "true" && text != "false" => {
            problems.wrong(node, format!("true or false for {field}"));
        }
        ColumnType::Integer if text.parse::<f64>().is_err() => problems.wrong(node, format!("a number for {field}")),
        _ => {}
    }
}

const UNITS: [(&str, TimeFormat); 4] = [
    ("s", TimeFormat::Seconds),
    ("ms", TimeFormat::Milliseconds),
    ("us", TimeFormat::Microseconds),
    ("ns", TimeFormat::Nanoseconds),
];

/// How the column's times, or for `latency_ms` its durations, are written.
fn time_format(node: &Node<'_>, column: EventColumn, problems: &mut Problems) -> TimeFormat {
    let default = TimeFormat::of(column);
    let Some(node) = node.get("time") else { return default };
    let text = node.text().unwrap_or_default();
    let unit = UNITS.iter().find(|(word, _)| *word == text).map(|(_, unit)| unit.clone());
    match (column.column_type(), unit) {
        (ColumnType::Time, Some(unit)) => unit,
        (ColumnType::Time, None) if text == "rfc3339" => TimeFormat::Rfc3339,
        (ColumnType::Time, None) => match pattern_defect(text) {
            None => TimeFormat::Pattern(text.to_owned()),
            Some(defect) => {
                problems.wrong(
                    &node,
                    format!("rfc3339, s, ms, us, ns or a strftime pattern such as %d/%m/%Y %H:%M; {defect}"),
                );
                default
            }
        },
        (_, Some(unit)) if column == EventColumn::LatencyUs => unit,
        (_, None) if column == EventColumn::LatencyUs => {
            problems.wrong(&node, "the unit of latency_ms: one of s, ms, us, ns");
            default
        }
        _ => {
            problems.wrong(&node, format!("no such field: {} is not a time", column.field_name()));
            default
        }
    }
}

/// Why a strftime pattern cannot read times; `None` when it can. What it prints it must be able to read back.
fn pattern_defect(pattern: &str) -> Option<&'static str> {
    if !pattern.contains('%') {
        return Some("a pattern has fields such as %Y");
    }
    let items: Vec<Item<'_>> = StrftimeItems::new(pattern).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Some("this pattern has a field that does not exist");
    }
    let sample: DateTime<Utc> = Utc.with_ymd_and_hms(2026, 3, 4, 5, 6, 7).single()?;
    let text = sample.format_with_items(items.iter()).to_string();
    let mut parsed = Parsed::new();
    let readable = chrono::format::parse(&mut parsed, &text, items.iter()).is_ok()
        && (parsed.to_naive_datetime_with_offset(0).is_ok() || parsed.to_datetime().is_ok());
    (!readable).then_some("this pattern lacks a part of the date or the time of day")
}

fn time_zone(node: &Node<'_>, column: EventColumn, format: &TimeFormat, problems: &mut Problems) -> Tz {
    let Some(node) = node.get("time_zone") else { return Tz::UTC };
    let civil = matches!(format, TimeFormat::Rfc3339 | TimeFormat::Pattern(_));
    if column.column_type() != ColumnType::Time || !civil {
        problems.wrong(&node, "no such field: it belongs to times in rfc3339 or in a pattern");
    }
    scalar::time_zone(&node, problems).unwrap_or(Tz::UTC)
}

/// Tells what an explicit mapping lacks so that its records could ever count. The id may be left out: then topic,
/// partition and offset are the event's id.
fn check_complete(map: &Node<'_>, fields: &BTreeMap<EventColumn, Field>, problems: &mut Problems) {
    use EventColumn::*;
    // A rule that is there but wrong is not missing.
    let has = |column: EventColumn| fields.contains_key(&column) || map.get(column.field_name()).is_some();
    if !has(Time) {
        problems.missing(map, "time", "a rule for when it happened");
    }
    if !has(Kind) {
        problems.missing(map, "kind", "a rule for the kind of event, or spec.kind if all are of one kind");
    }
    if has(GoodCount) != has(TotalCount) {
        let (lacks, given) = if has(GoodCount) { (TotalCount, GoodCount) } else { (GoodCount, TotalCount) };
        problems.missing(map, lacks.name(), format!("a rule beside {}: a ratio has two parts", given.name()));
    }
    let kind = match fields.get(&Kind).map(|field| &field.origin) {
        Some(Origin::Constant(word)) => EventKind::parse(word),
        _ => None,
    };
    let useful: &[EventColumn] = match kind {
        Some(EventKind::Monitoring) => &[Status, GoodCount, LatencyUs],
        Some(EventKind::Incident | EventKind::Change) => &[Ticket, GoodCount],
        Some(EventKind::Feedback) => &[Score, GoodCount],
        None => return,
    };
    if let (Some(kind), false) = (kind, useful.iter().any(|column| has(*column))) {
        let names = useful.iter().map(|column| column.field_name()).collect::<Vec<_>>().join(" or ");
        problems.missing(
            map,
            useful[0].field_name(),
            format!("a rule for {names}, which {} events need", kind.as_str()),
        );
    }
    if matches!(kind, Some(EventKind::Incident | EventKind::Change)) && has(Ticket) && !has(Action) {
        problems.missing(map, "action", "a rule for what happened to the ticket, or spec.records: snapshots");
    }
}

/// Tells pointers that cannot be CSV columns.
fn check_csv(spec: &Node<'_>, columns: &[String], problems: &mut Problems) {
    for (_, rule) in spec.get("map").map(|map| map.entries()).unwrap_or_default() {
        let joined = rule.get("join").map(|join| join.list("pointers")).unwrap_or_default();
        let single = if rule.text().is_some() { Some(rule.clone()) } else { rule.get("pointer") };
        for node in single.into_iter().chain(joined) {
            let Some(column) = node.text().and_then(|text| text.strip_prefix('/')) else { continue };
            if column.contains('/') {
                problems.wrong(&node, "/ and the name of a CSV column, such as /number");
            } else if !columns.is_empty() && !columns.contains(&unescape(column)) {
                let names = columns.iter().map(String::as_str);
                problems.wrong(&node, one_of(column, names, "/ and the name of a column in spec.columns"));
            }
        }
    }
}

/// Tells topics and file names that two sources claim: a record must not be mapped twice.
pub(super) fn check_claims(index: &Index<'_>, problems: &mut Problems) {
    for (name, phrase) in [("topics", "a topic"), ("files", "a file name")] {
        let mut claims: BTreeMap<&str, Node<'_>> = BTreeMap::new();
        for root in index.of(Kind::Source) {
            for node in root.get("spec").map(|spec| spec.list(name)).unwrap_or_default() {
                let Some(text) = node.text() else { continue };
                match claims.get(text) {
                    // The same source's own repetition is told by the schema.
                    Some(first) if first.place() != node.place() || first.field() != node.field() => {
                        problems
                            .wrong(&node, format!("{phrase} that no other source claims, as {} does", first.place()));
                    }
                    _ => {
                        claims.insert(text, node);
                    }
                }
            }
        }
    }
}
