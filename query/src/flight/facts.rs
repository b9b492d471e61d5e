//! What drivers ask about the server and its types, to know what they may ask.

use std::collections::BTreeMap;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedTransaction, XdbcDataType,
};

use crate::flight::CONNECTIONS_MAX;
use crate::flight::prepared;
use crate::session::STATEMENT_BYTES_MAX;

/// The version of the format that answers are in.
const ARROW_VERSION: &str = "1.5";

/// Two kinds of a thing, of a bit each, and both of them.
const BOTH: i32 = 0b11;

/// A bit for each place of a subquery: in comparisons, `EXISTS`, `IN` and `ANY`.
const ALL_SUBQUERIES: i32 = 0b1111;

/// Bits of the isolation level `NONE`, and of answers that are read once, from the first row to the last, and not changed.
const NONE: i32 = 1;
const FORWARD_ONLY: i32 = 0b10;
const READ_ONLY: i32 = 0b10;

/// Words that a name has to be quoted for and that SQL:2003 does not have.
const KEYWORDS: [&str; 7] = ["ANTI", "ILIKE", "LIMIT", "OFFSET", "QUALIFY", "SEMI", "TOP"];

/// Functions by what they are about. All are in SQL:2003's words, or in those of the reference.
const NUMERIC: [&str; 12] =
    ["abs", "ceil", "exp", "floor", "ln", "log", "power", "round", "signum", "sqrt", "trunc", "nanvl"];
const STRING: [&str; 12] = [
    "btrim",
    "character_length",
    "concat",
    "lower",
    "ltrim",
    "replace",
    "rtrim",
    "split_part",
    "strpos",
    "substr",
    "trim",
    "upper",
];
const DATETIME: [&str; 7] = ["date_bin", "date_part", "date_trunc", "now", "to_char", "to_date", "to_timestamp"];
const SYSTEM: [&str; 3] = ["coalesce", "nullif", "version"];

/// Both.
pub(super) struct Facts {
    pub(super) of_server: SqlInfoData,
    pub(super) of_types: XdbcTypeInfoData,
}

impl Facts {
    /// What is so.
    ///
    /// # Errors
    /// When it cannot be written down, which is a defect.
    pub(super) fn gather() -> Result<Facts, FlightError> {
        Ok(Facts { of_server: of_server()?, of_types: of_types()? })
    }
}

fn of_server() -> Result<SqlInfoData, FlightError> {
    let mut facts = SqlInfoDataBuilder::new();
    let timeout = i32::try_from(prepared::IDLE_MAX.as_millis()).unwrap_or(i32::MAX);
    for (fact, text) in [
        (SqlInfo::FlightSqlServerName, "Plimsoll"),
        (SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION")),
        (SqlInfo::FlightSqlServerArrowVersion, ARROW_VERSION),
        (SqlInfo::SqlIdentifierQuoteChar, "\""),
        (SqlInfo::SqlSearchStringEscape, "\\"),
        (SqlInfo::SqlExtraNameCharacters, ""),
        (SqlInfo::SqlSchemaTerm, "schema"),
        (SqlInfo::SqlProcedureTerm, "procedure"),
        (SqlInfo::SqlCatalogTerm, "database"),
    ] {
        facts.append(fact, text);
    }
    for (fact, words) in [
        (SqlInfo::SqlKeywords, &KEYWORDS[..]),
        (SqlInfo::SqlNumericFunctions, &NUMERIC[..]),
        (SqlInfo::SqlStringFunctions, &STRING[..]),
        (SqlInfo::SqlSystemFunctions, &SYSTEM[..]),
        (SqlInfo::SqlDatetimeFunctions, &DATETIME[..]),
    ] {
        facts.append(fact, words);
    }
    for (fact, number) in [
        (SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32),
        (SqlInfo::FlightSqlServerStatementTimeout, timeout),
        (SqlInfo::FlightSqlServerTransactionTimeout, 0),
        (SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32),
        (SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32),
        (SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32),
        (SqlInfo::SqlSupportedGroupBy, BOTH),
        // The minimum and the core of ODBC's grammar, and the entry level of SQL-92's.
        (SqlInfo::SqlSupportedGrammar, BOTH),
        (SqlInfo::SqlAnsi92SupportedLevel, 1),
        (SqlInfo::SqlOuterJoinsSupportLevel, SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32),
        (SqlInfo::SqlSchemasSupportedActions, 0),
        (SqlInfo::SqlCatalogsSupportedActions, 0),
        (SqlInfo::SqlSupportedPositionedCommands, 0),
        (SqlInfo::SqlSupportedSubqueries, ALL_SUBQUERIES),
        (SqlInfo::SqlSupportedUnions, BOTH),
        (SqlInfo::SqlDefaultTransactionIsolation, 0),
        (SqlInfo::SqlSupportedTransactionsIsolationLevels, NONE),
        (SqlInfo::SqlSupportedResultSetTypes, FORWARD_ONLY),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, READ_ONLY),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
    ] {
        facts.append(fact, number);
    }
    facts.append(SqlInfo::SqlSupportsConvert, BTreeMap::<i32, Vec<i32>>::new());
    limits(&mut facts);
    switches(&mut facts);
    facts.build()
}

/// What is bounded; 0 where nothing particular is.
fn limits(facts: &mut SqlInfoDataBuilder) {
    let statement = i64::try_from(STATEMENT_BYTES_MAX).unwrap_or(i64::MAX);
    facts.append(SqlInfo::SqlMaxStatementLength, statement);
    facts.append(SqlInfo::SqlMaxConnections, i64::try_from(CONNECTIONS_MAX).unwrap_or(i64::MAX));
    for unbounded in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        facts.append(unbounded, 0_i64);
    }
}

fn switches(facts: &mut SqlInfoDataBuilder) {
    for is_so in [
        SqlInfo::FlightSqlServerReadOnly,
        SqlInfo::FlightSqlServerSql,
        SqlInfo::SqlAllTablesAreSelectable,
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlCatalogAtStart,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
    ] {
        facts.append(is_so, true);
    }
    for is_not_so in [
        SqlInfo::FlightSqlServerSubstrait,
        SqlInfo::FlightSqlServerCancel,
        SqlInfo::FlightSqlServerBulkIngestion,
        SqlInfo::FlightSqlServerIngestTransactionsSupported,
        SqlInfo::SqlDdlCatalog,
        SqlInfo::SqlDdlSchema,
        SqlInfo::SqlDdlTable,
        SqlInfo::SqlSupportsDifferentTableCorrelationNames,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlMaxRowSizeIncludesBlobs,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDataDefinitionCausesTransactionCommit,
        SqlInfo::SqlDataDefinitionsInTransactionsIgnored,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        facts.append(is_not_so, false);
    }
}

/// The types that columns have, by the names that `CAST` takes: which type it is, how many digits, bytes or letters at most,
/// what stands around a literal, and the radix of numbers.
fn of_types() -> Result<XdbcTypeInfoData, FlightError> {
    use XdbcDataType::{
        XdbcBigint, XdbcBit, XdbcDate, XdbcDecimal, XdbcDouble, XdbcInteger, XdbcTimestamp, XdbcVarbinary, XdbcVarchar,
    };
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, of, size, quote, radix) in [
        ("BIGINT", XdbcBigint, Some(19), "", Some(10)),
        ("BOOLEAN", XdbcBit, Some(1), "", None),
        ("BYTEA", XdbcVarbinary, None, "'", None),
        ("DATE", XdbcDate, Some(10), "'", None),
        ("DECIMAL", XdbcDecimal, Some(38), "", Some(10)),
        ("DOUBLE", XdbcDouble, Some(53), "", Some(2)),
        ("INTEGER", XdbcInteger, Some(10), "", Some(10)),
        ("TIMESTAMP WITH TIME ZONE", XdbcTimestamp, Some(32), "'", None),
        ("VARCHAR", XdbcVarchar, None, "'", None),
    ] {
        let quote = (!quote.is_empty()).then(|| quote.to_owned());
        let is_exact = of == XdbcDecimal;
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: of,
            column_size: size,
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            create_params: is_exact.then(|| vec!["precision".to_owned(), "scale".to_owned()]),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: of == XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: radix.map(|_| false),
            fixed_prec_scale: false,
            auto_increment: Some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: is_exact.then_some(0),
            maximum_scale: is_exact.then_some(38),
            sql_data_type: of,
            datetime_subcode: None,
            num_prec_radix: radix,
            interval_precision: None,
        });
    }
    types.build()
}
