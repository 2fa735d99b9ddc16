//! The chores of this project, as `cargo xtask COMMAND`.
//!
//! This program drives processes only: it links none of the project's own crates, so that it tests what users run, and
//! compiles in a few seconds.

mod bench;
mod ci;
mod cluster;
mod compose_test;
mod console;
mod corpus;
mod crowd;
mod demo;
mod documents;
mod faults;
mod fuzz;
mod grpcurl_test;
mod json;
mod mutants;
mod process;
mod procfs;
mod readers_test;
mod sim;
mod soak;
mod space;
mod supply;
mod tidy;
mod tools;
mod wait;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::ci::Outcome;

/// The exit code of a program that SIGINT ended, as shells report it.
const INTERRUPTED: u8 = 130;

/// The chores of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Launch a local cluster and tell, step by step, what the system does
    Demo(demo::Options),
    /// Fetch the whole real series of RFCs into a folder
    Corpus(corpus::Options),
    /// Look into real processes with grpcurl and buf, and check docs/grpcurl.md
    GrpcurlTest(grpcurl_test::Options),
    /// Have curl, wget and aria2 read RFCs from the sites of peers
    ReadersTest,
    /// Bring the containers of compose.yaml up, disturb them, and take them down
    ComposeTest,
    /// Kill, stop, cut off and move real peers, and measure how soon the registry knows
    Faults(faults::Options),
    /// Keep a registry and hundreds of peers at work, with faults all the time, and see that nothing grows
    Soak(soak::Options),
    /// Measure this project beside rsync, curl and others, on this machine
    Bench(bench::Options),
    /// Simulate a registry and peers on a network with faults, seed after seed, and check what must hold
    #[command(disable_help_flag = true)]
    Sim(sim::Options),
    /// Break one guard of the product after the other, in a copy, and see whether its tests turn red
    Mutants(mutants::Options),
    /// Look for inputs with which something does not hold that must
    Fuzz(fuzz::Options),
    /// Check what the programs are built from: licences, sources, unwanted packages, known flaws
    Deny,
    /// Check the house rules
    Tidy,
    /// Run every check that CI runs
    Ci,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match wait::catch_signals().and_then(|()| run(&arguments.command)) {
        Ok(Outcome::Passed(summary)) if summary.is_empty() => ExitCode::SUCCESS,
        Ok(Outcome::Passed(summary)) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Ok(Outcome::Skipped(reason)) => {
            println!("SKIP: {reason}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nfailed: {error:#}");
            let interrupted = error.downcast_ref::<wait::Interrupted>().is_some();
            if interrupted {
                ExitCode::from(INTERRUPTED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Demo(options) => demo::run(options).map(Outcome::Passed),
        Command::Corpus(options) => corpus::run(options).map(Outcome::Passed),
        Command::GrpcurlTest(options) => grpcurl_test::run_with(options),
        Command::ReadersTest => readers_test::run(),
        Command::ComposeTest => compose_test::run(),
        Command::Faults(options) => faults::run(options),
        Command::Soak(options) => soak::run(options).map(Outcome::Passed),
        Command::Bench(options) => bench::run(options).map(Outcome::Passed),
        Command::Sim(options) => sim::run(options),
        Command::Mutants(options) => mutants::run(options),
        Command::Fuzz(options) => fuzz::run(options),
        Command::Deny => supply::run(),
        Command::Tidy => tidy::run(&workspace::root()).map(Outcome::Passed),
        Command::Ci => ci::run().map(Outcome::Passed),
    }
}
