//! `cargo xtask mutants`: whether the tests notice when a guard is gone.
//!
//! Each file in `xtask/mutants` is a patch that breaks one guard of the product, and names the tests that must turn red.
//! It is applied to a copy of the workspace, so that the product has no switch for any of this. A test that passes
//! although its guard is broken proves nothing, and fails this command.

mod copy;
mod named;
mod patch;
mod trial;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Result, bail};
use clap::Args;

use self::{
    copy::Copy,
    patch::{Patch, Program, Suite},
    trial::Outcome as Ended,
};
use crate::{ci::Outcome, console, tools, wait, workspace};

/// Which patches are tried.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these, by the names of their files; all without one
    names: Vec<String>,
}

/// What became of a patch.
#[derive(Debug)]
enum Verdict {
    /// Every test that it names failed.
    Caught,
    /// These passed although the guard is broken.
    Missed(Vec<String>),
    /// These cannot be tried on this machine, and no other one passed.
    Skipped(Vec<String>),
    /// It could not be tried.
    Unfit(anyhow::Error),
}

/// Tries the patches, all of them even when one is missed.
pub fn run(options: &Options) -> Result<Outcome> {
    if !tools::has("git") {
        return Ok(Outcome::Skipped("git is not installed".into()));
    }
    let patches = chosen(patch::read_all(&workspace::root())?, &options.names)?;
    let complaints = complaints(&workspace::root(), &patches)?;
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    let start = wait::now();
    let copy = Copy::make(&workspace::root())?;
    let took = check_unpatched(&copy, &patches)?;
    println!(
        "every test that is named passes without a patch ({})",
        console::seconds(took)
    );
    let mut tally = Tally::default();
    for patch in &patches {
        let begun = wait::now();
        let verdict = attempt(&copy, patch).unwrap_or_else(Verdict::Unfit);
        wait::check_interrupt()?;
        let (word, text) = tally.note(verdict, patch);
        let took = console::seconds(begun.elapsed());
        println!("{word} {:<24} {took:>9}  {text}", patch.name);
    }
    tally.summarize(start.elapsed())
}

/// How many patches came to which end.
#[derive(Debug, Default)]
struct Tally {
    caught: usize,
    missed: usize,
    skipped: usize,
    unfit: usize,
}

impl Tally {
    /// Counts a patch, and returns what is told of it.
    fn note(&mut self, verdict: Verdict, patch: &Patch) -> (&'static str, String) {
        let (count, word, text) = match verdict {
            Verdict::Caught => (&mut self.caught, "caught", names(patch)),
            Verdict::Missed(passed) => (&mut self.missed, "MISSED", format!("passed: {}", passed.join(", "))),
            Verdict::Skipped(tests) => (&mut self.skipped, "SKIP  ", tests.join(", ")),
            Verdict::Unfit(error) => (&mut self.unfit, "ERROR ", format!("{error:#}")),
        };
        *count += 1;
        (word, text)
    }

    fn summarize(&self, took: Duration) -> Result<Outcome> {
        let mut summary = format!("{} caught, {} missed", self.caught, self.missed);
        for (count, what) in [(self.skipped, "skipped"), (self.unfit, "that could not be tried")] {
            if count > 0 {
                summary = format!("{summary}, {count} {what}");
            }
        }
        if self.missed + self.unfit > 0 {
            bail!("{summary}");
        }
        Ok(Outcome::Passed(format!("{summary} in {}", console::seconds(took))))
    }
}

fn chosen(mut patches: Vec<Patch>, names: &[String]) -> Result<Vec<Patch>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| patches.iter().all(|patch| patch.name != **name))
    {
        let known: Vec<&str> = patches.iter().map(|patch| patch.name.as_str()).collect();
        bail!("there is no patch {unknown}; there are {}", known.join(", "));
    }
    patches.retain(|patch| names.is_empty() || names.contains(&patch.name));
    Ok(patches)
}

/// Patches that the workspace has outgrown: which do not apply any more, if git can tell, or name a test that is gone.
fn complaints(root: &Path, patches: &[Patch]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for patch in patches {
        if tools::has("git")
            && let Err(error) = copy::check(root, patch)
        {
            complaints.push(format!("{}: {error:#}", patch.name));
        }
        complaints.extend(named::missing(root, patch)?);
    }
    Ok(complaints)
}

/// Runs every test that is named on the copy as it is: one that fails anyway would tell nothing.
fn check_unpatched(copy: &Copy, patches: &[Patch]) -> Result<Duration> {
    let mut suites: BTreeMap<Program, Vec<String>> = BTreeMap::new();
    for suite in patches.iter().flat_map(|patch| &patch.red) {
        suites
            .entry(suite.program.clone())
            .or_default()
            .extend(suite.tests.clone());
    }
    let start = wait::now();
    for (program, mut tests) in suites {
        tests.sort();
        tests.dedup();
        trial::build_visibly(copy, &program)?;
        let suite = Suite { program, tests };
        let failed = with(&trial::run(copy, &suite)?, Ended::Failed);
        if !failed.is_empty() {
            bail!("without a patch these fail as well: {}", failed.join(", "));
        }
    }
    Ok(start.elapsed())
}

/// Applies a patch, builds and runs what it names, and takes it back, whatever came of it.
fn attempt(copy: &Copy, patch: &Patch) -> Result<Verdict> {
    copy.apply(patch)?;
    let verdict = judge(copy, patch);
    wait::although_interrupted(|| copy.revert(patch)).and(verdict)
}

fn judge(copy: &Copy, patch: &Patch) -> Result<Verdict> {
    let (mut passed, mut skipped) = (Vec::new(), Vec::new());
    for suite in &patch.red {
        trial::build(copy, &suite.program)?;
        let outcomes = trial::run(copy, suite)?;
        passed.extend(with(&outcomes, Ended::Passed));
        skipped.extend(with(&outcomes, Ended::Skipped));
    }
    Ok(match (passed.is_empty(), skipped.is_empty()) {
        (false, _) => Verdict::Missed(passed),
        (true, false) => Verdict::Skipped(skipped),
        (true, true) => Verdict::Caught,
    })
}

/// The tests that ended like this.
fn with(outcomes: &BTreeMap<String, Ended>, wanted: Ended) -> Vec<String> {
    let of_kind = outcomes.iter().filter(|(_, ended)| **ended == wanted);
    of_kind.map(|(name, _)| name.clone()).collect()
}

fn names(patch: &Patch) -> String {
    let of_suite = |suite: &Suite| format!("{}: {}", suite.program.label(), suite.tests.join(", "));
    let suites: Vec<String> = patch.red.iter().map(of_suite).collect();
    suites.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_applies_and_names_tests_that_exist() {
        let root = workspace::root();
        let patches = patch::read_all(&root).unwrap();
        assert!(!patches.is_empty(), "no patch is found");
        let complaints = complaints(&root, &patches).unwrap();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    #[test]
    fn patches_are_chosen_by_name() {
        let all = || patch::read_all(&workspace::root()).unwrap();
        let first = all().remove(0).name;
        let only = chosen(all(), std::slice::from_ref(&first)).unwrap();
        assert_eq!(only.iter().map(|patch| &patch.name).collect::<Vec<_>>(), [&first]);
        assert_eq!(chosen(all(), &[]).unwrap().len(), all().len());
        let error = chosen(all(), &["no-such".to_owned()]).unwrap_err();
        assert!(error.to_string().contains(&first), "{error}");
    }
}
