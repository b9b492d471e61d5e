//! One connection: statements in, by the simple or the extended protocol; rows or an error out.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch, into_pg_type};
use arrow_schema::DataType;
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::{Sink, StreamExt};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, QueryResponse, Response};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, METADATA_USER, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::DataRow;
use pgwire::messages::response::TransactionStatus;
use pgwire::types::format::FormatOptions;

use crate::error::QueryError;
use crate::postgres::{Door, refused, rewrite, settings};
use crate::session::QueryService;
use crate::users::{Scope, Users};

/// The bytes of the answers to a message at most: pgwire keeps what it sends by the extended protocol until all of it is
/// there, and of several statements in one message we keep all answers but the last.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What a row takes in memory besides its bytes, about.
const ROW_BYTES: usize = 64;

/// Statements in one message at most.
const STATEMENTS_MAX: usize = 100;

/// What answers the statements of a connection.
pub(super) struct Session {
    service: Arc<QueryService>,
    users: Arc<Users>,
    reader: Arc<Reader>,
}

/// Reads statements as Postgres does, and plans them.
pub(super) struct Reader {
    service: Arc<QueryService>,
    parser: Arc<PostgresCompatibilityParser>,
}

/// A statement that was understood.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// About the connection.
    Setting(Box<Statement>),
    /// A question, which may have parameters.
    Question(Arc<LogicalPlan>),
}

impl Session {
    /// A connection that nobody has asked anything on.
    pub(super) fn new(door: &Door) -> Session {
        let (service, parser) = (door.service.clone(), door.parser.clone());
        let users = door.users.clone();
        Session { reader: Arc::new(Reader { service: service.clone(), parser }), users, service }
    }

    async fn answer<Client: ClientInfo>(
        &self,
        client: &mut Client,
        prepared: &Prepared,
        values: Option<LogicalPlan>,
        format: &Format,
        bytes_left: &Arc<AtomicUsize>,
    ) -> PgWireResult<Response> {
        let plan = match (prepared, values) {
            (Prepared::Setting(statement), _) => return settings::answer(statement, client),
            (Prepared::Question(_), Some(plan)) => plan,
            (Prepared::Question(plan), None) => LogicalPlan::clone(plan),
        };
        if client.transaction_status() == TransactionStatus::Error {
            let message = "the transaction has failed; end it with ROLLBACK before anything else is asked";
            return Err(refused("25P02", message.to_owned()));
        }
        let name = client.metadata().get(METADATA_USER);
        // Asked each time: since the login others may have been told who may ask.
        let user = name.and_then(|name| self.users.of_name(name)).filter(|user| user.scopes.contains(&Scope::Read));
        let user = user.ok_or_else(|| {
            refused("28000", "nobody is logged in on this connection, or no longer may ask".to_owned())
        })?;
        let service = self.service.seen_by(user.rows.clone()).within(settings::time_max(client));
        let answer = service.planned(plan).await.map_err(told)?;
        let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
        self.rows(answer, format, options, bytes_left.clone()).await.map(Response::Query)
    }

    /// The rows, the first of which are awaited: only until then can pgwire break an answer off when it is asked to.
    async fn rows(
        &self,
        answer: SendableRecordBatchStream,
        format: &Format,
        options: Arc<FormatOptions>,
        bytes_left: Arc<AtomicUsize>,
    ) -> PgWireResult<QueryResponse> {
        let columns = Arc::new(arrow_schema_to_pg_fields(&answer.schema(), format, Some(options))?);
        let of = columns.clone();
        let encoded = answer.map(move |batch| match batch {
            Ok(batch) => encode(of.clone(), batch, &bytes_left),
            Err(error) => vec![Err(told(error.into()))],
        });
        let mut rows = Box::pin(self.service.compute_rows(encoded).peekable());
        rows.as_mut().peek().await;
        Ok(QueryResponse::new(columns, rows.flat_map(futures::stream::iter)))
    }
}

/// The rows of a batch up to the first that cannot be written, or that is too much.
fn encode(columns: Arc<Vec<FieldInfo>>, batch: RecordBatch, bytes_left: &AtomicUsize) -> Vec<PgWireResult<DataRow>> {
    let mut rows = Vec::with_capacity(batch.num_rows());
    // What cannot be written once is never written, and never passed over.
    for row in encode_recordbatch(columns, batch) {
        let row = row.and_then(|row| match take(bytes_left, row.data.len() + ROW_BYTES) {
            true => Ok(row),
            false => Err(refused(
                "53000",
                format!("the answer has more than {} MiB; ask for less of it", ANSWER_BYTES_MAX >> 20),
            )),
        });
        let is_last = row.is_err();
        rows.push(row);
        if is_last {
            break;
        }
    }
    rows
}

/// Takes so many bytes of what is left, if there are as many.
fn take(bytes_left: &AtomicUsize, bytes: usize) -> bool {
    bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
}

impl Reader {
    /// The statements of a text.
    async fn read(&self, text: &str) -> PgWireResult<Vec<Statement>> {
        QueryService::check_length(text).map_err(told)?;
        let (parser, text) = (self.parser.clone(), text.to_owned());
        let parse = async move {
            // What is asked of the catalog is rewritten; everything else means what it says.
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, &text);
            let reads_ours = parsed.as_ref().is_ok_and(|statements| statements.iter().any(rewrite::reads_ours));
            let parsed = match rewrite::names_catalog(&text) && !reads_ours {
                true => parser
                    .parse(&rewrite::text(&text))
                    .map(|statements| statements.into_iter().map(rewrite::statement).collect()),
                false => parsed,
            };
            parsed.map_err(|error| QueryError::from(DataFusionError::from(error)))
        };
        self.service.compute(parse).await.map_err(told)
    }

    async fn prepare(&self, statement: Statement) -> PgWireResult<Prepared> {
        if settings::is_one(&statement) {
            return Ok(Prepared::Setting(Box::new(statement)));
        }
        let plan = self.service.plan(Parsed::Statement(Box::new(statement))).await.map_err(told)?;
        Ok(Prepared::Question(Arc::new(plan)))
    }
}

#[async_trait]
impl SimpleQueryHandler for Session {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statements = self.reader.read(query).await?;
        if statements.len() > STATEMENTS_MAX {
            let told = format!(
                "the message has {} statements, allowed are {STATEMENTS_MAX}; send fewer at once",
                statements.len()
            );
            return Err(refused("54000", told));
        }
        let bytes_left = Arc::new(AtomicUsize::new(ANSWER_BYTES_MAX));
        let (mut answers, last) = (Vec::with_capacity(statements.len()), statements.len().saturating_sub(1));
        for (place, statement) in statements.into_iter().enumerate() {
            let prepared = self.reader.prepare(statement).await?;
            let answer = self.answer(client, &prepared, None, &Format::UnifiedText, &bytes_left).await?;
            // Who waits for the next answer must not keep others waiting by this one.
            answers.push(if place < last { complete(answer).await } else { answer });
        }
        if answers.is_empty() {
            answers.push(Response::EmptyQuery);
        }
        Ok(answers)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Session {
    type Statement = Prepared;
    type QueryParser = Reader;

    fn query_parser(&self) -> Arc<Reader> {
        self.reader.clone()
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement;
        let plan = match prepared {
            Prepared::Question(plan) => Some(with_values(plan, portal)?),
            Prepared::Setting(_) => None,
        };
        let bytes_left = Arc::new(AtomicUsize::new(ANSWER_BYTES_MAX));
        self.answer(client, prepared, plan, &portal.result_column_format, &bytes_left).await
    }
}

#[async_trait]
impl QueryParser for Reader {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _: &C, sql: &str, _: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = self.read(sql).await?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => self.prepare(statement).await.map(Some),
            (None, _) => Ok(None),
            (Some(_), false) => {
                Err(refused("42601", "a prepared statement is one statement; send them one by one".to_owned()))
            }
        }
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        match prepared {
            Prepared::Question(plan) => Ok(parameters(plan)?.into_iter().map(|(_, of_wire)| of_wire).collect()),
            Prepared::Setting(_) => Ok(Vec::new()),
        }
    }

    fn get_result_schema(&self, prepared: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        match prepared {
            Prepared::Setting(statement) => Ok(settings::columns(statement)),
            Prepared::Question(plan) => {
                arrow_schema_to_pg_fields(plan.schema().as_arrow(), format.unwrap_or(&Format::UnifiedText), None)
            }
        }
    }
}

/// An answer of which all rows are there.
async fn complete(answer: Response) -> Response {
    match answer {
        Response::Query(mut answer) => {
            let rows: Vec<_> = answer.data_rows().collect().await;
            Response::Query(QueryResponse::new(answer.row_schema(), futures::stream::iter(rows)))
        }
        other => other,
    }
}

/// The types of the parameters of a plan, in their order: as far as it is known what they are compared with, and as the
/// client is told.
fn parameters(plan: &LogicalPlan) -> PgWireResult<Vec<(Option<DataType>, Type)>> {
    let found = plan.get_parameter_types().map_err(|error| told(error.into()))?;
    let number = |name: &str| name.trim_start_matches('$').parse::<u32>().unwrap_or(u32::MAX);
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(name, _)| Reverse(number(name)));
    found.reverse();
    let with_wire = found.into_iter().map(|(_, known)| {
        let of_wire = known.as_ref().map_or(Ok(Type::UNKNOWN), into_pg_type)?;
        Ok((known, of_wire))
    });
    with_wire.collect()
}

/// The question with the values that a client has bound to its parameters.
fn with_values(plan: &LogicalPlan, portal: &Portal<Prepared>) -> PgWireResult<LogicalPlan> {
    let types = parameters(plan)?;
    if types.is_empty() {
        return Ok(plan.clone());
    }
    let known: Vec<_> = types.iter().map(|(known, _)| known.as_ref()).collect();
    let of_wire: Vec<_> = types.iter().map(|(_, of_wire)| Some(of_wire)).collect();
    let values = deserialize_parameters_with_server_types(portal, &known, &of_wire)?;
    plan.clone().replace_params_with_values(&values).map_err(|error| told(error.into()))
}

/// An error of a question.
fn told(query_error: QueryError) -> PgWireError {
    let code = match &query_error {
        QueryError::Invalid(message) if message.starts_with("syntax error") => "42601",
        QueryError::Invalid(_) => "42000",
        QueryError::Refused(_) => "25006",
        QueryError::Exhausted(_) => "53000",
        QueryError::Unavailable(_) => "58030",
        QueryError::Internal(_) => "XX000",
    };
    refused(code, query_error.to_string())
}
