//! A registry that ends or stands still while peers mirror from each other, and clocks that jump.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::{Digests, FIRST, LONGEST, check_folder, fill, get, join_behind, mirror_command};
use crate::faults::{
    Bench, finish,
    proxy::{Conditions, Proxy},
    reporter::{Reporter, is_event},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    console,
    process::Process,
    wait::{self, Look},
};

/// How long a registry stands still.
const STILL: Duration = Duration::from_secs(30);

/// The same in the short form: longer than what peers wait for an answer.
const STILL_SHORT: Duration = Duration::from_secs(12);

/// How soon the index must be exact when it is back.
const EXACT_LIMIT: Duration = Duration::from_secs(30);

const DOCUMENTS: usize = 60;

const SIZE: usize = 100_000;

/// Bytes a second of each holder: the mirrors are midway when the registry goes.
const RATE: u64 = 400_000;

const HOLDERS: [&str; 2] = ["alice", "bob"];

const MIRRORS: [&str; 2] = ["carol", "dave"];

/// How far a clock jumps.
const DAY: i64 = 24 * 60 * 60;

/// Where Debian puts the library that shifts clocks; the loader knows the folder of this machine's kind.
const CLOCK_LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// Kills the registry, and has it stand still.
pub fn registry(bench: &Bench) -> Result<Outcome> {
    let still = if bench.is_short { STILL_SHORT } else { STILL };
    let killed = midway(bench, None).context("SIGKILL")?;
    let stopped = midway(bench, Some(still)).context("SIGSTOP")?;
    Ok(Outcome::Passed(format!(
        "while two mirrors ran, registry killed: {killed}; stopped for {}: {stopped}",
        console::seconds(still)
    )))
}

/// Two peers that mirror from two others, over proxies that make it take a while.
struct Midway {
    cluster: Cluster,
    /// Dropped, they would pass nothing on.
    _proxies: [Proxy; 2],
    digests: Digests,
    mirrors: Vec<Process>,
    last: u32,
}

/// Takes the registry away while two peers mirror from two others, and brings it back. It is killed unless it is to stand
/// still for a while. Both know by then what there is and who has it, so neither may lack anything in the end.
fn midway(bench: &Bench, still: Option<Duration>) -> Result<String> {
    let mut midway = Midway::start(bench)?;
    midway.lose_registry(still)?;
    let back = wait::now();
    exact(&mut midway.cluster, midway.last, back)?;
    let exact_after = back.elapsed();
    wait::until("the mirrors to end", LONGEST, || {
        Ok(if midway.are_over()? {
            Look::Done(())
        } else {
            Look::NotYet("they still run".into())
        })
    })?;
    for (name, mirror) in MIRRORS.into_iter().zip(&mut midway.mirrors) {
        mirror.ends_with_code(0, SOON)?;
        let found = check_folder(&midway.cluster.folder().join(name), &midway.digests)?.len();
        ensure!(found == DOCUMENTS, "{name}: {found} of {DOCUMENTS} documents");
    }
    finish(midway.cluster)?;
    Ok(format!(
        "all of {} documents, index exact after {}",
        2 * DOCUMENTS,
        console::seconds(exact_after)
    ))
}

impl Midway {
    /// Starts everything, and waits until the mirrors have a quarter.
    fn start(bench: &Bench) -> Result<Self> {
        let mut cluster = bench.cluster()?;
        let mut dice = bench.dice(0);
        let proxies = [Proxy::open()?, Proxy::open()?];
        let mut digests = Digests::new();
        for (name, proxy) in HOLDERS.into_iter().zip(&proxies) {
            digests = fill_alike(&cluster, name, &digests, &mut dice)?;
            join_behind(&mut cluster, proxy, name, name, &[])?;
        }
        let last = FIRST + u32::try_from(DOCUMENTS)? - 1;
        cluster.wait_for_holders(last, &HOLDERS, SOON)?;
        for proxy in &proxies {
            proxy.set_all(Conditions {
                rate: Some(RATE),
                ..Conditions::default()
            });
        }
        let mut mirrors = Vec::new();
        for name in MIRRORS {
            let mut command = mirror_command(&cluster, &cluster.folder().join(name), &["--name", name])?;
            command.env("P2PCI_STATE_DIR", cluster.folder().join("state").join(name));
            mirrors.push(Process::spawn(name, command, &cluster.logs())?);
        }
        wait::until("the mirrors to be midway", SOON, || {
            let bytes: u64 = proxies.iter().map(Proxy::down_bytes).sum();
            Ok(if bytes > (DOCUMENTS * SIZE / 4) as u64 {
                Look::Done(())
            } else {
                Look::NotYet(format!("{bytes} bytes"))
            })
        })?;
        Ok(Self {
            cluster,
            _proxies: proxies,
            digests,
            mirrors,
            last,
        })
    }

    fn are_over(&mut self) -> Result<bool> {
        let over = |over, mirror: &mut Process| Ok(over && !mirror.runs()?);
        self.mirrors.iter_mut().try_fold(true, over)
    }

    /// Has the registry gone, or stand still for a while, and come back.
    fn lose_registry(&mut self, still: Option<Duration>) -> Result<()> {
        let start = wait::now();
        match still {
            None => self.cluster.registry()?.kill()?,
            Some(_) => self.cluster.registry()?.signal(Signal::STOP)?,
        }
        wait::until("the mirrors to end, or the registry's time to be over", LONGEST, || {
            let is_due = still.is_none_or(|still| start.elapsed() >= still);
            let over = self.are_over()?;
            Ok(if (still.is_some() || over) && is_due {
                Look::Done(())
            } else {
                Look::NotYet(format!("over: {over}"))
            })
        })?;
        match still {
            None => drop(self.cluster.start_registry()?),
            Some(_) => self.cluster.registry()?.signal(Signal::CONT)?,
        }
        Ok(())
    }
}

/// Fills a folder with the same documents as an earlier one.
fn fill_alike(
    cluster: &Cluster,
    name: &str,
    digests: &Digests,
    dice: &mut crate::faults::proxy::Dice,
) -> Result<Digests> {
    let folder = cluster.make_folder(name)?;
    if digests.is_empty() {
        return fill(&folder, &[SIZE; DOCUMENTS], dice);
    }
    for entry in fs::read_dir(cluster.folder().join(HOLDERS[0]))? {
        crate::documents::copy_into(&entry?.path(), &folder)?;
    }
    Ok(digests.clone())
}

/// Waits until both holders are listed, each of them once, and hold what they hold.
fn exact(cluster: &mut Cluster, last: u32, back: std::time::Instant) -> Result<()> {
    wait::until_dear("the index to be exact", EXACT_LIMIT, || {
        let rows = match cluster.peer_rows() {
            Ok(rows) => rows,
            // It may not have found out yet that it is back.
            Err(error) if back.elapsed() < EXACT_LIMIT => return Ok(Look::NotYet(format!("{error:#}"))),
            Err(error) => return Err(error),
        };
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.retain(|name| HOLDERS.contains(name));
        names.sort_unstable();
        let holders = cluster.holders(last)?;
        let all = HOLDERS
            .iter()
            .all(|name| holders.iter().filter(|holder| holder == name).count() == 1);
        let counted = rows
            .iter()
            .filter(|row| HOLDERS.contains(&row.name.as_str()))
            .all(|row| row.documents == DOCUMENTS as u64);
        Ok(if names == HOLDERS && all && counted {
            Look::Done(())
        } else {
            Look::NotYet(format!("listed {rows:?}, held by {holders:?}"))
        })
    })
    .map(drop)
}

/// Moves the wall clocks of a registry and a peer by a day each way.
pub fn clocks(bench: &Bench) -> Result<Outcome> {
    let Some(library) = CLOCK_LIBRARIES.into_iter().find(|path| Path::new(path).is_file()) else {
        return Ok(Outcome::Skipped("libfaketime is not installed".to_owned()));
    };
    let mut cluster = bench.cluster()?;
    fill(&cluster.make_folder("shared")?, &[1000], &mut bench.dice(0))?;
    let mut watching = cluster.peer_command()?;
    watching.args(["watch", "--json"]);
    let mut watch = Reporter::spawn("watch", watching, &cluster.logs())?;
    watch.wait_for("the end of its snapshot", SOON, |value| {
        is_event(value, "snapshot_end").then_some(())
    })?;
    let shift = cluster.folder().join("clock");
    fs::write(&shift, "+0")?;
    let mut command: Command = cluster.peer_command()?;
    command.args(["join", "shared", "--name", "shifted"]);
    command
        .env("P2PCI_STATE_DIR", cluster.folder().join("state/shifted"))
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &shift)
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("RUST_LOG", "peer=debug");
    let mut peer = Process::spawn("shifted", command, &cluster.logs())?;
    cluster.wait_for_holders(FIRST, &["shifted"], SOON)?;
    let spell = if bench.is_short {
        Duration::from_secs(3)
    } else {
        Duration::from_secs(20)
    };
    let mut jumps = 0;
    for seconds in [DAY, -DAY, 0] {
        fs::write(&shift, format!("{seconds:+}"))?;
        jumps += 1;
        let target = tempfile::tempdir()?;
        get(&cluster, &[FIRST], target.path(), &[])?.expect_code("a download after a jump", 0)?;
        let start = wait::now();
        // The peer must stay for the whole of this time: longer than the 15 s after which one would be missed, in full.
        while start.elapsed() < spell {
            ensure!(peer.runs()?, "the peer ended{}", peer.tail());
            let holders = cluster.holders(FIRST)?;
            ensure!(
                holders == ["shifted"],
                "{seconds} s away, the document is held by {holders:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let events = watch.printed()?;
    ensure!(
        !events.iter().any(|event| is_event(event, "left")),
        "the peer left in between: {events:?}"
    );
    // The log tells the time of each upload, and with it whether the clock was moved indeed.
    let log = peer.stderr()?;
    let uploads = log.lines().filter(|line| line.contains("upload ended"));
    let days: BTreeSet<&str> = uploads.filter_map(|line| line.get(..10)).collect();
    ensure!(days.len() == 3, "the peer saw the days {days:?}");
    let path = cluster.folder().join("shared").join(format!("rfc{FIRST}.txt"));
    fs::write(path, "Changed after the clock had jumped.\n")?;
    let before = crate::faults::find(&cluster, FIRST)?;
    let (_, told) = wait::until_dear("a change to be told", SOON, || {
        let now = crate::faults::find(&cluster, FIRST)?;
        Ok(if now != before && now.len() == 1 {
            Look::Done(())
        } else {
            Look::NotYet(format!("{now:?}"))
        })
    })?;
    peer.stop(SOON)?;
    drop(watch);
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "wall clock moved by a day ahead, back and home: {jumps} jumps, 0 deregistrations; a change afterwards told after {}",
        console::seconds(told)
    )))
}
