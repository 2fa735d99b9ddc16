//! SIGKILL at each step by which a document gets to the disk, at the very system call: strace delivers it there.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::faults::{
    Amount, Bench, finish,
    proxy::Dice,
    transfer::{Digests, LONGEST, check_folder, check_names, fill, get_command, mirror_command},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    process::{self, Finished},
    tools, wait,
};

/// Kills at each step.
const KILLS: Amount = Amount { full: 100, short: 1 };

/// How often a call is aimed at for one kill: threads share the work differently in each run.
const TRIES: usize = 40;

/// Documents: so many that the threads that write make more calls than those that start the program.
const DOCUMENTS: usize = 48;

/// Some are a few chunks, some less than a page.
const SIZES: [usize; 4] = [300, 3000, 700_000, 90_000];

/// A step, and the system calls that it may be made of, as strace shows them with the paths of descriptors.
pub(super) struct Step {
    pub(super) name: &'static str,
    calls: &'static str,
    /// The folder of those calls that are counted, within the cluster's; all of them, if there is none.
    within: Option<&'static str>,
    pub(super) is_it: fn(&str) -> bool,
    pub(super) commands: &'static [Asked],
}

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// `get`, which forces each file to the disk.
    Get,
    /// `mirror`, which does so too, and shares the folder.
    MirrorEach,
    /// `mirror`, which forces all files to the disk in the end.
    Mirror,
}

const BOTH: &[Asked] = &[Asked::Get, Asked::MirrorEach];

pub(super) const STEPS: [Step; 7] = [
    Step {
        name: "create",
        calls: "openat",
        within: Some("target/.p2pci-part"),
        is_it: |line| line.contains(".p2pci-part>, \"rfc") && line.contains("O_CREAT"),
        commands: &[Asked::Get, Asked::MirrorEach, Asked::Mirror],
    },
    Step {
        name: "write",
        calls: "writev",
        within: None,
        is_it: |line| first_argument(line).ends_with(".part>"),
        commands: &[Asked::MirrorEach, Asked::Mirror],
    },
    Step {
        name: "force the file to the disk",
        calls: "fsync",
        within: None,
        is_it: |line| first_argument(line).contains(".part>"),
        commands: BOTH,
    },
    Step {
        name: "name",
        calls: "renameat2",
        within: None,
        is_it: |line| line.contains(".part\""),
        commands: &[Asked::Get, Asked::MirrorEach, Asked::Mirror],
    },
    Step {
        name: "force the folder to the disk",
        calls: "fsync",
        within: None,
        is_it: |line| first_argument(line).contains("/target>"),
        commands: BOTH,
    },
    Step {
        name: "take note",
        calls: "newfstatat",
        within: Some("target"),
        is_it: |line| first_argument(line).ends_with("/target>") && line.contains("\"rfc"),
        commands: &[Asked::Get, Asked::MirrorEach, Asked::Mirror],
    },
    Step {
        name: "force all to the disk",
        calls: "syncfs",
        within: None,
        is_it: |_| true,
        commands: &[Asked::Mirror],
    },
];

/// What stands between the first parenthesis and the first comma, or the closing parenthesis.
fn first_argument(line: &str) -> &str {
    let arguments = line.split_once('(').map_or("", |(_, arguments)| arguments);
    arguments.split([',', ')', ' ']).next().unwrap_or_default()
}

/// Kills at every step, again and again.
pub fn run(bench: &Bench) -> Result<Outcome> {
    if let Some(reason) = refusal()? {
        return Ok(Outcome::Skipped(reason));
    }
    let (cluster, digests) = prepare(bench)?;
    let mut kills = 0;
    for (index, step) in STEPS.iter().enumerate() {
        let mut aims: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (at, asked) in step.commands.iter().enumerate() {
            aims.insert(at, observe(&cluster, step, *asked, &digests)?);
        }
        for round in 0..bench.pick(KILLS) {
            let mut dice = bench.dice(1 + index + STEPS.len() * round);
            let at = usize::try_from(dice.below(step.commands.len() as u64))?;
            let (Some(asked), Some(aims)) = (step.commands.get(at), aims.get(&at)) else {
                continue;
            };
            let what = || {
                format!(
                    "{asked:?} killed at `{}`, round {round} of seed {}",
                    step.name, bench.seed
                )
            };
            kill(&cluster, step, *asked, &digests, aims, &mut dice).with_context(what)?;
            kills += 1;
        }
    }
    finish(cluster)?;
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    Ok(Outcome::Passed(format!(
        "killed at each of {} steps ({}): {kills} of {} times no wrong file under a final name, the next run complete and nothing \
         left over; seed {}",
        STEPS.len(),
        names.join(", "),
        STEPS.len() * bench.pick(KILLS),
        bench.seed
    )))
}

/// A holder with documents of several sizes.
pub(super) fn prepare(bench: &Bench) -> Result<(Cluster, Digests)> {
    let mut cluster = bench.cluster()?;
    let sizes: Vec<usize> = SIZES.into_iter().cycle().take(DOCUMENTS).collect();
    let digests = fill(&cluster.make_folder("shared")?, &sizes, &mut bench.dice(0))?;
    cluster.join("holder", "shared")?;
    let last = digests.keys().last().copied().unwrap_or_default();
    cluster.wait_for_holders(last, &["holder"], SOON)?;
    Ok((cluster, digests))
}

pub(super) fn refusal() -> Result<Option<String>> {
    if !tools::has("strace") {
        return Ok(Some("`strace` is not installed".to_owned()));
    }
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-o",
        "/dev/null",
        "-e",
        "inject=syncfs:signal=KILL:when=1",
        "true",
    ]);
    let tried = process::run("strace", command, SOON)?;
    Ok((tried.code() != 0).then(|| "strace may not trace here, or cannot inject signals".to_owned()))
}

fn command(cluster: &Cluster, asked: Asked, digests: &Digests) -> Result<Command> {
    let target = cluster.folder().join("target");
    let numbers: Vec<u32> = digests.keys().copied().collect();
    match asked {
        Asked::Get => get_command(cluster, &numbers, &target, &["--durability", "file"]),
        Asked::MirrorEach => mirror_command(cluster, &target, &["--durability", "file"]),
        Asked::Mirror => mirror_command(cluster, &target, &["--durability", "end"]),
    }
}

/// Runs a command under strace, which may be told to strike a call of the step, by the words that it has for that
/// (`signal=KILL`), the so-manieth of its thread. Returns how the command ended and what strace saw.
pub(super) fn trace(
    cluster: &Cluster,
    step: &Step,
    asked: Asked,
    digests: &Digests,
    strike: Option<(&str, u64)>,
) -> Result<(Finished, String)> {
    let log = cluster.folder().join("trace");
    let inner = command(cluster, asked, digests)?;
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-s", "64", "-o"]).arg(&log);
    traced.args(["-e", &format!("trace={}", step.calls)]);
    if let Some(folder) = step.within {
        traced.arg("-P").arg(cluster.folder().join(folder));
    }
    if let Some((how, at)) = strike {
        traced.args(["-e", &format!("inject={}:{how}:when={at}", step.calls)]);
    }
    traced.arg(inner.get_program()).args(inner.get_args());
    traced.current_dir(cluster.folder());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let done = process::run("strace", traced, LONGEST)?;
    let seen = fs::read_to_string(&log).context("strace wrote no log")?;
    Ok((done, seen))
}

/// Every call that begins in a log of strace, and which one it is of its thread: strace counts for each thread.
fn calls(log: &str) -> impl Iterator<Item = (u64, &str)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    log.lines().filter_map(move |line| {
        let (thread, call) = line.split_once(' ')?;
        let call = call.trim_start();
        if !call.starts_with(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        let count = counts.entry(thread).or_default();
        *count += 1;
        Some((*count, call))
    })
}

/// The counts that a thread reached first by a call of this step: a kill aimed at one of them strikes there, if the threads
/// share the work alike the next time.
fn places(log: &str, step: &Step) -> Vec<u64> {
    let mut reached = BTreeMap::new();
    for (at, call) in calls(log) {
        reached.entry(at).or_insert_with(|| (step.is_it)(call));
    }
    reached
        .into_iter()
        .filter_map(|(at, is_it)| is_it.then_some(at))
        .collect()
}

/// Runs a command undisturbed, and tells where the step was among the calls of its threads.
pub(super) fn observe(cluster: &Cluster, step: &Step, asked: Asked, digests: &Digests) -> Result<Vec<u64>> {
    let target = cluster.folder().join("target");
    for _ in 0..TRIES {
        let (done, seen) = trace(cluster, step, asked, digests, None)?;
        done.expect_code("undisturbed", 0)?;
        let found = check_folder(&target, digests)?;
        ensure!(found.len() == digests.len(), "undisturbed, {asked:?} saved {found:?}");
        fs::remove_dir_all(&target)?;
        let places = places(&seen, step);
        if !places.is_empty() {
            return Ok(places);
        }
    }
    bail!(
        "{asked:?} was not seen to {} before other threads had done as much",
        step.name
    )
}

/// Kills a command at the step, looks at what is there, and runs it again.
fn kill(cluster: &Cluster, step: &Step, asked: Asked, digests: &Digests, aims: &[u64], dice: &mut Dice) -> Result<()> {
    let target = cluster.folder().join("target");
    for _ in 0..TRIES {
        wait::check_interrupt()?;
        let aim = dice.pick(aims).copied().unwrap_or(1);
        let (done, seen) = trace(cluster, step, asked, digests, Some(("signal=KILL", aim)))?;
        let struck = calls(&seen).find(|(at, _)| *at == aim).map(|(_, call)| call);
        let is_killed = done.code() != 0 && seen.contains("killed by SIGKILL");
        check_all(cluster, asked, digests, &target)?;
        if is_killed && struck.is_some_and(step.is_it) {
            return Ok(());
        }
    }
    bail!("the kill never struck this step")
}

/// Checks what a kill has left, and that the next run completes it.
pub(super) fn check_all(cluster: &Cluster, asked: Asked, digests: &Digests, target: &Path) -> Result<()> {
    check_names(target, digests).context("after the kill")?;
    process::run("the next run", command(cluster, asked, digests)?, LONGEST)?.expect_code("the next run", 0)?;
    let found = check_folder(target, digests).context("after the next run")?;
    ensure!(found.len() == digests.len(), "the next run left only {found:?}");
    fs::remove_dir_all(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_for_each_thread_and_told_apart() {
        let log = "7 openat(3</a/.p2pci-part>, \"rfc1.txt.0.part\", O_RDWR|O_CREAT) = 4\n\
                   8  fsync(4</a/.p2pci-part/rfc1.txt.0.part> <unfinished ...>\n\
                   7 fsync(5</a/target>) = 0\n\
                   8  <... fsync resumed>) = 0\n\
                   8 +++ killed by SIGKILL +++\n";
        let found: Vec<(u64, &str)> = calls(log).map(|(at, call)| (at, first_argument(call))).collect();
        let part = "4</a/.p2pci-part/rfc1.txt.0.part>";
        assert_eq!(found, [(1, "3</a/.p2pci-part>"), (1, part), (2, "5</a/target>")]);
        let of = |index: usize| -> Vec<bool> {
            let step = &STEPS[index];
            calls(log).map(|(_, call)| (step.is_it)(call)).collect()
        };
        assert_eq!(of(0), [true, false, false]);
        assert_eq!(of(2), [false, true, false]);
        assert_eq!(of(4), [false, false, true]);
        assert_eq!(places(log, &STEPS[0]), [1]);
        assert_eq!(places(log, &STEPS[2]), [0; 0]);
        assert_eq!(places(log, &STEPS[4]), [2]);
    }
}
