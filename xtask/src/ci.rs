//! `cargo xtask ci`: everything that must hold before a change is accepted.
//!
//! All checks run even when one has failed. The tests run last, and cargo's own summary lines (`test result: …`) are
//! held back until the very end, so that they are what a reader of a long log finds first.
//!
//! What needs a tool or an engine that is not there says SKIP.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use anyhow::{Result, anyhow, bail};

use crate::{
    bench, compose_test, console, demo, faults, fuzz, grpcurl_test, process, readers_test, supply, tidy, wait,
    workspace,
};

/// No step of these takes this long, unless it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(40 * 60);

/// What cargo prints for each test program, after its tests.
const TEST_SUMMARY: &str = "test result: ";

/// How a check that did not fail ended.
#[derive(Debug)]
pub enum Outcome {
    /// It holds.
    Passed(String),
    /// It could not be tried here, for this reason.
    Skipped(String),
}

struct Line {
    name: &'static str,
    took: Duration,
    result: Result<Outcome>,
}

/// Runs every check.
pub fn run() -> Result<String> {
    let start = wait::now();
    let mut lines = Vec::new();
    let mut check = |name, step: &mut dyn FnMut() -> Result<Outcome>| -> Result<()> {
        lines.push(timed(name, step));
        wait::check_interrupt()
    };
    check("format", &mut || cargo(&["fmt", "--all", "--check"], &[]))?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    check("clippy", &mut || cargo(&clippy, &[]))?;
    let docs = ["doc", "--workspace", "--no-deps", "--locked"];
    check("docs", &mut || cargo(&docs, &[("RUSTDOCFLAGS", "-D warnings")]))?;
    check("tidy", &mut || tidy::run(&workspace::root()).map(Outcome::Passed))?;
    check("demo", &mut || {
        demo::run(&demo::Options::standard()).map(Outcome::Passed)
    })?;
    check("grpcurl-test", &mut grpcurl_test::run)?;
    check("readers-test", &mut readers_test::run)?;
    check("faults --short", &mut || faults::run(&faults::Options::short()))?;
    check("bench --smoke", &mut || {
        bench::run(&bench::Options::smoke()).map(Outcome::Passed)
    })?;
    check("compose-test", &mut compose_test::run)?;
    check("fuzz", &mut || fuzz::run(&fuzz::Options::standard()))?;
    check("cargo deny", &mut supply::run)?;
    let mut summaries = Vec::new();
    check("cargo test", &mut || cargo_test(&mut summaries))?;
    print_table(&lines, start.elapsed());
    for line in &summaries {
        println!("{line}");
    }
    let failed: Vec<&str> = lines
        .iter()
        .filter(|line| line.result.is_err())
        .map(|line| line.name)
        .collect();
    if failed.is_empty() {
        return Ok(String::new());
    }
    bail!("{} of {} checks: {}", failed.len(), lines.len(), failed.join(", "))
}

fn timed(name: &'static str, step: &mut dyn FnMut() -> Result<Outcome>) -> Line {
    println!("\n=== {name}");
    let start = wait::now();
    // A panic in one check must not keep the others from running.
    let result = panic::catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Err(anyhow!("it panicked")));
    match &result {
        Ok(Outcome::Passed(_)) => {}
        Ok(Outcome::Skipped(reason)) => println!("SKIP {name}: {reason}"),
        Err(error) => println!("FAILED {name}: {error:#}"),
    }
    Line {
        name,
        took: start.elapsed(),
        result,
    }
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome> {
    let mut command = workspace::cargo(arguments);
    command.envs(environment.iter().copied());
    process::run_visibly(&format!("cargo {}", arguments.join(" ")), command, STEP_LIMIT)?;
    Ok(Outcome::Passed(String::new()))
}

/// Runs the tests as the README says, and sets aside cargo's summary of each test program.
fn cargo_test(summaries: &mut Vec<String>) -> Result<Outcome> {
    let mut command = workspace::cargo(&["test"]);
    // Escape sequences would hide the summaries.
    command.env("CARGO_TERM_COLOR", "never");
    let status = process::run_by_line(command, |line| {
        if line.starts_with(TEST_SUMMARY) {
            summaries.push(line.to_owned());
        } else {
            println!("{line}");
        }
    })?;
    if !status.success() {
        bail!("`cargo test` failed: {status}");
    }
    let passed: u64 = summaries.iter().filter_map(|line| passed(line)).sum();
    Ok(Outcome::Passed(format!("{passed} tests")))
}

/// The number of passed tests in one of cargo's summaries.
fn passed(summary: &str) -> Option<u64> {
    let (before, _) = summary.split_once(" passed")?;
    before.rsplit(' ').next()?.parse().ok()
}

fn print_table(lines: &[Line], took: Duration) {
    println!(
        "\n=== summary of {}, {}",
        console::count(lines.len(), "check"),
        console::seconds(took)
    );
    for Line { name, took, result } in lines {
        let (verdict, text) = match result {
            Ok(Outcome::Passed(text)) => ("ok", text.clone()),
            Ok(Outcome::Skipped(reason)) => ("SKIP", reason.clone()),
            Err(error) => (
                "FAILED",
                error.to_string().lines().next().unwrap_or_default().to_owned(),
            ),
        };
        println!("{name:<14} {verdict:<6} {:>11}  {text}", console::seconds(*took));
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_passed_tests_is_read_from_cargos_summary() {
        let line = "test result: ok. 83 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.21s";
        assert_eq!(passed(line), Some(83));
        assert_eq!(passed("test result: gibberish"), None);
    }

    #[test]
    fn a_check_that_panics_counts_as_failed() {
        let line = timed("a", &mut || panic!("on purpose"));
        assert_eq!(line.result.unwrap_err().to_string(), "it panicked");
    }
}
