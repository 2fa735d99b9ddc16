//! SIGTERM of a peer while many download from it.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::{Digests, FIRST, LONGEST, check_folder, copy_folder, fill, get_command, join_behind};
use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Proxy},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON, STOP_LIMIT},
    console,
    process::Process,
    wait::{self, Look},
};

/// Downloads at a time, about half of them from the peer that ends: as many as a peer serves.
const DOWNLOADS: Amount = Amount { full: 64, short: 16 };

/// How long a document is.
const SIZE: usize = 5 << 19;

/// How long a peer that ends lets downloads go on.
const END_LIMIT: Duration = Duration::from_secs(30);

/// What exiting may take beside.
const SLACK: Duration = Duration::from_secs(1);

const NAMES: [&str; 2] = ["leaver", "stayer"];

/// Bytes a second of each download that ends in time.
const FAST: u64 = 256 << 10;

/// Bytes a second of each download that does not, and has to go on elsewhere.
const SLOW: u64 = 40 << 10;

/// What was seen of one ending.
struct Seen {
    /// How long the peer took.
    took: Duration,
    /// How many uploads it had under way.
    uploads: u64,
    /// How many downloads went on elsewhere.
    moved: u64,
}

/// Ends a peer during downloads that it can finish, and during some that it cannot.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut text = String::new();
    for (rate, what, may_move) in [(FAST, "end in time", false), (SLOW, "take longer", true)] {
        if may_move && bench.is_short {
            continue;
        }
        let seen = end(bench, rate).with_context(|| format!("during uploads that {what}"))?;
        let Seen { took, uploads, moved } = seen;
        let figures = format!(
            "SIGTERM during {uploads} uploads that {what}: all came, {moved} of them from elsewhere, exit code 0 after {} (limit {} s)",
            console::seconds(took),
            END_LIMIT.as_secs()
        );
        ensure!(may_move == (moved > 0), "{figures}");
        ensure!(took <= END_LIMIT + SLACK, "the peer took too long: {figures}");
        text = if text.is_empty() {
            figures
        } else {
            format!("{text}; {figures}")
        };
    }
    Ok(Outcome::Passed(text))
}

fn end(bench: &Bench, rate: u64) -> Result<Seen> {
    let mut cluster = bench.cluster()?;
    let count = bench.pick(DOWNLOADS);
    let folder = cluster.make_folder(NAMES[0])?;
    let digests = fill(&folder, &vec![SIZE; count], &mut bench.dice(0))?;
    copy_folder(&cluster, &folder, NAMES[1])?;
    let proxies = [Proxy::open()?, Proxy::open()?];
    for (name, proxy) in NAMES.into_iter().zip(&proxies) {
        join_behind(&mut cluster, proxy, name, name, &[])?;
    }
    cluster.wait_for_holders(FIRST + u32::try_from(count)? - 1, &NAMES, SOON)?;
    for proxy in &proxies {
        proxy.set_all(Conditions {
            rate: Some(rate),
            ..Conditions::default()
        });
    }
    let mut downloads = start_all(&cluster, &digests)?;
    let target = cluster.folder().join("target");
    wait::until("all downloads to have begun", LONGEST, || {
        let begun = begun(&target);
        Ok(if begun >= count {
            Look::Done(())
        } else {
            Look::NotYet(format!("{begun} of {count}"))
        })
    })?;
    let (uploads, others) = (proxies[0].connections(), proxies[1].connections());
    cluster.peer(NAMES[0])?.signal(Signal::TERM)?;
    let took = cluster.peer(NAMES[0])?.ends_with_code(0, STOP_LIMIT)?;
    for download in &mut downloads {
        download.ends_with_code(0, LONGEST)?;
    }
    let found = check_folder(&target, &digests)?;
    ensure!(found.len() == count, "{} of {count} downloads came", found.len());
    let moved = proxies[1].connections() - others;
    finish(cluster)?;
    Ok(Seen { took, uploads, moved })
}

/// How many downloads have got some bytes: who only has a connection has no upload yet.
fn begun(target: &Path) -> usize {
    let Ok(parts) = fs::read_dir(target.join(".p2pci-part")) else {
        return 0;
    };
    let lengths = parts
        .flatten()
        .filter_map(|part| part.metadata().ok())
        .map(|part| part.len());
    lengths.filter(|length| *length > 0).count()
}

fn start_all(cluster: &Cluster, digests: &Digests) -> Result<Vec<Process>> {
    let target = cluster.folder().join("target");
    let start = |number: &u32| {
        let command = get_command(cluster, &[*number], &target, &[])?;
        Process::spawn(&format!("get-{number}"), command, &cluster.logs())
    };
    digests.keys().map(start).collect()
}
