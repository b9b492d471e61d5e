//! Back-tests the forecasts of R29: what the engine would have said in the middle of each past window, against what
//! became of it.
//!
//! Three sets: services and counted things that are made up from a seed, and the sites of a real log, when
//! `PLIMSOLL_DATA` names the folder with it. Modules in reading order: `generated` and `log` give states of services;
//! `replay` forecasts and judges their windows; `counts` does all that for counted things; `score` compares.
//!
//! ```sh
//! cargo run --release -p plimsoll-bench-forecast -- [SEED] [SERVICES]
//! ```

mod counts;
mod generated;
mod log;
mod replay;
mod score;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The seed when none is given.
const SEED: u64 = 29;

/// How many services are made up, and over how many months.
const SERVICES: u64 = 400;
const MONTHS: u32 = 18;

fn main() -> Result<()> {
    let number = |place: usize, unless_told: u64| match std::env::args().nth(place) {
        Some(text) => text.parse().with_context(|| format!("found {text}, expected a whole number")),
        None => Ok(unless_told),
    };
    let (seed, count) = (number(1, SEED)?, number(2, SERVICES)? as usize);
    println!("counted: seed {seed}, {count} services, {MONTHS} months");
    score::print(&counts::forecasts(seed, count, MONTHS));
    println!("\ngenerated: seed {seed}, {count} services, {MONTHS} months");
    let services = generated::services(seed, count, MONTHS);
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
