//! The Postgres wire of a process: where it listens.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use plimsoll_query::{Patience, QueryService, serve_postgres};

use crate::doors::Door;
use crate::doors::access::Access;
use crate::shutdown::Shutdown;

/// The Postgres wire.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Where to listen for Postgres clients, who are in the file that --users names
    #[arg(long, value_name = "ADDRESS:PORT", requires = "users")]
    postgres: Option<SocketAddr>,
}

impl Arguments {
    /// Takes the address for those who may ask; `None` when there is to be no such door.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn door(&self, access: Access) -> Result<Option<Door>> {
        let Some(address) = self.postgres else { return Ok(None) };
        let door = door_at(address, access).await?;
        println!("answering on postgres://{}/plimsoll", door.address()?);
        Ok(Some(door))
    }
}

/// Takes an address for those who may ask.
///
/// # Errors
/// When the port is taken.
pub async fn door_at(address: SocketAddr, access: Access) -> Result<Door> {
    Door::at(address, "--postgres", "answers", access).await
}

/// Answers Postgres clients until the shutdown, where there is a door for them.
pub async fn open(door: Option<Door>, service: Arc<QueryService>, shutdown: Shutdown) {
    // Without users there is nobody who may come in; clap does not let it get so far.
    if let Some(Door { listener, users: Some(users), tls }) = door {
        let ends = async move { shutdown.requested().await };
        serve_postgres(listener, service, users, tls, Patience::default(), ends).await;
    }
}
