//! Rows to Parquet files in memory: only computing, no I/O, so it can run on any thread.
//!
//! In: batches in a table's schema. Out: the bytes of its files (one, or one a date) with Delta's statistics. The same
//! rows give the same bytes.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use plimsoll_schemas::table::Table;

use crate::Lake;
use crate::error::LakeError;
use crate::order::Rows;
use crate::statistics::delta_statistics;

/// Rows of a row group: small enough that page indexes and statistics skip most of a file, large enough that its
/// columns compress.
pub(crate) const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Rows of a page of tables of which one agreement's rows are looked for.
const PAGE_ROWS: usize = 2 * 1024;

/// Bytes of a column's dictionary there at most: all of it is read for a single row.
const DICTIONARY_BYTES: usize = 64 * 1024;

/// zstd's fastest level: encoding shares its cores with the stream, and sorted columns compress well as they are.
const ZSTD_LEVEL: i32 = 1;

/// So few rows are not compressed: it saves a few hundred bytes of a file that is merged soon, and each column's compressor
/// takes longer to make than all its rows to write.
const FEW_ROWS: usize = 64;

/// Columns of `events` that differ in nearly every row, where a dictionary is work for nothing.
const UNIQUE_TEXT: [&str; 2] = ["id", "ticket"];
/// Columns of `events` that mostly grow from row to row, so their differences are small.
const GROWING: [&str; 2] = ["offset", "time"];

/// Rows of one table, encoded and not yet written.
#[derive(Clone, Debug)]
pub struct EncodedTable {
    pub(crate) table: Table,
    pub(crate) files: Vec<EncodedFile>,
}

/// One Parquet file, in memory.
#[derive(Clone, Debug)]
pub(crate) struct EncodedFile {
    /// The UTC date of all its rows, in a partitioned table.
    pub(crate) date: Option<NaiveDate>,
    pub(crate) rows: u64,
    pub(crate) bytes: Bytes,
    /// Delta's statistics, as JSON.
    pub(crate) statistics: String,
}

impl EncodedTable {
    /// The table.
    pub fn table(&self) -> Table {
        self.table
    }

    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// The size of its files in bytes.
    pub fn size_bytes(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }
}

impl Lake {
    /// Encodes rows of a table, which are split by date where it is partitioned, and put into its order. It takes its time
    /// (about a microsecond a row) and does no I/O: call it on a thread that may compute.
    ///
    /// # Errors
    /// `Invalid` when a batch has other columns than the table, or a null where none may be; `Internal` when Parquet
    /// cannot be written.
    pub fn encode(table: Table, batches: &[RecordBatch]) -> Result<EncodedTable, LakeError> {
        let batches = batches.iter().filter(|batch| batch.num_rows() > 0);
        let batches = batches.map(|batch| in_schema(table, batch)).collect::<Result<Vec<_>, _>>()?;
        if batches.is_empty() {
            return Ok(EncodedTable { table, files: Vec::new() });
        }
        let files = match table.sorted_by() {
            [] => {
                let rows = batches.iter().map(RecordBatch::num_rows).sum();
                vec![encode_file(table, None, rows, batches.into_iter().map(Ok))?]
            }
            _ => {
                let not_encoded = |error: ArrowError| not_encoded(table, &error);
                let rows = Rows::new(table, &batches).map_err(not_encoded)?;
                let by_date = rows.by_date().map_err(not_encoded)?.into_iter().map(|(date, places)| {
                    let batches = places.chunks(ROW_GROUP_ROWS).map(|places| rows.take(places));
                    encode_file(table, date, places.len(), batches)
                });
                by_date.collect::<Result<_, _>>()?
            }
        };
        Ok(EncodedTable { table, files })
    }
}

fn in_schema(table: Table, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let schema = table.schema();
    let found = batch.schema();
    if !found.fields().iter().map(|field| field.name()).eq(schema.fields().iter().map(|field| field.name())) {
        let names = found.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
        return Err(LakeError::Invalid(format!("rows of table {} came with the columns {names}", table.name())));
    }
    RecordBatch::try_new(schema, batch.columns().to_vec())
        .map_err(|error| LakeError::Invalid(format!("rows of table {} do not fit it: {error}", table.name())))
}

/// Writes so many rows into a file.
pub(crate) fn encode_file(
    table: Table,
    date: Option<NaiveDate>,
    rows: usize,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<EncodedFile, LakeError> {
    let mut batches = batches.peekable();
    let schema = match batches.peek() {
        Some(Ok(batch)) => batch.schema(),
        _ => table.schema(),
    };
    let mut write = || -> Result<_, ParquetError> {
        // Without Arrow's own schema in the file: every reader sees plain strings, and the file depends on the rows
        // only.
        let options =
            ArrowWriterOptions::new().with_properties(properties(table, rows)?).with_skip_arrow_metadata(true);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema.clone(), options)?;
        for batch in batches.by_ref() {
            writer.write(&batch?)?;
        }
        let metadata = writer.close()?;
        Ok((bytes, metadata))
    };
    let (bytes, metadata) = write().map_err(|error| not_encoded(table, &error))?;
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let statistics = delta_statistics(&schema, &metadata);
    Ok(EncodedFile { date, rows, bytes: bytes.into(), statistics: statistics.to_string() })
}

fn properties(table: Table, rows: usize) -> Result<WriterProperties, ParquetError> {
    let column = |name: &str| ColumnPath::from(name);
    let zstd = Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?);
    let is_looked_up = table.sorted_by().contains(&"agreement");
    let compression = match rows {
        ..=FEW_ROWS => Compression::UNCOMPRESSED,
        // A reader makes a decompressor for each column, and for zstd that takes longer than to read a page.
        _ if is_looked_up => Compression::SNAPPY,
        _ => zstd,
    };
    let mut properties = WriterProperties::builder()
        .set_created_by("plimsoll".to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page);
    match table {
        Table::Events => {
            for name in UNIQUE_TEXT {
                properties = properties.set_column_dictionary_enabled(column(name), false);
            }
            for name in GROWING {
                properties = properties
                    .set_column_dictionary_enabled(column(name), false)
                    .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
            }
        }
        _ if is_looked_up => {
            properties =
                properties.set_data_page_row_count_limit(PAGE_ROWS).set_dictionary_page_size_limit(DICTIONARY_BYTES);
        }
        // Nobody looks for a payload by its bytes; and each may be long.
        Table::DeadLetters => {
            properties = properties
                .set_column_statistics_enabled(column("payload"), EnabledStatistics::None)
                .set_column_compression(column("payload"), zstd);
        }
        _ => {}
    }
    Ok(properties.build())
}

fn not_encoded(table: Table, error: &dyn std::error::Error) -> LakeError {
    LakeError::Internal(format!("rows of table {} cannot be written as Parquet: {error}", table.name()))
}
