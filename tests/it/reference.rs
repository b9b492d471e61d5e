//! The page of tables says of each column what the schema says of it, which readers of the tables see.

use plimsoll_schemas::table::Table;

use crate::support::repository;

/// A column as the page shows it, but for backticks: name, type, whether it may be null, meaning.
fn shown(section: &str) -> Vec<[String; 4]> {
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    };
    rows.map(cells).collect()
}

/// The names of types on the page.
fn type_name(of_arrow: &str) -> String {
    match of_arrow {
        "Utf8" => "text".to_owned(),
        "Decimal128(18, 9)" => "decimal(18, 9)".to_owned(),
        name if name.starts_with("Timestamp") => "timestamp".to_owned(),
        name => name.to_lowercase(),
    }
}

#[test]
fn the_page_of_tables_shows_each_column_as_its_schema_has_it() {
    let page = std::fs::read_to_string(repository("docs/reference/tables.md")).expect("the page");
    // Of events the page names those columns alone that are not an event's own.
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Events) {
        let heading = format!("\n## `{}`\n", table.name());
        let section = page.split(&heading).nth(1).and_then(|rest| rest.split("\n## ").next());
        let section = section.unwrap_or_else(|| panic!("the page has no section on {}", table.name()));
        let schema = table.schema();
        let expected = schema.fields().iter().map(|field| {
            let meaning = field.metadata().get("comment").cloned().unwrap_or_default();
            let null = if field.is_nullable() { "yes" } else { "" };
            [field.name().clone(), type_name(&field.data_type().to_string()), null.to_owned(), meaning]
        });
        // What a revision counts differs from table to table, which the page tells of each.
        let told = |column: &[String; 4]| {
            let meaning = if column[0] == "revision" { String::new() } else { column[3].replace('`', "") };
            [column[0].clone(), column[1].clone(), column[2].clone(), meaning]
        };
        let (expected, shown): (Vec<_>, Vec<_>) =
            (expected.map(|column| told(&column)).collect(), shown(section).iter().map(told).collect());
        let differing: Vec<_> = expected.iter().zip(&shown).filter(|(expected, shown)| expected != shown).collect();
        assert!(differing.is_empty(), "{}: the schema, and the page: {differing:#?}", table.name());
        assert_eq!(expected.len(), shown.len(), "{}: columns", table.name());
    }
}
