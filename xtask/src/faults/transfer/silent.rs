//! Holders that fall silent, and documents that nobody can give.

use std::{net::TcpListener, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::{FIRST, LONGEST, check_folder, copy_folder, fill, get, get_command, join_behind, path_of};
use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Ending, Proxy},
    slowest,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON, STOP_LIMIT},
    process::{Finished, Process},
    wait::{self, Look},
};

/// How often a sender falls silent in each of the ways.
const SILENCES: Amount = Amount { full: 5, short: 1 };

/// How soon another holder must go on: 9 s of silence, a twentieth more until that is noticed, and a connection.
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);

/// How soon it must be told that nobody can give a document.
const TOLD_LIMIT: Duration = Duration::from_secs(15);

/// The longest document: the system has less of it under way when the sender falls silent early.
const SIZE: usize = 16 << 20;

/// Bytes a second of each holder.
const RATE: u64 = 12 << 20;

const NAMES: [&str; 2] = ["alice", "bob"];

/// Lets whoever sends fall silent in mid-stream: stopped, or cut off by a network that loses everything.
pub fn sender(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let folder = cluster.make_folder("alice")?;
    let digests = fill(&folder, &[SIZE], &mut bench.dice(0))?;
    copy_folder(&cluster, &folder, "bob")?;
    let proxies = [Proxy::open()?, Proxy::open()?];
    for (name, proxy) in NAMES.into_iter().zip(&proxies) {
        join_behind(&mut cluster, proxy, name, name, &[])?;
    }
    let mut gaps = [Vec::new(), Vec::new()];
    for round in 0..bench.pick(SILENCES) {
        for (gaps, how) in gaps.iter_mut().zip([Ending::Mark, Ending::BlackHole]) {
            cluster.wait_for_holders(FIRST, &NAMES, 2 * SOON)?;
            let at = bench.dice(round).below(SIZE as u64 / 4);
            let what = || format!("{how:?} at byte {at}, seed {}", bench.seed);
            gaps.push(silence(&mut cluster, &proxies, at, how).with_context(what)?);
            let target = cluster.folder().join("target");
            ensure!(
                check_folder(&target, &digests)? == [FIRST],
                "{}: it is not there",
                what()
            );
            std::fs::remove_file(path_of(&target, FIRST))?;
        }
    }
    finish(cluster)?;
    let [stopped, lost] = &gaps;
    let figures = format!(
        "in mid-stream SIGSTOP {} times, everything lost {} times: another holder went on within {} s, slowest {} and {}; seed {}",
        stopped.len(),
        lost.len(),
        FAILOVER_LIMIT.as_secs(),
        slowest(stopped),
        slowest(lost),
        bench.seed
    );
    let is_late = |gap: &Duration| *gap > FAILOVER_LIMIT;
    ensure!(!gaps.iter().flatten().any(is_late), "too late: {figures}");
    Ok(Outcome::Passed(figures))
}

/// Downloads, lets the sender fall silent at a byte, and tells how long nothing came.
fn silence(cluster: &mut Cluster, proxies: &[Proxy; 2], at: u64, how: Ending) -> Result<Duration> {
    let first = std::sync::Arc::new(std::sync::Mutex::new(Some((at, how))));
    for proxy in proxies {
        let first = std::sync::Arc::clone(&first);
        proxy.set(move || Conditions {
            rate: Some(RATE),
            ending: first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(),
            ..Conditions::default()
        });
    }
    let target = cluster.folder().join("target");
    let mut getting = Process::spawn("get", get_command(cluster, &[FIRST], &target, &[])?, &cluster.logs())?;
    let (sender, _) = wait::until_fine("the byte of the silence", SOON, || {
        let sender = proxies.iter().position(|proxy| proxy.faults() > 0);
        Ok(sender.map_or_else(|| Look::NotYet("not there yet".into()), Look::Done))
    })?;
    let name = NAMES.get(sender).copied().unwrap_or_default();
    if how == Ending::Mark {
        cluster.peer(name)?.signal(Signal::STOP)?;
    }
    let ended = getting.ends_with_code(0, LONGEST);
    if how == Ending::Mark {
        cluster.peer(name)?.signal(Signal::CONT)?;
    }
    ended?;
    let times = proxies.get(sender).zip(proxies.get(1 - sender));
    let times = times.and_then(|(silent, other)| Some((silent.times()?.1, other.times()?.0)));
    let (last, first) = times.context("no other holder was asked")?;
    Ok(first.saturating_duration_since(last))
}

/// Asks for documents that nobody can give, for one reason after the other.
pub fn nobody(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    fill(&cluster.make_folder("shared")?, &[1000], &mut bench.dice(0))?;
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "holder", "shared", &[])?;
    cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
    let mut told = vec![tells(&cluster, "nobody has it", FIRST + 1, 3)?];
    proxy.set_all(Conditions {
        ending: Some((0, Ending::BlackHole)),
        ..Conditions::default()
    });
    told.push(tells(&cluster, "the holder answers nothing", FIRST, 4)?);
    proxy.set_all(Conditions::default());
    // A port at which nobody listens any more.
    let nowhere = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    proxy.lead_to(Some(nowhere));
    told.push(tells(&cluster, "the holder refuses", FIRST, 4)?);
    // Or else it would wait for the downloader that fell silent, as long as for any other.
    drop(proxy);
    cluster.peer("holder")?.stop(STOP_LIMIT)?;
    told.push(tells(&cluster, "the holder has left", FIRST, 3)?);
    cluster.registry()?.signal(Signal::STOP)?;
    told.push(tells(&cluster, "the registry stands still", FIRST, 4)?);
    cluster.registry()?.signal(Signal::CONT)?;
    cluster.registry()?.stop(SOON)?;
    told.push(tells(&cluster, "the registry has ended", FIRST, 4)?);
    finish(cluster)?;
    let listed: Vec<String> = told
        .iter()
        .map(|(what, code, took)| format!("{what}: {code} after {}", crate::console::seconds(*took)))
        .collect();
    let figures = format!(
        "exit codes, and no file within {} s: {}",
        TOLD_LIMIT.as_secs(),
        listed.join(", ")
    );
    ensure!(told.iter().all(|(.., took)| *took <= TOLD_LIMIT), "too late: {figures}");
    Ok(Outcome::Passed(figures))
}

/// What happened, the exit code, and after how long.
type Told = (&'static str, i32, Duration);

fn tells(cluster: &Cluster, what: &'static str, number: u32, code: i32) -> Result<Told> {
    let target = tempfile::tempdir()?;
    let start = wait::now();
    let done: Finished = get(cluster, &[number], target.path(), &[])?.expect_code(what, code)?;
    let took = start.elapsed();
    ensure!(
        std::fs::read_dir(target.path())?.next().is_none(),
        "{what}: something was left in the folder"
    );
    let words = done.stderr.trim();
    ensure!(
        !words.is_empty() && words.len() <= 2 * 300 && !words.contains("panicked"),
        "{what}: {words:?}"
    );
    Ok((what, code, took))
}
