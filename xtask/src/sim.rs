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

/// What is simulated: the options of the package, which are told there only.
#[derive(Debug, Args)]
pub struct Options {
    /// Options of the simulation; --help names them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Runs the simulations.
pub fn run(options: &Options) -> Result<Outcome> {
    let mut command = workspace::cargo(&["run", "--release", "-p", "sim", "--"]);
    command.args(&options.options);
    process::run_visibly("the simulations", command, LIMIT)?;
    Ok(Outcome::Passed(String::new()))
}
