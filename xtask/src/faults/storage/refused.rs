//! Folders that may not be written or read, and too few file descriptors, as a user whom permissions bind.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;

use crate::faults::{
    Bench, finish,
    transfer::{Digests, FIRST, LONGEST, check_names, fill, get_command, mirror_command},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    process::{self, Finished},
    tools,
};

/// Nobody's user and group id on every Linux.
const AS_NOBODY: [&str; 6] = [
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--",
];

/// Descriptors that a mirror may have open. It has some dozen before it begins.
const DESCRIPTORS: [u32; 4] = [12, 16, 20, 32];

const DOCUMENTS: usize = 40;

/// What a message must fit, with the path that a command adds.
const LONGEST_MESSAGE: usize = 400;

/// Tries folders and limits.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let missing = ["setpriv", "prlimit"].into_iter().find(|tool| !tools::has(tool));
    if let Some(missing) = missing {
        return Ok(Outcome::Skipped(format!("`{missing}` is not installed")));
    }
    let mut cluster = bench.cluster()?;
    let digests = fill(&cluster.make_folder("shared")?, &[2000; DOCUMENTS], &mut bench.dice(0))?;
    cluster.join("holder", "shared")?;
    cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
    // Others may go through the test's folders and run its programs.
    let programs = cluster
        .programs()
        .peer
        .parent()
        .context("a program without a folder")?
        .to_owned();
    for folder in [programs.as_path(), cluster.folder()] {
        set_mode(folder, 0o755)?;
    }
    set_mode(&cluster.folder().join("state"), 0o777)?;
    let mut told = Vec::new();
    for (what, mode) in [("read-only", 0o555), ("closed", 0o000)] {
        let folder = cluster.make_folder(what)?;
        set_mode(&folder, mode)?;
        let nested = folder.join("new");
        for target in [&folder, &nested] {
            let get = get_command(&cluster, &[FIRST], target, &[])?;
            told.push(refused(
                what,
                bound(&cluster, &get),
                &["cannot write into", "choose another folder"],
            )?);
            let mirror = mirror_command(&cluster, target, &[])?;
            told.push(refused(
                what,
                bound(&cluster, &mirror),
                &["cannot write into", "choose another folder"],
            )?);
        }
        set_mode(&folder, 0o755)?;
        ensure!(
            fs::read_dir(&folder)?.next().is_none(),
            "something was left in the {what} folder"
        );
    }
    let unreadable = cluster.make_folder("unreadable")?;
    set_mode(&unreadable, 0)?;
    let mut join = cluster.peer_command()?;
    join.args(["join", "unreadable", "--name", "nobody"]);
    join.env("P2PCI_STATE_DIR", cluster.folder().join("state/nobody"));
    told.push(refused(
        "a shared folder",
        bound(&cluster, &join),
        &["cannot read the folder", "check its permissions"],
    )?);
    let limited = few_descriptors(&cluster, &digests)?;
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "folders that may not be written or read: {} commands ended with exit code 1 and what to do, 0 panics; a mirror with few \
         descriptors: {limited}",
        told.len()
    )))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(|| format!("cannot chmod {}", path.display()))
}

/// A command as a user whom permissions bind.
fn bound(cluster: &Cluster, inner: &Command) -> Command {
    if !geteuid().is_root() {
        return within(cluster, "env", &[], inner);
    }
    within(cluster, "setpriv", &AS_NOBODY, inner)
}

/// A command run by another one.
fn within(cluster: &Cluster, outer: &str, options: &[&str], inner: &Command) -> Command {
    let mut command = Command::new(outer);
    command.args(options).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(cluster.folder());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn refused(what: &str, command: Command, words: &[&str]) -> Result<Finished> {
    let done = process::run(what, command, SOON)?.expect_code(what, 1)?;
    let said = done.stderr.trim();
    ensure!(
        words.iter().all(|word| said.contains(word)) && !said.contains("panicked") && said.len() <= LONGEST_MESSAGE,
        "{what}: it said {said:?}"
    );
    Ok(done)
}

/// Mirrors with fewer and fewer descriptors: it completes, or says why not.
fn few_descriptors(cluster: &Cluster, digests: &Digests) -> Result<String> {
    let mut figures = Vec::new();
    for limit in DESCRIPTORS {
        let target = cluster.folder().join(format!("limited-{limit}"));
        let inner = mirror_command(cluster, &target, &["--no-share"])?;
        let option = format!("--nofile={limit}");
        let done = process::run("peer mirror", within(cluster, "prlimit", &[&option], &inner), LONGEST)?;
        ensure!(
            !done.stderr.contains("panicked"),
            "with {limit} it panicked: {}",
            done.stderr
        );
        let found = check_names(&target, digests)?.len();
        let is_told = !done.stderr.trim().is_empty();
        ensure!(
            matches!(done.code(), 0 | 1 | 4 | 6) && (done.code() == 0) == (found == digests.len()),
            "with {limit}: exit code {}, {found} documents: {}",
            done.code(),
            done.stderr
        );
        ensure!(done.code() == 0 || is_told, "with {limit} it said nothing");
        figures.push(format!(
            "{limit}: {found} of {} and exit code {}",
            digests.len(),
            done.code()
        ));
    }
    Ok(figures.join(", "))
}
