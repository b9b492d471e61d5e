//! What can go wrong with a question, and who has to act.
//!
//! In come errors of DataFusion and the lake; out go one-line messages with a coarse kind, which the HTTP doors turn
//! into a status and the command line into an exit code.

use std::sync::Arc;

use arrow_schema::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use plimsoll_lake::LakeError;
use tokio::task::JoinError;

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The question makes no sense: bad syntax, an unknown table, column or parameter. Whoever asks must change it.
    #[error("{0}")]
    Invalid(String),
    /// The question would change something or leave the lake. It is never answered here.
    #[error("{0}")]
    Refused(String),
    /// The question needs more time, memory or rows than `Limits` allows. Narrow it.
    #[error("{0}")]
    Exhausted(String),
    /// The lake cannot be read. The operator must look at the store; asking again later may help.
    #[error("{0}")]
    Unavailable(String),
    /// A defect of this program.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// One word for the kind of error, as metrics and HTTP problems carry it.
    pub fn kind(&self) -> &'static str {
        match self {
            QueryError::Invalid(_) => "invalid",
            QueryError::Refused(_) => "refused",
            QueryError::Exhausted(_) => "exhausted",
            QueryError::Unavailable(_) => "unavailable",
            QueryError::Internal(_) => "internal",
        }
    }

    /// A question that panicked has failed, and nothing else has.
    pub(crate) fn panicked(said: &str) -> QueryError {
        QueryError::Internal(format!(
            "the question ended in a panic: {said}; `plimsoll doctor` says whether a file is damaged, else it is a defect"
        ))
    }

    /// Every word that `kind` says.
    pub const KINDS: [&'static str; 5] = ["invalid", "refused", "exhausted", "unavailable", "internal"];
}

impl From<LakeError> for QueryError {
    fn from(error: LakeError) -> QueryError {
        QueryError::Unavailable(one_line(&error.to_string()))
    }
}

/// How errors of regular expressions begin, which DataFusion hands on as if they came from outside.
const REGEX_ERRORS: [&str; 2] = ["regex parse error", "Compiled regex exceeds"];

/// What DataFusion says where sorts and joins take too much of the disk, with a setting of its own, and what is said
/// instead.
const SPILLED: &str = "max_temp_directory_size";
const TOO_LARGE_FOR_DISK: &str = "the disk space that sorts and joins of all questions together may take is used up; narrow \
    the question, or ask in parts; --question-spill of the service raises the limit";

/// How an error begins where a number is larger than its type.
pub(crate) const OUT_OF_RANGE: &str = "numeric value out of range";

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> QueryError {
        let root = match error.find_root() {
            // Several errors at once: people mend the first one first.
            DataFusionError::Collection(errors) => errors.first().map_or(&error, DataFusionError::find_root),
            root => root,
        };
        let text = one_line(&root.message());
        match root {
            _ if text.contains(SPILLED) => QueryError::Exhausted(TOO_LARGE_FOR_DISK.to_owned()),
            // Arrow itself writes and reads only what does not fit into memory.
            DataFusionError::ArrowError(error, _) if matches!(**error, ArrowError::IoError(..)) => {
                QueryError::Exhausted(text)
            }
            // Rows that cannot be decoded are those of a file that was damaged.
            DataFusionError::ArrowError(error, _) if matches!(**error, ArrowError::ParquetError(_)) => {
                unreadable(&text)
            }
            DataFusionError::ArrowError(error, _) if matches!(**error, ArrowError::ArithmeticOverflow(_)) => {
                let what = text.rsplit_once("Overflow happened on: ").map_or(&*text, |(_, what)| what);
                QueryError::Invalid(format!("{OUT_OF_RANGE}: {what}; cast one of the numbers to DECIMAL(38, 0)"))
            }
            DataFusionError::SQL(error, _) => QueryError::Invalid(syntax_error(error)),
            DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::Configuration(_)
            | DataFusionError::Execution(_)
            | DataFusionError::ArrowError(..) => QueryError::Invalid(text),
            DataFusionError::NotImplemented(_) => QueryError::Invalid(format!("not supported: {text}")),
            DataFusionError::ResourcesExhausted(_) => {
                // Advice that names DataFusion's settings helps nobody here.
                let why = if text.contains("datafusion.") { String::new() } else { format!(" ({text})") };
                QueryError::Exhausted(format!(
                    "the memory that all questions together may take is used up; narrow the question, or ask in parts; \
                     --question-memory of the service raises the limit{why}"
                ))
            }
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::ParquetError(_) => {
                unreadable(&text)
            }
            DataFusionError::External(error) => match error.downcast_ref::<QueryError>() {
                Some(error) => error.clone(),
                // Where rows are shared out, this is what becomes of a panic.
                None if error.is::<Arc<JoinError>>() => QueryError::panicked(&text),
                None if REGEX_ERRORS.iter().any(|beginning| text.starts_with(beginning)) => QueryError::Invalid(text),
                None => QueryError::Unavailable(text),
            },
            _ => QueryError::Internal(text),
        }
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }
}

fn unreadable(text: &str) -> QueryError {
    QueryError::Unavailable(format!(
        "cannot read the lake: {text}; `plimsoll doctor` says what is damaged, and the repair"
    ))
}

/// The parser's own words without their wrapping.
fn syntax_error(error: &ParserError) -> String {
    match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            format!("syntax error: {}", one_line(text))
        }
        ParserError::RecursionLimitExceeded => "syntax error: the statement is nested too deeply".to_owned(),
    }
}

/// The same words in one line, because logs and terminals show an error as a line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
