//! SIGKILL: the registry sees the stream close, and the peer is gone at once.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::faults::{Amount, Bench, finish, slowest, write_document};
use crate::{
    ci::Outcome,
    cluster::SOON,
    wait::{self, Look},
};

/// Peers that are killed, one after the other.
const KILLS: Amount = Amount { full: 1000, short: 10 };

/// How soon a peer must be gone whose stream has closed.
const GONE_LIMIT: Duration = Duration::from_secs(1);

const OWN: u32 = 20_001;
const SHARED: u32 = 20_002;

/// Kills a peer again and again, beside one that has one of its documents too.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    for name in ["victim", "witness"] {
        let folder = cluster.make_folder(name)?;
        write_document(&folder, SHARED, "the same")?;
        if name == "victim" {
            write_document(&folder, OWN, "his own")?;
        }
    }
    cluster.join("witness", "witness")?;
    let mut took = Vec::new();
    for round in 1..=bench.pick(KILLS) {
        cluster.join("victim", "victim")?;
        cluster.wait_for_holders(OWN, &["victim"], SOON)?;
        cluster.wait_for_holders(SHARED, &["victim", "witness"], SOON)?;
        let start = wait::now();
        cluster.peer("victim")?.kill()?;
        let what = format!("the killed peer to be gone in round {round}");
        wait::until_dear(&what, GONE_LIMIT, || {
            let rows = cluster.peer_rows()?;
            let holders = cluster.holders(OWN)?;
            let gone = holders.is_empty() && rows.iter().all(|row| row.name != "victim");
            Ok(if gone {
                Look::Done(())
            } else {
                Look::NotYet(format!("held by {holders:?}, listed {rows:?}"))
            })
        })?;
        took.push(start.elapsed());
        let left = cluster.holders(SHARED)?;
        ensure!(
            left == ["witness"],
            "what a witness has too should stay, held by it alone: {left:?}"
        );
    }
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "SIGKILL: {} of {} peers gone from ListPeers and Lookup within {} s, slowest {} until both had answered",
        took.len(),
        bench.pick(KILLS),
        GONE_LIMIT.as_secs(),
        slowest(&took)
    )))
}
