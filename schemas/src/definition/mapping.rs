//! Sources and their field rules: document in, checked value out.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::event::{ColumnType, EventColumn, EventKind, Vocabulary};

use super::catalogue::id_of;
use super::document::{Node, unescape};
use super::literal::{misfit, pattern_defect};
use super::problem::Problems;
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
        (Some(columns), Format::Csv) if spec.get("topics").is_none() => {
            problems.wrong(&columns, "no such field without `topics`: the first line of a CSV file names its columns");
        }
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
    let time_format = time_format(node, column, problems);
    if let Some(constant) = node.get("constant") {
        check_constant(&constant, column, time_format.as_ref(), problems);
    }
    let values = values(node, column, time_format.as_ref(), problems);
    let otherwise = otherwise(node, column, time_format.as_ref(), problems);
    let time_format = time_format.unwrap_or_else(|| TimeFormat::of(column));
    let time_zone = time_zone(node, column, &time_format, problems);
    let missing = node.list("missing").iter().filter_map(Node::scalar).map(str::to_owned).collect();
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
        ["constant"] => Some(Origin::Constant(node.get("constant")?.scalar()?.to_owned())),
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

/// A constant must be a value of the column, and there is nothing to say about other values.
fn check_constant(constant: &Node<'_>, column: EventColumn, format: Option<&TimeFormat>, problems: &mut Problems) {
    if constant.text() == Some("") {
        problems.wrong(constant, "a value; leave the field out if there is none");
    }
    check_fits(constant, column, format, problems);
}

/// The value map; what each raw value means must fit the column.
fn values(
    node: &Node<'_>,
    column: EventColumn,
    format: Option<&TimeFormat>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (raw, meaning) in node.get("values").map(|values| values.entries()).unwrap_or_default() {
        check_fits(&meaning, column, format, problems);
        values.insert(raw.to_owned(), meaning.scalar().unwrap_or_default().to_owned());
    }
    values
}

fn otherwise(
    node: &Node<'_>,
    column: EventColumn,
    format: Option<&TimeFormat>,
    problems: &mut Problems,
) -> Option<Otherwise> {
    let otherwise = node.get("otherwise")?;
    if node.get("values").is_none() {
        problems.wrong(&otherwise, "no such field without `values`: it says what a value outside them means");
    }
    match otherwise.text() {
        Some("keep") => Some(Otherwise::Keep),
        Some("missing") => Some(Otherwise::Missing),
        _ => {
            let value = otherwise.get("value")?;
            check_fits(&value, column, format, problems);
            value.scalar().map(|value| Otherwise::Value(value.to_owned()))
        }
    }
}

/// Tells when a written value can never be one of the column. Without a format there is nothing to read times by, and
/// that has been told.
fn check_fits(node: &Node<'_>, column: EventColumn, format: Option<&TimeFormat>, problems: &mut Problems) {
    let (Some(text), Some(format)) = (node.scalar(), format) else { return };
    if let Some(allowed) = misfit(text, column, format) {
        problems.wrong(node, allowed);
    }
}

const UNITS: [(&str, TimeFormat); 4] = [
    ("s", TimeFormat::Seconds),
    ("ms", TimeFormat::Milliseconds),
    ("us", TimeFormat::Microseconds),
    ("ns", TimeFormat::Nanoseconds),
];

/// How the column's times, or for `latency_ms` its durations, are written; `None` when that cannot be read.
fn time_format(node: &Node<'_>, column: EventColumn, problems: &mut Problems) -> Option<TimeFormat> {
    let Some(node) = node.get("time") else { return Some(TimeFormat::of(column)) };
    let text = node.text().unwrap_or_default();
    let unit = UNITS.iter().find(|(word, _)| *word == text).map(|(_, unit)| unit.clone());
    let allowed = match (column.column_type(), unit) {
        (ColumnType::Time, Some(unit)) => return Some(unit),
        (ColumnType::Time, None) if text == "rfc3339" => return Some(TimeFormat::Rfc3339),
        (ColumnType::Time, None) => match pattern_defect(text) {
            None => return Some(TimeFormat::Pattern(text.to_owned())),
            Some(defect) => format!("rfc3339, s, ms, us, ns or a strftime pattern such as %d/%m/%Y %H:%M; {defect}"),
        },
        (_, Some(unit)) if column == EventColumn::LatencyUs => return Some(unit),
        _ if column == EventColumn::LatencyUs => "the unit of latency_ms: one of s, ms, us, ns".to_owned(),
        _ => format!("no such field: {} is not a time", column.field_name()),
    };
    problems.wrong(&node, allowed);
    None
}

fn time_zone(node: &Node<'_>, column: EventColumn, format: &TimeFormat, problems: &mut Problems) -> Tz {
    let Some(node) = node.get("time_zone") else { return Tz::UTC };
    let civil = matches!(format, TimeFormat::Rfc3339 | TimeFormat::Pattern(_));
    if column.column_type() != ColumnType::Time || !civil {
        problems.wrong(&node, "no such field: it belongs to times in rfc3339 or in a pattern");
    }
    scalar::time_zone(&node, problems).unwrap_or(Tz::UTC)
}

/// Tells what an explicit mapping lacks so that its records could ever count: what the decoder asks of each kind of
/// event. The id may be left out: then topic, partition and offset are the event's id.
fn check_complete(map: &Node<'_>, fields: &BTreeMap<EventColumn, Field>, problems: &mut Problems) {
    use EventColumn::*;
    // A rule that is there but wrong is not missing.
    let has = |column: EventColumn| fields.contains_key(&column) || map.get(column.field_name()).is_some();
    let constant = |column| match fields.get(&column).map(|field| &field.origin) {
        Some(Origin::Constant(word)) => Some(word.as_str()),
        _ => None,
    };
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
    let Some(kind) = constant(Kind).and_then(EventKind::parse) else { return };
    let needs: &[(EventColumn, &str)] = match kind {
        EventKind::Monitoring => &[(Service, "a rule for the service")],
        EventKind::Incident => &[
            (Ticket, "a rule for the ticket's number"),
            (Action, "a rule for what happened to the ticket, or spec.records: snapshots"),
        ],
        EventKind::Change => &[
            (Ticket, "a rule for the change's number"),
            (Action, "a rule for what happened to the change, such as {constant: finished}"),
        ],
        EventKind::Feedback => &[(Score, "a rule for what the user thinks")],
    };
    for (column, rule) in needs.iter().filter(|(column, _)| !has(*column)) {
        problems.missing(map, column.field_name(), format!("{rule}; {} events need one", kind.as_str()));
    }
    if kind == EventKind::Monitoring && ![Status, GoodCount, LatencyUs].into_iter().any(has) {
        let allowed = "a rule for status or good_count or latency_ms; monitoring events need one of them";
        problems.missing(map, "status", allowed);
    }
    if constant(Action) == Some("snapshot") && !has(State) {
        problems.missing(map, "state", "a rule for where the ticket stands; snapshots are compared by it");
    }
}

/// Tells pointers that cannot be CSV columns, and columns of which the plain form finds too few.
fn check_csv(spec: &Node<'_>, columns: &[String], problems: &mut Problems) {
    let lacks = |name: &str| !columns.iter().any(|column| column == name);
    if let (Some(node), None) = (spec.get("columns"), spec.get("map"))
        && (lacks("time") || lacks("kind") && spec.get("kind").is_none())
    {
        problems.wrong(&node, "time and kind among the columns, or a `map` that says where they are found");
    }
    for (_, rule) in spec.get("map").map(|map| map.entries()).unwrap_or_default() {
        let joined = rule.get("join").map(|join| join.list("pointers")).unwrap_or_default();
        let single = if rule.text().is_some() { Some(rule.clone()) } else { rule.get("pointer") };
        for node in single.into_iter().chain(joined) {
            let Some(column) = node.text().and_then(|text| text.strip_prefix('/')) else { continue };
            if column.contains('/') {
                problems.wrong(&node, "/ and the name of a CSV column, such as /number");
            } else if !columns.is_empty() && !columns.contains(&unescape(column)) {
                let names = columns.iter().map(String::as_str);
                problems.unknown(&node, column, names, "/ and the name of a column in spec.columns");
            }
        }
    }
}
