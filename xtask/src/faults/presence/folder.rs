//! A shared folder that changes: whatever happens to a file is in the index soon after.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;

use crate::faults::{Amount, Bench, Found, find, finish, slowest, write_document};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    documents,
    wait::{self, Look},
};

/// Changes of each kind to a shared folder.
const CHANGES: Amount = Amount { full: 20, short: 3 };

/// How soon the registry must know.
const SEEN_LIMIT: Duration = Duration::from_secs(2);

const FIRST: u32 = 20_001;
const MOVED: u32 = 30_001;

/// What happened, and how long it took to be seen each time.
type Figures = [(&'static str, Vec<Duration>); 5];

/// A document's number, and the digest that the index should have for it, if any.
type Wanted = (u32, Option<String>);

/// Adds, changes and removes files.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let (shared, desk) = (cluster.make_folder("shared")?, cluster.make_folder("desk")?);
    cluster.join("alice", "shared")?;
    cluster.wait_for_peers("alice to be reachable", SOON, |rows| {
        rows.iter().any(|row| row.reachability == "reachable")
    })?;
    let mut figures: Figures = ["added", "changed", "replaced", "moved in", "removed"].map(|what| (what, Vec::new()));
    for (round, number) in (0..bench.pick(CHANGES)).zip(FIRST..) {
        let moved = MOVED + (number - FIRST);
        let target = shared.join(format!("rfc{number}.txt"));
        let steps: [&dyn Fn() -> Result<Wanted>; 5] = [
            &|| {
                let made = write_document(&desk, number, &format!("{round}, the first"))?;
                documents::copy_into(&made, &shared)?;
                Ok((number, Some(documents::sha256(&target)?)))
            },
            &|| {
                write_document(&shared, number, &format!("{round}, the second"))?;
                Ok((number, Some(documents::sha256(&target)?)))
            },
            &|| {
                let made = write_document(&desk, number, &format!("{round}, the third, which is longer"))?;
                fs::rename(made, &target)?;
                Ok((number, Some(documents::sha256(&target)?)))
            },
            &|| {
                let made = write_document(&desk, moved, "one more")?;
                let moved_to = shared.join(format!("rfc{moved}.txt"));
                fs::rename(made, &moved_to)?;
                Ok((moved, Some(documents::sha256(&moved_to)?)))
            },
            &|| {
                fs::remove_file(&target)?;
                Ok((number, None))
            },
        ];
        for ((what, took), step) in figures.iter_mut().zip(steps) {
            let (number, digest) = step()?;
            took.push(wait_for_version(&cluster, what, number, digest)?);
        }
    }
    check_folder(&shared, bench.pick(CHANGES))?;
    finish(cluster)?;
    let figures: Vec<String> = figures
        .iter()
        .map(|(what, took)| format!("{what} {}", slowest(took)))
        .collect();
    Ok(Outcome::Passed(format!(
        "files seen within {} s, {} times each; slowest: {}",
        SEEN_LIMIT.as_secs(),
        bench.pick(CHANGES),
        figures.join(", ")
    )))
}

/// Waits until the index has exactly this version of a document, held by alice, or none.
fn wait_for_version(cluster: &Cluster, what: &str, number: u32, digest: Option<String>) -> Result<Duration> {
    let wanted: Found = digest
        .map(|digest| (digest, vec!["alice".to_owned()]))
        .into_iter()
        .collect();
    let ((), took) = wait::until_dear(&format!("a file to be seen that was {what}"), SEEN_LIMIT, || {
        let found = find(cluster, number)?;
        Ok(if found == wanted {
            Look::Done(())
        } else {
            Look::NotYet(format!("{found:?} instead of {wanted:?}"))
        })
    })?;
    Ok(took)
}

/// A peer changes nothing in the folder that it shares.
fn check_folder(shared: &Path, rounds: usize) -> Result<()> {
    let count = fs::read_dir(shared)?.count();
    anyhow::ensure!(
        count == rounds,
        "{count} entries in a folder that should hold {rounds} files"
    );
    Ok(())
}
