//! A connection that breaks: the peer is back at once, and what its old session does late never removes it.

use std::{thread, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::faults::{
    Amount, Bench, finish,
    link::{Break, Link},
    reporter::{Reporter, field, is_event},
    slowest, write_document,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    wait,
};

/// The peers whose connections are cut. One that was cut off soon after its return waits for a second at most.
const CUT_PEERS: Amount = Amount { full: 10, short: 4 };

/// How often a connection is cut.
const CUTS: Amount = Amount { full: 1000, short: 20 };

/// How long the whole check may take; then fewer rounds must do.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// How long a peer may take to be registered again: a second and what an attempt costs are usual, but an attempt may
/// fail and be followed by a longer pause.
const BACK_LIMIT: Duration = Duration::from_secs(30);

/// Delays after which the registry learns that a connection is broken spread over the time that a return takes.
const LATEST: u64 = 1_500;

const NUMBER: u32 = 20_001;

/// A peer behind a link that breaks, and somebody who follows what the registry tells about it.
struct Flapper {
    name: String,
    link: Link,
    peer: Reporter,
    watch: Reporter,
    /// The id of the peer's session.
    id: String,
}

/// Cuts the connections of several peers again and again, each at its own pace.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    write_document(&cluster.make_folder("shared")?, NUMBER, "everybody's")?;
    let names: Vec<String> = (1..=bench.pick(CUT_PEERS))
        .map(|index| format!("flapper-{index}"))
        .collect();
    let flappers = names.iter().map(|name| Flapper::start(&cluster, name));
    let mut flappers = flappers.collect::<Result<Vec<_>>>()?;
    let each = bench.pick(CUTS) / flappers.len().max(1);
    let cluster_now = &cluster;
    let cut: Vec<Result<Vec<Duration>>> = thread::scope(|scope| {
        let running: Vec<_> = flappers
            .iter_mut()
            .enumerate()
            .map(|(index, flapper)| scope.spawn(move || flapper.cut(cluster_now, index, each)))
            .collect();
        let panicked = |_| Err(anyhow!("a thread panicked"));
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked))
            .collect()
    });
    let took: Vec<Duration> = cut.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let holders: Vec<&str> = names.iter().map(String::as_str).collect();
    cluster.wait_for_holders(NUMBER, &holders, BACK_LIMIT)?;
    for flapper in &mut flappers {
        flapper.peer.process().stop(SOON)?;
    }
    drop(flappers);
    finish(cluster)?;
    let (rounds, all) = (took.len(), each * names.len());
    let limited = if rounds < all {
        format!(" ({all} do not fit into {} s here)", TIME_LIMIT.as_secs())
    } else {
        String::new()
    };
    Ok(Outcome::Passed(format!(
        "connections of {} peers cut: {rounds} of {rounds} times back and never removed by the old session{limited}; \
         slowest return {}",
        names.len(),
        slowest(&took)
    )))
}

/// How the connection breaks in a round: each way in turn, but not the same way for all peers.
fn how(round: usize) -> Break {
    match round % 4 {
        0 => Break::Closed,
        1 => Break::Reset,
        2 => Break::HalfOpen,
        _ => Break::Late(Duration::from_millis((round as u64).wrapping_mul(370) % LATEST)),
    }
}

impl Flapper {
    fn start(cluster: &Cluster, name: &str) -> Result<Self> {
        let link = Link::open(cluster.registry_address()?)?;
        let mut command = cluster.peer_command()?;
        command.args(["watch", "--json"]);
        let mut watch = Reporter::spawn(&format!("watch-{name}"), command, &cluster.logs())?;
        watch.wait_for("the end of its snapshot", SOON, |value| {
            is_event(value, "snapshot_end").then_some(())
        })?;
        let mut command = cluster.peer_command()?;
        command
            .args(["join", "shared", "--name", name, "--json"])
            .env("P2PCI_REGISTRY", format!("http://{}", link.address()))
            .env("P2PCI_STATE_DIR", cluster.folder().join("state").join(name));
        let mut peer = Reporter::spawn(name, command, &cluster.logs())?;
        let (id, _) = peer.wait_for("its registration", SOON, registered)?;
        Ok(Self {
            name: name.to_owned(),
            link,
            peer,
            watch,
            id,
        })
    }

    /// Cuts the connection that many times, or as often as there is time for; returns how long each return took.
    fn cut(&mut self, cluster: &Cluster, index: usize, rounds: usize) -> Result<Vec<Duration>> {
        let start = wait::now();
        let mut took = Vec::new();
        while took.len() < rounds && start.elapsed() < TIME_LIMIT {
            let (name, round) = (self.name.clone(), took.len());
            let returned = self.round(cluster, how(index + round));
            took.push(returned.with_context(|| format!("{name}, round {round}"))?);
        }
        Ok(took)
    }

    fn round(&mut self, cluster: &Cluster, how: Break) -> Result<Duration> {
        let old = self.id.clone();
        // Nothing may have removed it since it registered.
        let seen = self.watch.printed()?;
        ensure!(
            !seen.iter().any(|value| has_left(value, &old)),
            "session {old} was removed: {seen:?}"
        );
        self.link.cut(how);
        let (new, took) = self.peer.wait_for("that it is back", BACK_LIMIT, registered)?;
        self.link.release();
        ensure!(new != old, "a new session has the id {old} of the one before");
        let mut gone = false;
        self.watch.wait_for("the new session", SOON, |value| {
            gone |= has_left(value, &old);
            (is_event(value, "joined") && field(value, "peer_id") == new).then_some(())
        })?;
        ensure!(gone, "session {new} joined before {old} left");
        let rows = cluster.json(&["peers"])?;
        let own = rows.iter().filter(|row| field(row, "name") == self.name);
        let ids: Vec<&str> = own.map(|row| field(row, "peer_id")).collect();
        ensure!(ids == [new.as_str()], "registered are {ids:?}, not {new} alone");
        self.id = new;
        Ok(took)
    }
}

/// The id of the session that a peer reports as registered.
fn registered(value: &Value) -> Option<String> {
    is_event(value, "registered").then(|| field(value, "peer_id").to_owned())
}

fn has_left(value: &Value, id: &str) -> bool {
    is_event(value, "left") && field(value, "peer_id") == id
}
