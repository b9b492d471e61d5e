//! Arrow Flight SQL of a process: where it listens.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use plimsoll_query::{Patience, QueryService, serve_flight};

use crate::doors::Door;
use crate::doors::access::Access;
use crate::shutdown::Shutdown;

/// Arrow Flight SQL.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Where to listen for clients of Arrow Flight SQL
    #[arg(long, value_name = "ADDRESS:PORT")]
    flight: Option<SocketAddr>,
}

impl Arguments {
    /// Takes the address for those who may ask; `None` when there is to be no such door.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn door(&self, access: Access) -> Result<Option<Door>> {
        let Some(address) = self.flight else { return Ok(None) };
        let door = Door::at(address, "--flight", "passwords and answers", access).await?;
        let scheme = if door.tls.is_some() { "grpc+tls" } else { "grpc" };
        println!("answering on {scheme}://{}", door.address()?);
        Ok(Some(door))
    }
}

/// Answers clients of Arrow Flight SQL until the shutdown, where there is a door for them.
pub async fn open(door: Option<Door>, service: Arc<QueryService>, shutdown: Shutdown) {
    if let Some(Door { listener, users, tls }) = door {
        let ends = async move { shutdown.requested().await };
        let patience = Patience::with_answers(service.time_max());
        serve_flight(listener, service, users, tls, patience, ends).await;
    }
}
