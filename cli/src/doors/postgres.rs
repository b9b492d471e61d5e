//! The Postgres wire of a process: where it listens, and how it is kept secret.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use plimsoll_query::{Patience, QueryService, Tls, Users, serve_postgres};
use tokio::net::TcpListener;

use crate::shutdown::Shutdown;

/// The Postgres wire.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Where to listen for Postgres clients, who are in the file that --users names
    #[arg(long, value_name = "ADDRESS:PORT", requires = "users")]
    postgres: Option<SocketAddr>,
    /// The certificate shown to Postgres clients that ask for TLS, and those that lead to its authority: PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of the certificate: PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// A door that is about to open.
pub struct Door {
    listener: TcpListener,
    users: Arc<Users>,
    tls: Option<Tls>,
}

impl Arguments {
    /// Takes the address for these users, and reads what the files say; `None` when there is to be no such door.
    ///
    /// # Errors
    /// When the port is taken, or a file is missing or is not what it is to be.
    pub async fn door(&self, users: Option<Arc<Users>>) -> Result<Option<Door>> {
        let (Some(address), Some(users)) = (self.postgres, users) else { return Ok(None) };
        let tls = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate, key).map_err(anyhow::Error::msg)?),
            _ => None,
        };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; give a free one with --postgres, e.g. --postgres 127.0.0.1:0")
        })?;
        if tls.is_none() && !address.ip().is_loopback() {
            eprintln!(
                "warning: answers on {address} can be read by others on their way; give --tls-certificate and --tls-key"
            );
        }
        println!("answering on postgres://{}/plimsoll", listener.local_addr()?);
        Ok(Some(Door { listener, users, tls }))
    }
}

/// Answers Postgres clients until the shutdown, where there is a door for them.
pub async fn open(door: Option<Door>, service: Arc<QueryService>, shutdown: Shutdown) {
    if let Some(Door { listener, users, tls }) = door {
        let ends = async move { shutdown.requested().await };
        serve_postgres(listener, service, users, tls, Patience::default(), ends).await;
    }
}
