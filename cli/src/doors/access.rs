//! Who may ask a process through its doors, and what keeps it secret on its way.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Error, Result, anyhow};
use plimsoll_query::{Tls, Users};

/// Who may ask, and how it is kept secret.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Who may ask: a line each, as `plimsoll password` and `plimsoll token` write it. Default: whoever reaches the address
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The certificate, and those that lead to its authority, PEM: HTTP is HTTPS then, and Postgres clients may ask for TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of the certificate: PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// What the files say.
#[derive(Clone, Default)]
pub struct Access {
    /// Who may ask; `None` when everybody may.
    pub users: Option<Arc<Users>>,
    /// What is shown to those who ask for TLS.
    pub tls: Option<Tls>,
}

impl Arguments {
    /// Reads what the files say.
    ///
    /// # Errors
    /// When a file is missing or is not what it is to be.
    pub fn read(&self) -> Result<Access> {
        let users = match &self.users {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Some(Arc::new(Users::parse(&text).map_err(|wrong| anyhow!("{}: {wrong}", file.display()))?))
            }
            None => None,
        };
        let tls = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate, key).map_err(Error::msg)?),
            _ => None,
        };
        Ok(Access { users, tls })
    }
}

impl Access {
    /// How addresses of the HTTP doors begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
