//! Who may ask a process, through every door.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use plimsoll_query::Users;

/// Who may ask.
#[derive(clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Who may ask: a line each, as `plimsoll password` and `plimsoll token` write it. Default: whoever reaches the address
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
}

impl Arguments {
    /// Reads who may ask; `None` when everybody may.
    ///
    /// # Errors
    /// When the file is missing or is not what it is to be.
    pub fn read(&self) -> Result<Option<Arc<Users>>> {
        let Some(file) = &self.users else { return Ok(None) };
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let users = Users::parse(&text).map_err(|wrong| anyhow!("{}: {wrong}", file.display()))?;
        Ok(Some(Arc::new(users)))
    }
}
