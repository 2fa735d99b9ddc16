//! Connections that end too soon, and networks that delay, slice and cut.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{Digests, FIRST, at_once, check_folder, copy_folder, fill, get, join_behind};
use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Dice, Ending, Proxy},
    slowest,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    wait,
};

/// Downloads that are cut in each of the ways.
const CUTS: Amount = Amount { full: 100, short: 4 };

/// Downloads through a bad network.
const GETS: Amount = Amount { full: 500, short: 24 };

/// A few chunks.
const SIZE: usize = 600_000;

/// One piece of a chunk.
const SMALL: usize = 2000;

/// Bytes of a chunk.
const CHUNK: u64 = 256 << 10;

/// How much the last frames take, those that say that all went well among them.
const END_BYTES: u64 = 150;

/// Downloads of one command.
const IN_A_ROW: usize = 4;

/// Documents.
const DOCUMENTS: usize = 20;

/// How much later bytes arrive on connections that are delayed.
const DELAY: Duration = Duration::from_millis(500);

/// How many in a hundred must succeed where no path is clean.
const ENOUGH_PERCENT: usize = 99;

/// Where a connection ends.
#[derive(Debug, Clone, Copy)]
enum Where {
    Anywhere,
    /// Within the first chunk.
    FirstChunk,
    /// Within the last chunk of bytes, or what follows it.
    NearTheEnd,
}

/// Each way in which a connection ends too soon.
const WAYS: [(&str, Ending, Where); 5] = [
    ("closed anywhere", Ending::Closed, Where::Anywhere),
    ("reset anywhere", Ending::Reset, Where::Anywhere),
    ("closed at the end", Ending::Closed, Where::NearTheEnd),
    ("reset at the end", Ending::Reset, Where::NearTheEnd),
    ("closed within the first chunk", Ending::Closed, Where::FirstChunk),
];

/// Cuts every connection to the only holder.
pub fn short(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let digests = fill(&cluster.make_folder("shared")?, &[SIZE; DOCUMENTS], &mut bench.dice(0))?;
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "holder", "shared", &[])?;
    cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
    proxy.set_all(Conditions::default());
    let target = tempfile::tempdir()?;
    get(&cluster, &[FIRST], target.path(), &[])?.expect_code("an uncut download", 0)?;
    let total = proxy.down_bytes();
    let (mut tried, mut whole, mut cuts) = (0, 0, 0);
    for (index, (name, how, place)) in WAYS.into_iter().enumerate() {
        let mut dice = bench.dice(1 + index);
        proxy.set(move || {
            let at = match place {
                Where::FirstChunk => dice.below(CHUNK),
                Where::Anywhere => dice.below(total),
                Where::NearTheEnd => total - 1 - dice.below(END_BYTES),
            };
            Conditions {
                ending: Some((at, how)),
                ..Conditions::default()
            }
        });
        let (asked, came) =
            cut_all(bench, &cluster, &digests).with_context(|| format!("{name}, seed {}", bench.seed))?;
        tried += asked;
        whole += came;
        cuts += proxy.faults();
    }
    // One that carries a few bytes less ends by itself before the very end.
    ensure!(
        10 * cuts as usize >= 9 * tried,
        "only {cuts} of {tried} connections were cut"
    );
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "{cuts} connections cut in {} ways, without another holder: 0 files that are not whole; {whole} of {tried} had all bytes \
         already; seed {}",
        WAYS.len(),
        bench.seed
    )))
}

/// Downloads while every connection is cut; returns how many were tried, and how many came nevertheless.
fn cut_all(bench: &Bench, cluster: &Cluster, digests: &Digests) -> Result<(usize, usize)> {
    let numbers: Vec<u32> = digests.keys().copied().cycle().take(bench.pick(CUTS)).collect();
    let batches = numbers.chunks(IN_A_ROW);
    let came = at_once(batches, |numbers| {
        let target = tempfile::tempdir()?;
        let done = get(cluster, numbers, target.path(), &[])?;
        let found = check_folder(target.path(), digests)?;
        let code = match found.len() {
            0 => 4,
            all if all == numbers.len() => 0,
            _ => 6,
        };
        done.expect_code("peer get, of cut connections", code)?;
        Ok(found.len())
    })?;
    Ok((numbers.len(), came.into_iter().sum()))
}

/// Delays, slices and cuts, with a clean path and without one.
pub fn bad_network(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let names = ["alice", "bob", "carol"];
    let folder = cluster.make_folder("alice")?;
    let digests = fill(&folder, &[SMALL; DOCUMENTS], &mut bench.dice(0))?;
    let proxies = [Proxy::open()?, Proxy::open()?, Proxy::open()?];
    for (name, proxy) in names.into_iter().zip(&proxies) {
        if name != "alice" {
            copy_folder(&cluster, &folder, name)?;
        }
        join_behind(&mut cluster, proxy, name, name, &[])?;
    }
    cluster.wait_for_holders(FIRST, &names, SOON)?;
    let mut figures = Vec::new();
    for (round, clean) in [1, 0].into_iter().enumerate() {
        for (index, proxy) in proxies.iter().enumerate() {
            let dice = Arc::new(Mutex::new(bench.dice(10 * round + index)));
            let is_clean = index < clean;
            proxy.set(move || if is_clean { Conditions::default() } else { bad(&dice) });
        }
        let what = || format!("{clean} of 3 paths clean, seed {}", bench.seed);
        let Tried {
            came,
            tried,
            took,
            told,
        } = all(bench, &cluster, &digests).with_context(what)?;
        let cuts: u64 = proxies.iter().map(Proxy::faults).sum();
        ensure!(cuts > 0 || tried < 100, "nothing was cut");
        let enough = if clean > 0 {
            tried
        } else {
            // All three may be cut off one after the other: once in a thousand, which few tries must bear as well.
            (tried * ENOUGH_PERCENT / 100).min(tried.saturating_sub(1))
        };
        let text = format!(
            "{came} of {tried} with {clean} of 3 paths clean, {cuts} cuts, slowest command {}",
            slowest(&took)
        );
        ensure!(
            came >= enough,
            "too few downloads succeeded: {text}; seed {}; {told}",
            bench.seed
        );
        figures.push(text);
    }
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "1 to 7 bytes at a time, 500 ms late, one connection in ten cut in mid-frame: {}; seed {}",
        figures.join("; "),
        bench.seed
    )))
}

/// What befalls a connection: one in ten is cut, of the others one in three each is delayed or sliced.
fn bad(dice: &Mutex<Dice>) -> Conditions {
    let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
    let mut conditions = Conditions::default();
    match dice.below(3) {
        0 => conditions.delay = DELAY,
        1 => conditions.slices = Some(Dice::new(dice.roll())),
        _ => {}
    }
    if dice.below(10) == 0 {
        conditions.ending = Some((dice.below(SMALL as u64), Ending::Reset));
    }
    conditions
}

/// How downloads went.
struct Tried {
    came: usize,
    tried: usize,
    took: Vec<Duration>,
    /// What was told of those that did not come.
    told: String,
}

fn all(bench: &Bench, cluster: &Cluster, digests: &Digests) -> Result<Tried> {
    let numbers: Vec<u32> = digests.keys().copied().cycle().take(bench.pick(GETS)).collect();
    let done = at_once(numbers.chunks(IN_A_ROW), |numbers| {
        let (target, start) = (tempfile::tempdir()?, wait::now());
        let done = get(cluster, numbers, target.path(), &[])?;
        let found = check_folder(target.path(), digests)?;
        ensure!(
            (done.code() == 0) == (found.len() == numbers.len()),
            "exit code {} and {found:?} saved: {}",
            done.code(),
            done.stderr
        );
        let told = if done.code() == 0 { String::new() } else { done.stderr };
        Ok((found.len(), start.elapsed(), told))
    })?;
    Ok(Tried {
        came: done.iter().map(|(came, ..)| came).sum(),
        tried: numbers.len(),
        took: done.iter().map(|(_, took, _)| *took).collect(),
        told: done.into_iter().map(|(.., told)| told).collect(),
    })
}
