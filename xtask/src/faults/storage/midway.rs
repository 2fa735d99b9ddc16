//! SIGKILL while a document is being written, at any of its bytes.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Proxy},
    transfer::{FIRST, check_folder, check_names, fill, get, get_command, join_behind},
};
use crate::{
    ci::Outcome,
    cluster::SOON,
    process::Process,
    wait::{self, Look},
};

/// Downloads that are killed.
const KILLS: Amount = Amount { full: 100, short: 3 };

/// A document of eight chunks.
const SIZE: usize = 2 << 20;

/// Bytes a second of the holder, so that there is a midway.
const RATE: u64 = 8 << 20;

/// Kills downloads.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let digests = fill(&cluster.make_folder("shared")?, &[SIZE], &mut bench.dice(0))?;
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "holder", "shared", &[])?;
    cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
    let target = cluster.folder().join("target");
    let mut unfinished = 0;
    for round in 1..=bench.pick(KILLS) {
        let what = || format!("round {round} of seed {}", bench.seed);
        let at = bench.dice(round).below(SIZE as u64);
        proxy.set_all(Conditions {
            rate: Some(RATE),
            ..Conditions::default()
        });
        let command = get_command(&cluster, &[FIRST], &target, &[])?;
        let mut getting = Process::spawn("get", command, &cluster.logs())?;
        wait::until_fine(
            "the byte of the kill",
            2 * Duration::from_secs(SIZE as u64 / RATE) + SOON,
            || {
                let written = written(&target);
                let is_there = written.is_some_and(|written| written > at) || !getting.runs()?;
                Ok(if is_there {
                    Look::Done(())
                } else {
                    Look::NotYet(format!("{written:?} of {at}"))
                })
            },
        )
        .with_context(what)?;
        if getting.runs()? {
            getting.kill()?;
        }
        let named = check_names(&target, &digests).with_context(what)?;
        unfinished += usize::from(written(&target).is_some() && named.is_empty());
        proxy.set_all(Conditions::default());
        get(&cluster, &[FIRST], &target, &[])?
            .expect_code("the next run", 0)
            .with_context(what)?;
        ensure!(
            check_folder(&target, &digests).with_context(what)? == [FIRST],
            "{}: it is not there",
            what()
        );
        fs::remove_dir_all(&target)?;
    }
    finish(cluster)?;
    let all = bench.pick(KILLS);
    ensure!(
        4 * unfinished > all,
        "only {unfinished} of {all} kills struck an unfinished file"
    );
    Ok(Outcome::Passed(format!(
        "killed at any byte of a download: {all} of {all} times no wrong file under a final name, the {unfinished} unfinished ones \
         swept by the next run, which was complete; seed {}",
        bench.seed
    )))
}

/// How long the unfinished file is.
fn written(target: &Path) -> Option<u64> {
    let mut entries = fs::read_dir(target.join(".p2pci-part")).ok()?;
    Some(entries.next()?.ok()?.metadata().ok()?.len())
}
