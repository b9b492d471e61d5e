//! Who may connect: a name and a password, asked for by SCRAM-SHA-256 (RFC 5802, RFC 7677).

use std::sync::Arc;

use async_trait::async_trait;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::ScramAuth;
use pgwire::api::auth::{AuthSource, DefaultServerParameterProvider, LoginInfo, Password};
use pgwire::error::{PgWireError, PgWireResult};

use crate::postgres::Door;
use crate::postgres::tools::POSTGRES_VERSION;
use crate::users::{ITERATIONS, Users};

/// What asks who connects.
pub(super) fn startup(door: &Door) -> SASLAuthStartupHandler<DefaultServerParameterProvider> {
    let mut scram = ScramAuth::new(door.users.clone());
    scram.set_iterations(ITERATIONS);
    let mut parameters = DefaultServerParameterProvider::default();
    parameters.server_version = POSTGRES_VERSION.to_owned();
    parameters.is_superuser = false;
    parameters.default_transaction_read_only = true;
    SASLAuthStartupHandler::new(Arc::new(parameters))
        .with_scram(scram)
        .with_connection_manager(door.connections.clone())
}

#[async_trait]
impl AuthSource for Users {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let salted = self.password_of(login.user().ok_or(PgWireError::UserNameRequired)?);
        Ok(Password::new(Some(salted.salt), salted.password))
    }
}
