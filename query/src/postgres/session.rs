//! One connection: statements in, by the simple or the extended protocol; rows or an error out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::{Sink, SinkExt, StreamExt};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, QueryResponse, Response};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, METADATA_USER, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::DataRow;
use pgwire::messages::extendedquery::Execute;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::ParameterStatus;
use pgwire::types::format::FormatOptions;

use crate::error::QueryError;
use crate::postgres::{Door, arrays, parameters, refused, rewrite, settings};
use crate::session::{QueryService, TOO_SLOW};
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

    async fn answer<Client>(
        &self,
        client: &mut Client,
        prepared: &Prepared,
        values: Option<LogicalPlan>,
        format: &Format,
        bytes_left: &Arc<AtomicUsize>,
    ) -> PgWireResult<Response>
    where
        Client: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        PgWireError: From<<Client as Sink<PgWireBackendMessage>>::Error>,
    {
        let ends = matches!(prepared, Prepared::Setting(statement) if settings::ends_transaction(statement));
        if client.transaction_status() == TransactionStatus::Error && !ends {
            let message = "the transaction has failed; end it with ROLLBACK before anything else is asked";
            return Err(refused("25P02", message.to_owned()));
        }
        let plan = match (prepared, values) {
            (Prepared::Setting(statement), _) => return self.set(client, statement).await,
            (Prepared::Question(_), Some(plan)) => plan,
            (Prepared::Question(plan), None) => LogicalPlan::clone(plan),
        };
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

    /// Answers a statement about the connection, and tells what has changed by it.
    async fn set<Client>(&self, client: &mut Client, statement: &Statement) -> PgWireResult<Response>
    where
        Client: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        PgWireError: From<<Client as Sink<PgWireBackendMessage>>::Error>,
    {
        let before = settings::reported(client);
        let (answer, notices) = settings::answer(statement, client, self.service.time_max())?;
        for notice in notices {
            client.feed(PgWireBackendMessage::NoticeResponse(notice.into())).await?;
        }
        for (name, value) in settings::reported(client) {
            if before.get(name) != Some(&value) {
                let status = ParameterStatus::new(name.to_owned(), value);
                client.feed(PgWireBackendMessage::ParameterStatus(status)).await?;
            }
        }
        Ok(answer)
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
            let with_arrays = |one: Statement| arrays::statement(one).map_err(QueryError::Invalid);
            parsed
                .map_err(|error| QueryError::from(DataFusionError::from(error)))
                .and_then(|parsed| parsed.into_iter().map(with_arrays).collect::<Result<Vec<_>, _>>())
        };
        self.service.compute(parse).await.map_err(told)
    }

    /// Plans a statement, to whose parameters a client has given these types.
    async fn prepare(&self, statement: Statement, types: &[Option<Type>]) -> PgWireResult<Prepared> {
        if settings::is_one(&statement) {
            return Ok(Prepared::Setting(Box::new(statement)));
        }
        let statement = parameters::statement(statement, types);
        let plan = self.service.plan(Parsed::Statement(Box::new(statement))).await.map_err(told)?;
        let plan = parameters::typed(plan, types).map_err(|error| told(error.into()))?;
        Ok(Prepared::Question(Arc::new(plan)))
    }
}

/// Lets a failed transaction go back to a savepoint: pgwire keeps one failed until it ends.
fn revive<Client: ClientInfo>(client: &mut Client, statement: &Statement) {
    if settings::goes_back(statement) {
        client.set_transaction_status(TransactionStatus::Transaction);
    }
}

#[async_trait]
impl SimpleQueryHandler for Session {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if client.transaction_status() == TransactionStatus::Error
            && let Ok(statements) = self.reader.read(&query.query).await
        {
            statements.first().into_iter().for_each(|first| revive(client, first));
        }
        self._on_query(client, query).await
    }

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
            let prepared = self.reader.prepare(statement, &[]).await?;
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

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let portal = client.portal_store().get_portal(message.name.as_deref().unwrap_or(DEFAULT_NAME));
        if client.transaction_status() == TransactionStatus::Error
            && let Some(Entry::Value(portal)) = portal
            && let Prepared::Setting(statement) = &portal.statement.statement
        {
            revive(client, statement);
        }
        self._on_execute(client, message).await
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
            Prepared::Question(plan) => Some(parameters::with_values(plan, portal)?),
            Prepared::Setting(_) => None,
        };
        let bytes_left = Arc::new(AtomicUsize::new(ANSWER_BYTES_MAX));
        self.answer(client, prepared, plan, &portal.result_column_format, &bytes_left).await
    }
}

#[async_trait]
impl QueryParser for Reader {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = self.read(sql).await?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => self.prepare(statement, types).await.map(Some),
            (None, _) => Ok(None),
            (Some(_), false) => {
                Err(refused("42601", "a prepared statement is one statement; send them one by one".to_owned()))
            }
        }
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        match prepared {
            Prepared::Question(plan) => parameters::of_wire(plan),
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

/// An error of a question.
pub(super) fn told(query_error: QueryError) -> PgWireError {
    let code = match &query_error {
        QueryError::Invalid(message) if message.starts_with("syntax error") => "42601",
        QueryError::Invalid(_) => "42000",
        QueryError::Refused(_) => "25006",
        QueryError::Exhausted(message) if message.starts_with(TOO_SLOW) => "57014",
        QueryError::Exhausted(_) => "53000",
        QueryError::Unavailable(_) => "58030",
        QueryError::Internal(_) => "XX000",
    };
    refused(code, query_error.to_string())
}
