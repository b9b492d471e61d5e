//! Back-tests the forecasts of R29: what the engine would have said in the middle of each past window, against what
//! became of it.
//!
//! Two sets: services that are made up from a seed, and the sites of a real log, when `PLIMSOLL_DATA` names the folder
//! with it. Modules in reading order: `generated` and `log` give states of services; `replay` forecasts and judges
//! their windows; `score` compares.
//!
//! ```sh
//! cargo run --release -p plimsoll-bench-forecast -- [SEED]
//! ```

mod generated;
mod log;
mod replay;
mod score;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The seed when none is given.
const SEED: u64 = 29;

/// How many services are made up, and over how many months.
const SERVICES: usize = 400;
const MONTHS: u32 = 18;

fn main() -> Result<()> {
    let seed = match std::env::args().nth(1) {
        Some(text) => text.parse().with_context(|| format!("found {text}, expected a seed: a whole number"))?,
        None => SEED,
    };
    println!("generated: seed {seed}, {SERVICES} services, {MONTHS} months");
    let services = generated::services(seed, SERVICES, MONTHS);
    score::print(&replay::forecasts(&services, &replay::promises_for_services()?)?);
    match std::env::var_os("PLIMSOLL_DATA").map(|data| PathBuf::from(data).join("uptime-dhbern/observations.csv.gz")) {
        Some(path) => {
            let sites = log::sites(&path)?;
            println!("\n{}: {} sites", path.display(), sites.len());
            score::print(&replay::forecasts(&sites, &replay::promises_for_sites()?)?);
        }
        None => println!("\nPLIMSOLL_DATA is not set: no real log"),
    }
    Ok(())
}
