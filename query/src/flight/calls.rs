//! The calls of Flight, with the commands of Flight SQL in them: questions are answered, what would write is refused.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, Command, CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::logical_expr::LogicalPlan;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::error::QueryError;
use crate::flight::facts::Facts;
use crate::flight::login::Asker;
use crate::flight::prepared::{Asked, Statements, numbered, parameters, values};
use crate::flight::traffic::Call;
use crate::flight::{internal, metadata, sent, told};
use crate::format::plain_batch;
use crate::session::QueryService;

/// The actions that there are, and what they do.
const ACTIONS: [(&str, &str); 2] = [(PREPARE, "prepares a statement"), (CLOSE, "closes a prepared statement")];
const PREPARE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";

type Answer<Item> = Result<Response<BoxStream<'static, Result<Item, Status>>>, Status>;

/// What answers the calls of all connections.
#[derive(Clone)]
pub(super) struct Calls {
    service: Arc<QueryService>,
    statements: Arc<Statements>,
    /// None is a defect, of which is told who asks for them.
    facts: Arc<Result<Facts, FlightError>>,
}

impl Calls {
    /// Nobody has called.
    pub(super) fn new(service: Arc<QueryService>) -> Calls {
        Calls { service, statements: Arc::new(Statements::new()), facts: Arc::new(Facts::gather()) }
    }

    /// What a command asks; `None` when it is about what there is.
    fn asked(&self, asker: &Asker, command: &Command) -> Result<Option<Asked>, Status> {
        match command {
            Command::CommandStatementQuery(CommandStatementQuery { transaction_id: Some(_), .. }) => {
                Err(no_transactions())
            }
            Command::CommandStatementQuery(asked) => Ok(Some(Asked::plain(&asked.query))),
            Command::TicketStatementQuery(ticket) => match std::str::from_utf8(&ticket.statement_handle) {
                Ok(statement) => Ok(Some(Asked::plain(statement))),
                Err(_) => Err(Status::invalid_argument("this ticket is none of ours; ask for another one")),
            },
            Command::CommandPreparedStatementQuery(asked) => {
                self.statements.find(asker, &asked.prepared_statement_handle).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The plan of what is asked, and the columns of the answer.
    async fn planned(&self, asked: &Asked) -> Result<(LogicalPlan, SchemaRef), Status> {
        let statement = checked(&asked.statement)?;
        let (plan, columns) = self.service.plan_text(statement.clone(), None).await.map_err(told)?;
        let (plan, columns) = match asked.values_for(&plan).map_err(told)? {
            Some(values) => self.service.plan_text(statement, Some(values)).await.map_err(told)?,
            None => (plan, columns),
        };
        Ok((plan, sent(&columns)))
    }

    /// What there is, as far as a command asks for it.
    async fn there_is(&self, command: &Command) -> Result<RecordBatch, Status> {
        let facts = self.facts.as_ref().as_ref().map_err(|error| internal(error))?;
        metadata::answer(command, &self.service, facts).await?.ok_or_else(|| not_answered(command))
    }

    /// The columns of the answer to a command, and the ticket for its rows.
    async fn described(&self, asker: &Asker, descriptor: &FlightDescriptor) -> Result<(SchemaRef, Bytes), Status> {
        let command = command(&descriptor.cmd)?;
        let columns = match self.asked(asker, &command)? {
            Some(asked) => self.planned(&asked).await?.1,
            None => self.there_is(&command).await?.schema(),
        };
        let ticket = match command {
            Command::CommandStatementQuery(asked) => {
                TicketStatementQuery { statement_handle: asked.query.into() }.as_any()
            }
            other => other.into_any(),
        };
        Ok((columns, ticket.encode_to_vec().into()))
    }

    /// The rows of the answer to a question, as they are computed.
    async fn rows(
        &self,
        asker: &Asker,
        asked: &Asked,
    ) -> Result<impl Stream<Item = Result<FlightData, Status>> + Send + 'static, Status> {
        let (plan, columns) = self.planned(asked).await?;
        let answer = asker.sees(&self.service).planned(plan).await.map_err(told)?;
        let columns = as_told(columns, sent(&answer.schema()));
        let of = columns.clone();
        let rows = answer.map(move |batch| {
            let batch = batch.map_err(|error| told(error.into()))?;
            plain_batch(&batch, &of).map_err(|error| internal(&error))
        });
        Ok(self.service.compute_rows(encoded(rows, columns)))
    }

    /// Prepares a statement.
    async fn prepare(
        &self,
        asker: &Asker,
        asked: ActionCreatePreparedStatementRequest,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        if asked.transaction_id.is_some() {
            return Err(no_transactions());
        }
        let (plan, columns) = self.service.plan_text(checked(&asked.query)?, None).await.map_err(told)?;
        let parameters = parameters(&plan).map_err(told)?;
        Ok(ActionCreatePreparedStatementResult {
            dataset_schema: in_ipc(&sent(&columns))?,
            parameter_schema: in_ipc(&parameters)?,
            prepared_statement_handle: self.statements.keep(asker, &asked.query).into(),
        })
    }
}

/// The rows as messages. They are taken from the question one batch after the other, when the client has room for more.
fn encoded(
    rows: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
    columns: SchemaRef,
) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
    let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(columns).build(rows).map_err(Status::from)
}

/// The columns that a client was told of, if the rows have such types: drivers compare both, and what may be null is known
/// better before.
fn as_told(told: SchemaRef, found: SchemaRef) -> SchemaRef {
    let is_same = told.fields().len() == found.fields().len()
        && told.fields().iter().zip(found.fields()).all(|(told, found)| told.data_type() == found.data_type());
    if is_same { told } else { found }
}

/// The statement as it is planned.
fn checked(statement: &str) -> Result<String, Status> {
    QueryService::check_length(statement).map_err(told)?;
    Ok(numbered(statement))
}

/// The command in a message.
fn command(message: &[u8]) -> Result<Command, Status> {
    let known = Any::decode(message).ok().and_then(|any| Command::try_from(any).ok());
    known.ok_or_else(|| Status::invalid_argument("the call has no command of Flight SQL"))
}

/// The request of an action.
fn request_in<Asked: ProstMessageExt>(action: &Action) -> Result<Asked, Status> {
    let found = Any::decode(action.body.as_ref()).ok().and_then(|any| any.unpack().ok().flatten());
    found.ok_or_else(|| {
        Status::invalid_argument(format!("the action {} has no request that belongs to it", action.r#type))
    })
}

fn in_ipc(schema: &Schema) -> Result<Bytes, Status> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    message.map(|message| message.0).map_err(|error| internal(&error))
}

/// Who makes a call, which was found out before.
fn asker<Asked>(request: &Request<Asked>) -> Result<Asker, Status> {
    let known = request.extensions().get::<Asker>().cloned();
    known.ok_or_else(|| told(QueryError::Internal("nobody knows who calls".to_owned())))
}

/// A stream that its call lasts as long as.
fn lasting<Asked, Item: Send + 'static>(
    request: &Request<Asked>,
    stream: impl Stream<Item = Result<Item, Status>> + Send + 'static,
) -> Response<BoxStream<'static, Result<Item, Status>>> {
    let call = request.extensions().get::<Arc<Call>>().cloned();
    Response::new(stream.inspect(move |_| _ = &call).boxed())
}

fn no_transactions() -> Status {
    told(QueryError::Refused(
        "there are no transactions; each statement reads what is newest when it begins".to_owned(),
    ))
}

/// What is said of a command that is not answered.
fn not_answered(command: &Command) -> Status {
    match command {
        Command::CommandStatementUpdate(_)
        | Command::CommandPreparedStatementUpdate(_)
        | Command::CommandStatementIngest(_) => {
            told(QueryError::Refused("tables are only read here; nothing is updated and nothing taken in".to_owned()))
        }
        Command::CommandStatementSubstraitPlan(_) => {
            Status::unimplemented("plans of Substrait are not understood; send SQL")
        }
        other => Status::unimplemented(format!("{} is not answered here", other.type_url())),
    }
}

#[tonic::async_trait]
impl FlightService for Calls {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    /// Tells the token of who has logged in, twice: each driver looks in another place.
    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Answer<HandshakeResponse> {
        let token = asker(&request)?.given.unwrap_or_default();
        let header = MetadataValue::try_from(format!("Bearer {token}")).map_err(|error| internal(&error))?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let mut response = Response::new(futures::stream::iter([Ok(answer)]).boxed());
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let asker = asker(&request)?;
        let descriptor = request.into_inner();
        let (columns, ticket) = self.described(&asker, &descriptor).await?;
        let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
        let info = FlightInfo::new().try_with_schema(&columns).map_err(|error| internal(&error))?;
        Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (columns, _) = self.described(&asker(&request)?, request.get_ref()).await?;
        let schema: Result<SchemaResult, ArrowError> =
            SchemaAsIpc::new(&columns, &IpcWriteOptions::default()).try_into();
        schema.map(Response::new).map_err(|error| internal(&error))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<FlightData> {
        let asker = asker(&request)?;
        let command = command(&request.get_ref().ticket)?;
        if let Some(asked) = self.asked(&asker, &command)? {
            return Ok(lasting(&request, self.rows(&asker, &asked).await?));
        }
        let rows = self.there_is(&command).await?;
        let columns = rows.schema();
        Ok(lasting(&request, encoded(futures::stream::iter([Ok(rows)]), columns)))
    }

    /// Takes the values of a prepared statement's parameters.
    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<PutResult> {
        let asker = asker(&request)?;
        let mut parts = request.into_inner();
        let first = parts.message().await?.unwrap_or_default();
        let command =
            command(first.flight_descriptor.as_ref().map(|descriptor| &descriptor.cmd[..]).unwrap_or_default())?;
        let Command::CommandPreparedStatementQuery(CommandPreparedStatementQuery { prepared_statement_handle: handle }) =
            command
        else {
            return Err(not_answered(&command));
        };
        let values = values(futures::stream::iter([Ok(first)]).chain(parts)).await?;
        self.statements.bind(&asker, &handle, values)?;
        let bound = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
        let answer = PutResult { app_metadata: bound.encode_to_vec().into() };
        Ok(Response::new(futures::stream::iter([Ok(answer)]).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<arrow_flight::Result> {
        let asker = asker(&request)?;
        let action = request.into_inner();
        let results = match action.r#type.as_str() {
            PREPARE => {
                let prepared = self.prepare(&asker, request_in(&action)?).await?;
                vec![Ok(arrow_flight::Result { body: prepared.as_any().encode_to_vec().into() })]
            }
            CLOSE => {
                let closed: ActionClosePreparedStatementRequest = request_in(&action)?;
                self.statements.close(&asker, &closed.prepared_statement_handle);
                Vec::new()
            }
            "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => return Err(no_transactions()),
            other => return Err(Status::unimplemented(format!("there is no action {other} here"))),
        };
        Ok(Response::new(futures::stream::iter(results).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<ActionType> {
        let action = |(name, description): (&str, &str)| {
            Ok(ActionType { r#type: name.to_owned(), description: description.to_owned() })
        };
        Ok(Response::new(futures::stream::iter(ACTIONS.map(action)).boxed()))
    }

    /// There are none that wait to be fetched.
    async fn list_flights(&self, _: Request<Criteria>) -> Answer<FlightInfo> {
        Ok(Response::new(futures::stream::empty().boxed()))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("answers come as they are computed; ask by GetFlightInfo and DoGet"))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<FlightData> {
        Err(Status::unimplemented("nothing is exchanged here; ask by GetFlightInfo and DoGet"))
    }
}
