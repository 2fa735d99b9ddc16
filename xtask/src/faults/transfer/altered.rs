//! One bit flipped on the way, anywhere among the bytes of a connection.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    AT_ONCE, Digests, FIRST, LONGEST, at_once, check_folder, copy_folder, detours, fill, get, join_behind,
    mirror_command,
};
use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Flip, Proxy},
    slowest,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    process, wait,
};

/// Connections with a flipped bit, of downloads that can be had elsewhere.
const FLIPS: Amount = Amount { full: 1000, short: 20 };

/// Downloads with a flipped bit that can be had nowhere else.
const ALONE: Amount = Amount { full: 200, short: 6 };

/// Mirrors with a flipped bit.
const MIRRORS: Amount = Amount { full: 60, short: 4 };

/// Documents, of which each is a connection of its own for `get`.
const DOCUMENTS: usize = 160;

/// How long a document is.
const SIZE: usize = 3000;

/// Where the altered bytes come from, and where the honest ones.
const NAMES: [&str; 2] = ["altered", "honest"];

/// What a connection of some kind carries when nothing is altered.
#[derive(Debug, Clone, Copy)]
struct Volume {
    up: u64,
    down: u64,
}

/// Flips bits of downloads with and without another holder, and of mirrors.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let folder = cluster.make_folder("altered")?;
    let digests = fill(&folder, &[SIZE; DOCUMENTS], &mut bench.dice(0))?;
    copy_folder(&cluster, &folder, "honest")?;
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "altered", "altered", &[])?;
    cluster.join("honest", "honest")?;
    cluster.wait_for_holders(FIRST, &NAMES, SOON)?;
    let seed = bench.seed;
    let figures = flip_all(bench, &cluster, &proxy, &digests).with_context(|| format!("with seed {seed}"))?;
    finish(cluster)?;
    Ok(Outcome::Passed(format!("{figures}; seed {seed}")))
}

fn flip_all(bench: &Bench, cluster: &Cluster, proxy: &Proxy, digests: &Digests) -> Result<String> {
    let volume = measure(cluster, proxy)?;
    let elsewhere = with_another(bench, cluster, proxy, digests, volume)?;
    let alone = alone(bench, cluster, proxy, digests, volume)?;
    let mirrors = mirrors(bench, cluster, proxy, digests)?;
    Ok(format!("{elsewhere}; {alone}; {mirrors}"))
}

/// Flips a bit of every connection from now on, anywhere among the bytes that one of this volume has.
fn flip_each(bench: &Bench, proxy: &Proxy, volume: Volume, round: usize) {
    let dice = Arc::new(Mutex::new(bench.dice(round)));
    proxy.set(move || {
        let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
        Conditions {
            flip: Some(Flip::anywhere(&mut dice, volume.up, volume.down)),
            ..Conditions::default()
        }
    });
}

/// What one download carries.
fn measure(cluster: &Cluster, proxy: &Proxy) -> Result<Volume> {
    proxy.set_all(Conditions::default());
    let target = tempfile::tempdir()?;
    get(cluster, &[FIRST], target.path(), &["--from", "altered"])?.expect_code("an unaltered download", 0)?;
    let (up, down) = (proxy.up_bytes(), proxy.down_bytes());
    ensure!(
        down > SIZE as u64 && up > 0 && proxy.connections() == 1,
        "the proxy was not used"
    );
    Ok(Volume { up, down })
}

fn with_another(bench: &Bench, cluster: &Cluster, proxy: &Proxy, digests: &Digests, volume: Volume) -> Result<String> {
    flip_each(bench, proxy, volume, 1);
    let wanted = bench.pick(FLIPS) as u64;
    let numbers: Vec<u32> = digests.keys().copied().collect();
    let (mut downloads, mut noticed, mut took) = (0, 0, Vec::new());
    while proxy.faults() < wanted {
        wait::check_interrupt()?;
        let share = numbers.len().div_ceil(AT_ONCE);
        let batch = |numbers: &[u32]| -> Result<(usize, Duration)> {
            let (target, start) = (tempfile::tempdir()?, wait::now());
            let done = get(cluster, numbers, target.path(), &[])?.expect_code("peer get, with another holder", 0)?;
            let found = check_folder(target.path(), digests)?;
            ensure!(found == numbers, "{} of {} documents came", found.len(), numbers.len());
            Ok((detours(&done), start.elapsed()))
        };
        for done in at_once(numbers.chunks(share), batch)? {
            noticed += done.0;
            took.push(done.1);
        }
        downloads += numbers.len();
    }
    ensure!(
        noticed * 2 > proxy.faults() as usize,
        "only {noticed} flips made a difference"
    );
    Ok(format!(
        "{} flips in {downloads} downloads with an honest second holder: 0 accepted, all whole, {noticed} from the other one, \
         {share} downloads in a row took {} at most",
        proxy.faults(),
        slowest(&took),
        share = numbers.len().div_ceil(AT_ONCE),
    ))
}

/// Without another holder each command gets one document: it comes whole, or the exit code tells and nothing is there.
fn alone(bench: &Bench, cluster: &Cluster, proxy: &Proxy, digests: &Digests, volume: Volume) -> Result<String> {
    flip_each(bench, proxy, volume, 2);
    let numbers: Vec<u32> = digests.keys().copied().cycle().take(bench.pick(ALONE)).collect();
    let one = |number: &u32| -> Result<usize> {
        let target = tempfile::tempdir()?;
        let done = get(cluster, &[*number], target.path(), &["--from", "altered"])?;
        let found = check_folder(target.path(), digests)?;
        match done.code() {
            0 => ensure!(found == [*number], "exit code 0 and {found:?} saved"),
            4 | 5 => ensure!(found.is_empty(), "exit code {} and {found:?} saved", done.code()),
            _ => drop(done.expect_code("peer get, without another holder", 5)?),
        }
        Ok(found.len())
    };
    let whole: usize = at_once(numbers.iter(), one)?.into_iter().sum();
    ensure!(whole < numbers.len() / 2, "{whole} flips made no difference");
    Ok(format!(
        "{} flips without another holder: {whole} harmless, else exit code 4 or 5 and no file",
        proxy.faults()
    ))
}

fn mirrors(bench: &Bench, cluster: &Cluster, proxy: &Proxy, digests: &Digests) -> Result<String> {
    let mut took = Vec::new();
    let mut flips = 0;
    for (kind, compress) in ["never", "always"].into_iter().enumerate() {
        proxy.set_all(Conditions::default());
        mirror(cluster, digests, compress)?;
        // Who gives how much differs from run to run; what lies beyond is not flipped.
        let volume = Volume {
            up: proxy.up_bytes(),
            down: proxy.down_bytes(),
        };
        ensure!(volume.down > SIZE as u64, "the proxy was not used");
        flip_each(bench, proxy, volume, 3 + kind);
        for _ in 0..bench.pick(MIRRORS) / 2 {
            let start = wait::now();
            mirror(cluster, digests, compress)?;
            took.push(start.elapsed());
        }
        flips += proxy.faults();
    }
    ensure!(
        4 * flips as usize > took.len(),
        "only {flips} bits were flipped in {} mirrors",
        took.len()
    );
    Ok(format!(
        "{flips} flips in {} mirrors, half of them compressed: all whole, slowest {}",
        took.len(),
        slowest(&took)
    ))
}

fn mirror(cluster: &Cluster, digests: &Digests, compress: &str) -> Result<()> {
    let target = tempfile::tempdir()?;
    let command = mirror_command(cluster, target.path(), &["--no-share", "--compress", compress])?;
    process::run("peer mirror", command, LONGEST)?.expect_code("peer mirror", 0)?;
    all_there(target.path(), digests)
}

fn all_there(folder: &Path, digests: &Digests) -> Result<()> {
    let found = check_folder(folder, digests)?;
    if found.len() != digests.len() {
        bail!("{} of {} documents came", found.len(), digests.len());
    }
    Ok(())
}
