//! Tests of the copy: built, run, and read by their outcomes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};

use super::{
    copy::Copy,
    patch::{Program, Suite},
};
use crate::process;

/// No build takes this long, unless it hangs; the first one builds everything.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// No tests that patches name take this long: a broken guard is to be told by a test's own words, not by a wait
/// without end.
const TEST_LIMIT: Duration = Duration::from_secs(180);

/// The exit code of a test program of which a test failed, by way of cargo.
const TESTS_FAILED: i32 = 101;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// It says itself that it could not be tried here.
    Skipped,
}

/// Builds a test program.
pub fn build(copy: &Copy, program: &Program) -> Result<()> {
    let arguments = [&["test", "--locked", "--no-run"], program.arguments().as_slice()].concat();
    let what = format!("cargo {}", arguments.join(" "));
    process::run(&what, copy.cargo(&arguments), BUILD_LIMIT)?.expect_code(&what, 0)?;
    Ok(())
}

/// Builds a test program; the user sees how far it is.
pub fn build_visibly(copy: &Copy, program: &Program) -> Result<()> {
    let arguments = [&["test", "--locked", "--no-run"], program.arguments().as_slice()].concat();
    let what = format!("cargo {}", arguments.join(" "));
    process::run_visibly(&what, copy.cargo(&arguments), BUILD_LIMIT)
}

/// Runs tests, which must all be there, and returns how each of them ended.
pub fn run(copy: &Copy, suite: &Suite) -> Result<BTreeMap<String, Outcome>> {
    let mut arguments = vec!["test", "--locked"];
    arguments.extend(suite.program.arguments());
    arguments.extend(["--", "--exact"]);
    arguments.extend(suite.tests.iter().map(String::as_str));
    let what = format!("the tests of {}", suite.program.label());
    let mut command = copy.cargo(&arguments);
    command.env("CARGO_TERM_COLOR", "never").env_remove("RUST_TEST_THREADS");
    let finished = process::run(&what, command, TEST_LIMIT)?;
    if ![0, TESTS_FAILED].contains(&finished.code()) {
        finished.expect_code(&what, TESTS_FAILED)?;
        bail!("{what} ended otherwise than by passing or failing");
    }
    let outcomes = outcomes(&finished.stdout, &finished.stderr);
    let of = |name: &String| {
        let outcome = outcomes.get(name).copied();
        let outcome = outcome.with_context(|| format!("{} ran no test {name}", suite.program.label()))?;
        Ok((name.clone(), outcome))
    };
    suite.tests.iter().map(of).collect()
}

/// The tests that a test program says to have run. One that lacks something says so in a line `SKIP test: reason`, and
/// passes.
fn outcomes(printed: &str, reported: &str) -> BTreeMap<String, Outcome> {
    let skips: Vec<&str> = reported
        .lines()
        .filter_map(|line| line.strip_prefix("SKIP ")?.split_once(": "))
        .map(|(test, _)| test)
        .collect();
    let is_skipped = |name: &str| {
        skips
            .iter()
            .any(|test| name == *test || name.ends_with(&format!("::{test}")))
    };
    let of_line = |line: &str| {
        let (name, ended) = line.strip_prefix("test ")?.split_once(" ... ")?;
        match ended.trim() {
            "ok" if is_skipped(name) => Some((name.to_owned(), Outcome::Skipped)),
            "ok" => Some((name.to_owned(), Outcome::Passed)),
            "FAILED" => Some((name.to_owned(), Outcome::Failed)),
            _ => None,
        }
    };
    printed.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_from_what_a_test_program_prints() {
        let printed = "\nrunning 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d ... ignored\n\nfailures:\n\n\
                       ---- a::c stdout ----\ntest of mine ... x\n\ntest result: FAILED. 1 passed; 1 failed\n";
        let found = outcomes(printed, "SKIP c: no\nwarning: no\n");
        assert_eq!(found.get("a::b"), Some(&Outcome::Passed));
        assert_eq!(found.get("a::c"), Some(&Outcome::Failed));
        assert_eq!(found.len(), 2, "{found:?}");
        let found = outcomes(printed, "SKIP b: there is no disk\n");
        assert_eq!(found.get("a::b"), Some(&Outcome::Skipped));
    }
}
