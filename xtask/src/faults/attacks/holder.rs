//! Attacks on a peer that shares documents: others go on downloading from it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};

use super::{
    arena::{Arena, HOLDER, Onslaught, forget_peak, mebibytes},
    cores::Pinned,
    resets, silent,
};
use crate::{
    ci::Outcome,
    console,
    faults::{Bench, slowest},
    procfs, wait,
};

/// How long a download may take meanwhile, with the start of the program that makes it.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(5);

/// How much the peer may grow.
const MEMORY_BYTES: u64 = 64 << 20;

/// Sockets that say nothing, as many as one address may have and more.
pub(super) fn silent(bench: &Bench) -> Result<Outcome> {
    attacked(bench, silent::one_address)
}

/// Streams that are opened and reset.
pub(super) fn rapid_reset(bench: &Bench) -> Result<Outcome> {
    attacked(bench, |arena| {
        resets::reset_rapidly(arena, "/p2pci.v1.FileTransfer/Download")
    })
}

/// Attacks the holder of an arena, while documents are downloaded from it one after the other.
fn attacked(bench: &Bench, attack: impl Fn(&Arena) -> Result<Onslaught> + Sync) -> Result<Outcome> {
    let mut arena = match Arena::start(bench, &[])? {
        Ok(arena) => arena,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let rows = arena.cluster.peer_rows()?;
    let row = rows.first().ok_or_else(|| anyhow!("there is no holder"))?;
    arena.target = row.address.parse()?;
    let id = arena.cluster.peer(HOLDER)?.id();
    let before = forget_peak(id)?;
    let is_over = AtomicBool::new(false);
    let (onslaught, downloads) = thread::scope(|scope| {
        let attacking = scope.spawn(|| -> Result<Onslaught> {
            let _pinned = Pinned::to(arena.cores.attacker)?;
            let onslaught = attack(&arena);
            is_over.store(true, Ordering::Relaxed);
            onslaught
        });
        let downloads = download_until(&arena, &is_over);
        let onslaught = attacking
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the attacker panicked")));
        Ok::<_, anyhow::Error>((onslaught?, downloads?))
    })?;
    arena.cluster.check_all_run()?;
    let grown = procfs::peak_memory(id).unwrap_or(u64::MAX).saturating_sub(before);
    let told = format!(
        "{} {}: {}; {} downloads, slowest {}; memory +{}",
        onslaught.count,
        onslaught.what,
        onslaught.told,
        downloads.len(),
        slowest(&downloads),
        mebibytes(grown)
    );
    ensure!(grown <= MEMORY_BYTES, "the peer grew too much: {told}");
    ensure!(
        downloads.iter().all(|took| *took <= DOWNLOAD_LIMIT),
        "a download should take at most {}: {told}",
        console::seconds(DOWNLOAD_LIMIT)
    );
    arena.await_index()?;
    arena.finish()?;
    Ok(Outcome::Passed(told))
}

fn download_until(arena: &Arena, is_over: &AtomicBool) -> Result<Vec<Duration>> {
    let _pinned = Pinned::to(arena.cores.honest)?;
    let folder = arena.cluster.make_folder("downloads")?;
    let folder = folder.to_string_lossy();
    let mut took = Vec::new();
    for number in 1..=900 {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let start = wait::now();
        let number = number.to_string();
        arena
            .cluster
            .run(&["get", &number, "--to", &folder])?
            .expect_code(&format!("peer get {number}"), 0)?;
        took.push(start.elapsed());
    }
    ensure!(!took.is_empty(), "nothing was downloaded");
    Ok(took)
}
