//! `cargo xtask sim`: many simulations, each of another seed.
//!
//! The simulation itself is a package of its own, as it links the project's crates (`xtask/sim`). It is built as users
//! build the programs, since one seed takes a second and there are thousands.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::{ci::Outcome, process, workspace};

/// Ten thousand seeds take less.
const LIMIT: Duration = Duration::from_secs(6 * 3600);

/// What is simulated.
#[derive(Debug, Args)]
pub struct Options {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,

    /// Print everything that happens
    #[arg(long)]
    trace: bool,

    /// Run each seed twice, and compare what happens
    #[arg(long)]
    twice: bool,
}

/// Runs the simulations.
pub fn run(options: &Options) -> Result<Outcome> {
    let (seeds, from) = (options.seeds.to_string(), options.from.to_string());
    let mut arguments = vec![
        "run",
        "--release",
        "-p",
        "sim",
        "--",
        "--seeds",
        &seeds,
        "--from",
        &from,
    ];
    arguments.extend(options.trace.then_some("--trace"));
    arguments.extend(options.twice.then_some("--twice"));
    process::run_visibly("the simulations", workspace::cargo(&arguments), LIMIT)?;
    Ok(Outcome::Passed(String::new()))
}
