//! The Postgres wire of a process: where it listens.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use plimsoll_query::{Patience, QueryService, Tls, Users, serve_postgres};
use tokio::net::TcpListener;

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

/// A door that is about to open.
pub struct Door {
    listener: TcpListener,
    users: Arc<Users>,
    tls: Option<Tls>,
}

impl Arguments {
    /// Takes the address for those who may ask; `None` when there is to be no such door.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn door(&self, Access { users, tls, .. }: Access) -> Result<Option<Door>> {
        let (Some(address), Some(users)) = (self.postgres, users) else { return Ok(None) };
        let door = Door::at(address, users, tls).await?;
        if door.tls.is_none() && !address.ip().is_loopback() {
            eprintln!(
                "warning: answers on {address} can be read by others on their way; give --tls-certificate and --tls-key"
            );
        }
        println!("answering on postgres://{}/plimsoll", door.address()?);
        Ok(Some(door))
    }
}

impl Door {
    /// Takes the address.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn at(address: SocketAddr, users: Arc<Users>, tls: Option<Tls>) -> Result<Door> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; give a free one with --postgres, e.g. --postgres 127.0.0.1:0")
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

/// Answers Postgres clients until the shutdown, where there is a door for them.
pub async fn open(door: Option<Door>, service: Arc<QueryService>, shutdown: Shutdown) {
    if let Some(Door { listener, users, tls }) = door {
        let ends = async move { shutdown.requested().await };
        serve_postgres(listener, service, users, tls, Patience::default(), ends).await;
    }
}
