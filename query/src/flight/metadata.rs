//! What there is: catalogs, schemas, tables with their columns, and keys, of which there are none.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::Command;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::TableType;
use tonic::Status;

use crate::dictionary::{DICTIONARY, Meaning};
use crate::flight::facts::Facts;
use crate::flight::{sent, told};
use crate::session::{CATALOG, CURRENT, HISTORY, QueryService};

/// The schemas with tables of ours, as the other doors list them.
const SCHEMAS: [&str; 3] = [CURRENT, HISTORY, DICTIONARY];

/// Where drivers look for what a column means (`FlightSql.proto`, `CommandGetTables`).
const REMARKS: &str = "ARROW:FLIGHT:SQL:REMARKS";

/// The kinds of tables that there are.
const KINDS: [TableType; 2] = [TableType::Base, TableType::View];

/// The answer to a question about what there is; `None` when it is another one.
///
/// # Errors
/// Those of the service.
pub(super) async fn answer(
    command: &Command,
    service: &QueryService,
    facts: &Facts,
) -> Result<Option<RecordBatch>, Status> {
    let built = match command.clone() {
        Command::CommandGetCatalogs(asked) => {
            let mut catalogs = asked.into_builder();
            catalogs.append(CATALOG);
            catalogs.build()
        }
        Command::CommandGetDbSchemas(asked) => {
            let mut schemas = asked.into_builder();
            SCHEMAS.iter().for_each(|schema| schemas.append(CATALOG, schema));
            schemas.build()
        }
        Command::CommandGetTables(asked) => {
            let mut tables = asked.into_builder();
            for schema in SCHEMAS {
                for (name, table) in service.tables(schema).await.map_err(told)? {
                    let columns = described(schema, &name, &table.schema());
                    tables.append(CATALOG, schema, &name, kind(table.table_type()), &columns).map_err(Status::from)?;
                }
            }
            tables.build()
        }
        Command::CommandGetTableTypes(asked) => {
            let mut kinds = asked.into_builder();
            KINDS.iter().for_each(|of| kinds.append(kind(*of)));
            kinds.build()
        }
        Command::CommandGetSqlInfo(asked) => asked.into_builder(&facts.of_server).build(),
        Command::CommandGetXdbcTypeInfo(asked) => asked.into_builder(&facts.of_types).build(),
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(primary_keys())),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(foreign_keys())),
        _ => return Ok(None),
    };
    built.map(Some).map_err(|error: FlightError| error.into())
}

/// What a kind of table is called; Postgres clients are told the same.
fn kind(of: TableType) -> &'static str {
    match of {
        TableType::Base => "TABLE",
        TableType::View => "VIEW",
        TableType::Temporary => "LOCAL TEMPORARY",
    }
}

/// The columns of a table as answers have them, each with what it means.
fn described(schema: &str, table: &str, columns: &SchemaRef) -> Schema {
    let (meaning, columns) = (Meaning::of(schema, table), sent(columns));
    let field = |field: &Arc<Field>| {
        let remarks = meaning.of_column(field.name()).map(|remarks| (REMARKS.to_owned(), remarks));
        field.as_ref().clone().with_metadata(remarks.into_iter().collect())
    };
    Schema::new(columns.fields().iter().map(field).collect::<Vec<_>>())
}

/// The columns of an answer to `CommandGetPrimaryKeys` (`FlightSql.proto`).
fn primary_keys() -> SchemaRef {
    columns(&[
        ("catalog_name", DataType::Utf8, true),
        ("db_schema_name", DataType::Utf8, true),
        ("table_name", DataType::Utf8, false),
        ("column_name", DataType::Utf8, false),
        ("key_name", DataType::Utf8, true),
        ("key_sequence", DataType::Int32, false),
    ])
}

/// The columns of answers about foreign keys (`FlightSql.proto`).
fn foreign_keys() -> SchemaRef {
    columns(&[
        ("pk_catalog_name", DataType::Utf8, true),
        ("pk_db_schema_name", DataType::Utf8, true),
        ("pk_table_name", DataType::Utf8, false),
        ("pk_column_name", DataType::Utf8, false),
        ("fk_catalog_name", DataType::Utf8, true),
        ("fk_db_schema_name", DataType::Utf8, true),
        ("fk_table_name", DataType::Utf8, false),
        ("fk_column_name", DataType::Utf8, false),
        ("key_sequence", DataType::Int32, false),
        ("fk_key_name", DataType::Utf8, true),
        ("pk_key_name", DataType::Utf8, true),
        ("update_rule", DataType::UInt8, false),
        ("delete_rule", DataType::UInt8, false),
    ])
}

fn columns(columns: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, of, is_nullable): &(&str, DataType, bool)| Field::new(*name, of.clone(), *is_nullable);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}
