//! Who may connect: a name and a password, asked for by SCRAM-SHA-256 (RFC 5802, RFC 7677).

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Sink;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::ScramAuth;
use pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, ServerParameterProvider, StartupHandler,
};
use pgwire::api::{ClientInfo, METADATA_DATABASE};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use crate::postgres::tools::POSTGRES_VERSION;
use crate::postgres::{Door, fatal, settings};
use crate::session::CATALOG as DATABASE;
use crate::users::{ITERATIONS, Users};

/// What asks who connects, and takes what they say of their connection.
pub(super) struct Startup {
    login: SASLAuthStartupHandler<Told>,
}

/// What a client is told of the connection once it is in.
struct Told(DefaultServerParameterProvider);

/// What asks who connects.
pub(super) fn startup(door: &Door) -> Startup {
    let mut scram = ScramAuth::new(door.users.clone());
    scram.set_iterations(ITERATIONS);
    let mut parameters = DefaultServerParameterProvider::default();
    parameters.server_version = POSTGRES_VERSION.to_owned();
    parameters.is_superuser = false;
    parameters.default_transaction_read_only = true;
    parameters.time_zone = "UTC".to_owned();
    let login = SASLAuthStartupHandler::new(Arc::new(Told(parameters)))
        .with_scram(scram)
        .with_connection_manager(door.connections.clone());
    Startup { login }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, mut message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let PgWireFrontendMessage::Startup(said) = &mut message {
            let database = said.parameters.get(METADATA_DATABASE);
            if let Some(other) = database.filter(|name| !name.is_empty() && *name != DATABASE) {
                let told = format!("database {other:?} does not exist; connect to {DATABASE}, the only one");
                return Err(fatal("3D000", told));
            }
            settings::connect(&mut said.parameters)?;
        }
        self.login.on_startup(client, message).await
    }
}

impl ServerParameterProvider for Told {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        let mut told = self.0.server_parameters(client)?;
        told.extend(settings::reported(client).into_iter().map(|(name, value)| (name.to_owned(), value)));
        Some(told)
    }
}

#[async_trait]
impl AuthSource for Users {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let salted = self.password_of(login.user().ok_or(PgWireError::UserNameRequired)?);
        Ok(Password::new(Some(salted.salt), salted.password))
    }
}
