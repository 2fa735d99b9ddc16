//! SIGKILL of whoever sends, at any point of a download.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{FIRST, LONGEST, check_folder, copy_folder, fill, get_command, join_behind, path_of, saved};
use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Ending, Proxy},
    slowest,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    json,
    process::Process,
    wait::{self, Look},
};

/// Downloads during which the sender is killed.
const KILLS: Amount = Amount { full: 200, short: 4 };

/// The longest document that there may be, a long one, and one of a few chunks.
const SIZES: [usize; 3] = [16 << 20, 4 << 20, 1 << 20];

/// Bytes a second of each holder: slow enough that a kill hits a point of a download.
const RATE: u64 = 12 << 20;

/// What may be sent twice: the chunk that was under way.
const SENT_TWICE_LIMIT: u64 = 256 << 10;

/// How soon the other holder must go on.
const GAP_LIMIT: Duration = Duration::from_secs(2);

const NAMES: [&str; 2] = ["alice", "bob"];

/// What was measured of one download.
struct Round {
    /// Whether the other holder had to go on.
    moved: bool,
    /// Bytes beyond those of an undisturbed download.
    twice: u64,
    /// From the last byte of the one to the first of the other.
    gap: Duration,
}

/// Kills whoever sends, round after round.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let folder = cluster.make_folder("alice")?;
    let digests = fill(&folder, &SIZES, &mut bench.dice(0))?;
    copy_folder(&cluster, &folder, "bob")?;
    let proxies = [Proxy::open()?, Proxy::open()?];
    for (name, proxy) in NAMES.into_iter().zip(&proxies) {
        join_behind(&mut cluster, proxy, name, name, &[])?;
    }
    cluster.wait_for_holders(FIRST, &NAMES, SOON)?;
    let mut undisturbed = Vec::new();
    for number in (FIRST..).take(SIZES.len()) {
        undisturbed.push(download(&mut cluster, &proxies, number, None)?.1);
        std::fs::remove_file(path_of(&cluster.folder().join("target"), number))?;
    }
    let mut rounds = Vec::new();
    for round in 1..=bench.pick(KILLS) {
        let mut dice = bench.dice(round);
        let index = usize::try_from(dice.below(SIZES.len() as u64))?;
        let (size, usual) = (SIZES.get(index).copied(), undisturbed.get(index).copied());
        let at = dice.below(size.unwrap_or_default() as u64);
        // What the system had taken over already still arrives, or is lost as well.
        let how = if dice.below(2) == 0 {
            Ending::Mark
        } else {
            Ending::Reset
        };
        let number = FIRST + u32::try_from(index)?;
        let done = download(&mut cluster, &proxies, number, Some((at, how)));
        let what = || format!("round {round} of seed {}: RFC {number}, byte {at}, {how:?}", bench.seed);
        let (measured, bytes) = done.with_context(what)?;
        let target = cluster.folder().join("target");
        let found = check_folder(&target, &digests).with_context(what)?;
        ensure!(found == [number], "{}: {found:?} were saved", what());
        std::fs::remove_file(path_of(&target, number))?;
        rounds.push(Round {
            twice: bytes.saturating_sub(usual.unwrap_or_default()),
            ..measured
        });
        for name in NAMES {
            if !cluster.peer(name)?.runs()? {
                let proxy = if name == "alice" { &proxies[0] } else { &proxies[1] };
                join_behind(&mut cluster, proxy, name, name, &[])?;
            }
        }
        cluster.wait_for_holders(FIRST, &NAMES, SOON)?;
    }
    finish(cluster)?;
    report(bench, &rounds)
}

fn report(bench: &Bench, rounds: &[Round]) -> Result<Outcome> {
    let moved: Vec<&Round> = rounds.iter().filter(|round| round.moved).collect();
    let twice = moved.iter().map(|round| round.twice).max().unwrap_or_default();
    let gaps: Vec<Duration> = moved.iter().map(|round| round.gap).collect();
    let figures = format!(
        "SIGKILL at any byte of up to 16 MiB: {} of {} downloads whole, {} of them from the other holder, at most {} KiB sent \
         twice (limit {}), the other went on after {} at most (limit {} s); seed {}",
        rounds.len(),
        bench.pick(KILLS),
        moved.len(),
        twice >> 10,
        SENT_TWICE_LIMIT >> 10,
        slowest(&gaps),
        GAP_LIMIT.as_secs(),
        bench.seed
    );
    ensure!(8 * moved.len() > rounds.len(), "most kills came too late: {figures}");
    ensure!(twice <= SENT_TWICE_LIMIT, "too much was sent twice: {figures}");
    ensure!(
        gaps.iter().all(|gap| *gap <= GAP_LIMIT),
        "the other went on too late: {figures}"
    );
    Ok(Outcome::Passed(figures))
}

/// Downloads a document, and kills whoever has sent so many bytes of it. Returns the bytes that came.
fn download(
    cluster: &mut Cluster,
    proxies: &[Proxy; 2],
    number: u32,
    at: Option<(u64, Ending)>,
) -> Result<(Round, u64)> {
    // Whoever is asked first is the one to be killed.
    let first = Arc::new(Mutex::new(at));
    for proxy in proxies {
        let first = Arc::clone(&first);
        proxy.set(move || Conditions {
            rate: Some(RATE),
            ending: first.lock().unwrap_or_else(PoisonError::into_inner).take(),
            ..Conditions::default()
        });
    }
    let command = get_command(cluster, &[number], &cluster.folder().join("target"), &[])?;
    let mut getting = Process::spawn("get", command, &cluster.logs())?;
    let mut killed = None;
    if at.is_some() {
        let (sender, _) = wait::until_fine("the point of the kill", SOON, || {
            let sender = proxies.iter().position(|proxy| proxy.faults() > 0);
            Ok(sender.map_or_else(|| Look::NotYet("nobody has sent so much".into()), Look::Done))
        })?;
        cluster.peer(NAMES.get(sender).copied().unwrap_or_default())?.kill()?;
        killed = Some(sender);
    }
    getting.ends_with_code(0, LONGEST)?;
    let objects = json::lines(&getting.stdout()?)?;
    ensure!(objects.iter().any(saved), "nothing was saved: {objects:?}");
    let other = killed.and_then(|sender| Some((proxies.get(sender)?, proxies.get(1 - sender)?)));
    let times = other.and_then(|(gone, other)| Some((gone.times()?.1, other.times()?.0)));
    let moved = times.map(|(last, first)| first.saturating_duration_since(last));
    let bytes = proxies.iter().map(Proxy::down_bytes).sum();
    let round = Round {
        moved: moved.is_some(),
        twice: 0,
        gap: moved.unwrap_or_default(),
    };
    Ok((round, bytes))
}
