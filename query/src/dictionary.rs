//! What every table and column means, for people and for their tools: table `dictionary.columns`, and the same as Postgres'
//! catalog tells it (`pg_description`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, SchemaRef};
use datafusion::catalog::{CatalogProvider, MemTable, MemorySchemaProvider, SchemaProvider};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use plimsoll_schemas::table::Table;

use crate::defined::{DEFINED, Defined};
use crate::described::{DESCRIBED, DICTIONARY_COLUMNS, DICTIONARY_ROW};
use crate::postgres::settings_table;
use crate::replaced::Replaced;
use crate::session::CURRENT;
use crate::views::{VIEWS, View};

/// The schema with the dictionary.
pub(crate) const DICTIONARY: &str = "dictionary";

/// Its table.
const COLUMNS: &str = "columns";

const CATALOG_SCHEMA: &str = "pg_catalog";
const DESCRIPTIONS: &str = "pg_description";
const SETTINGS: &str = "pg_settings";

/// What is described is a table, hence the number of `pg_class`, or with a number above 0 one of its columns.
const AS_POSTGRES_TELLS_IT: &str = "
    SELECT c.oid AS objoid,
        (SELECT max(own.oid) FROM pg_catalog.pg_class own WHERE own.relname = 'pg_class') AS classoid,
        k.number AS objsubid, k.comment AS description
    FROM dictionary.columns k
    JOIN pg_catalog.pg_namespace n ON n.nspname = k.schema_name
    JOIN pg_catalog.pg_class c ON c.relname = k.table_name AND c.relnamespace = n.oid
    WHERE k.comment IS NOT NULL";

/// Adds the dictionary of the tables in these schemas to a session that has Postgres' catalog, whose own descriptions are of
/// Postgres' functions, and whose settings are those of connections here.
///
/// # Errors
/// When they do not fit one another, which is a defect.
pub(crate) async fn register(
    context: &SessionContext,
    catalog: &Arc<dyn CatalogProvider>,
    schemas: &[&str],
) -> Result<(), DataFusionError> {
    let mut tables = Vec::new();
    for schema in schemas {
        let Some(provider) = catalog.schema(schema) else { continue };
        for name in provider.table_names().into_iter().collect::<BTreeSet<_>>() {
            if let Some(table) = provider.table(&name).await? {
                tables.push((*schema, name, table.schema()));
            }
        }
    }
    tables.push((DICTIONARY, COLUMNS.to_owned(), rows(&[])?.schema()));
    let rows = rows(&tables)?;
    let dictionary = MemorySchemaProvider::new();
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    dictionary.register_table(COLUMNS.to_owned(), Arc::new(table))?;
    catalog.register_schema(DICTIONARY, Arc::new(dictionary))?;
    if let Some(schema) = catalog.schema(CATALOG_SCHEMA) {
        let descriptions = context.sql(AS_POSTGRES_TELLS_IT).await?.into_view();
        let settings = settings_table(schema.table(SETTINGS).await?)?;
        let tables = BTreeMap::from([(DESCRIPTIONS, descriptions), (SETTINGS, settings)]);
        catalog.register_schema(CATALOG_SCHEMA, Arc::new(Replaced { schema, tables }))?;
    }
    Ok(())
}

/// What a table or one of its columns means.
struct Entry<'a> {
    schema: &'a str,
    table: &'a str,
    column: Option<&'a str>,
    /// 0 of a table, from 1 on of its columns.
    number: i32,
    comment: Option<String>,
}

fn rows(tables: &[(&str, String, SchemaRef)]) -> Result<RecordBatch, ArrowError> {
    let mut entries = Vec::new();
    for (schema, table, columns) in tables {
        let meaning = Meaning::of(schema, table);
        entries.push(Entry { schema, table, column: None, number: 0, comment: meaning.of_table() });
        for (field, number) in columns.fields().iter().zip(1..) {
            let (column, comment) = (Some(field.name().as_str()), meaning.of_column(field.name()));
            entries.push(Entry { schema, table, column, number, comment });
        }
    }
    let text =
        |of: fn(&Entry<'_>) -> Option<String>| Arc::new(entries.iter().map(of).collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("schema_name", text(|entry| Some(entry.schema.to_owned())), false),
        ("table_name", text(|entry| Some(entry.table.to_owned())), false),
        ("column_name", text(|entry| entry.column.map(str::to_owned)), true),
        ("number", Arc::new(entries.iter().map(|entry| entry.number).collect::<Int32Array>()) as ArrayRef, false),
        ("comment", text(|entry| entry.comment.clone()), true),
    ])
}

/// Where it stands what a table means.
pub(crate) enum Meaning {
    /// A table of the lake, and the view that shows its rows.
    Of(Table, Option<&'static View>),
    Defined(&'static Defined),
    /// The dictionary itself.
    Dictionary,
    Nowhere,
}

impl Meaning {
    /// Of a table of a schema.
    pub(crate) fn of(schema: &str, table: &str) -> Meaning {
        if schema == DICTIONARY {
            return Meaning::Dictionary;
        }
        let view = VIEWS.iter().find(|view| schema == CURRENT && view.name == table);
        let stored = view.map(|view| view.table).or_else(|| Table::ALL.into_iter().find(|known| known.name() == table));
        let defined = DEFINED.iter().find(|defined| defined.name == table);
        match (stored, defined) {
            (Some(stored), _) => Meaning::Of(stored, view),
            (None, Some(defined)) => Meaning::Defined(defined),
            (None, None) => Meaning::Nowhere,
        }
    }

    /// What a row is.
    pub(crate) fn of_table(&self) -> Option<String> {
        Some(match self {
            Meaning::Of(table, view) => view.and_then(|view| view.comment).unwrap_or(table.comment()).to_owned(),
            Meaning::Defined(defined) => defined.comment.to_owned(),
            Meaning::Dictionary => DICTIONARY_ROW.to_owned(),
            Meaning::Nowhere => return None,
        })
    }

    /// What a column is.
    pub(crate) fn of_column(&self, name: &str) -> Option<String> {
        match self {
            Meaning::Of(table, _) => {
                let stored = table.schema();
                let stored = stored.field_with_name(name).ok().and_then(|field| field.metadata().get("comment"));
                stored.cloned().or_else(|| found(DESCRIBED, name))
            }
            Meaning::Defined(defined) => defined.comment_of(name).map(str::to_owned),
            Meaning::Dictionary => found(DICTIONARY_COLUMNS, name),
            Meaning::Nowhere => None,
        }
    }
}

fn found(described: &[(&str, &str)], name: &str) -> Option<String> {
    described.iter().find(|(column, _)| *column == name).map(|(_, comment)| (*comment).to_owned())
}
