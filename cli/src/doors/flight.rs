//! Arrow Flight SQL of a process: where it listens.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use plimsoll_query::{Patience, QueryService, Tls, Users, serve_flight};
use tokio::net::TcpListener;

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

/// A door that is about to open.
pub struct Door {
    listener: TcpListener,
    users: Option<Arc<Users>>,
    tls: Option<Tls>,
}

impl Arguments {
    /// Takes the address for those who may ask; `None` when there is to be no such door.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn door(&self, access: Access) -> Result<Option<Door>> {
        let Some(address) = self.flight else { return Ok(None) };
        let door = Door::at(address, access).await?;
        if door.tls.is_none() && !address.ip().is_loopback() {
            eprintln!(
                "warning: passwords and answers on {address} can be read by others on their way; give --tls-certificate and --tls-key"
            );
        }
        let scheme = if door.tls.is_some() { "grpc+tls" } else { "grpc" };
        println!("answering on {scheme}://{}", door.address()?);
        Ok(Some(door))
    }
}

impl Door {
    /// Takes the address.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn at(address: SocketAddr, Access { users, tls, .. }: Access) -> Result<Door> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; give a free one with --flight, e.g. --flight 127.0.0.1:0")
        })?;
        Ok(Door { listener, users, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }
}

/// Answers clients of Arrow Flight SQL until the shutdown, where there is a door for them.
pub async fn open(door: Option<Door>, service: Arc<QueryService>, shutdown: Shutdown) {
    if let Some(Door { listener, users, tls }) = door {
        let ends = async move { shutdown.requested().await };
        serve_flight(listener, service, users, tls, Patience::default(), ends).await;
    }
}
