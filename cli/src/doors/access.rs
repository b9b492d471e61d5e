//! Who may ask a process through its doors, and what keeps it secret on its way.
//!
//! The file of those who may ask is looked at again and again: what two looks have found is in force, or refused if it has a
//! problem, as with the [definitions](crate::in_force).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use plimsoll_query::{Tls, Users};

/// How often the file of those who may ask is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who may ask, and how it is kept secret.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Who may ask: a line each, as `plimsoll password` and `plimsoll token` write it. Default: whoever reaches the address
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The certificate, and those that lead to its authority, PEM: HTTP is HTTPS then, Flight SQL speaks TLS, and Postgres
    /// clients may ask for it
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
    /// The file that says so, and what it said.
    file: Option<(PathBuf, String)>,
    /// What is shown to those who ask for TLS.
    pub tls: Option<Tls>,
}

impl Arguments {
    /// Reads what the files say.
    ///
    /// # Errors
    /// When a file is missing or is not what it is to be.
    pub fn read(&self) -> Result<Access> {
        let (mut users, mut told) = (None, None);
        if let Some(file) = &self.users {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            users = Some(Arc::new(Users::parse(&text).map_err(|wrong| anyhow!("{}: {wrong}", file.display()))?));
            told = Some((file.clone(), text));
        }
        let tls = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate, key).map_err(Error::msg)?),
            _ => None,
        };
        Ok(Access { users, file: told, tls })
    }
}

impl Access {
    /// That of users of whom no file tells, without TLS.
    pub fn of(users: Users) -> Access {
        Access { users: Some(Arc::new(users)), ..Access::default() }
    }

    /// Keeps to what the file says, for as long as it is waited for.
    pub async fn keep_up(&self) {
        let (Some(users), Some((path, text))) = (&self.users, &self.file) else { return std::future::pending().await };
        let (mut known, mut seen) = (Ok(text.clone()), None);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let found = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string());
            if found == known {
                seen = None;
            } else if seen.as_ref() != Some(&found) {
                seen = Some(found);
            } else {
                match found.as_ref().map_err(String::clone).and_then(|text| users.replace(text)) {
                    Ok(()) => eprintln!("those may ask who are in {} now", path.display()),
                    Err(wrong) => {
                        eprintln!("warning: {}: {wrong}; those may ask who were in it before", path.display());
                    }
                }
                known = found;
            }
        }
    }

    /// How addresses of the HTTP doors begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
