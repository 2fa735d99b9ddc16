//! A connection that breaks: the peer is back at once, and what its old session does late never removes it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    Bench, finish,
    link::{Break, Link},
    reporter::{Reporter, field, is_event},
    write_document,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    console, json, wait,
};

/// How long the whole check may take; then fewer rounds must do.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// How long a peer may take to be registered again: a tenth of a second and what an attempt costs are usual, but an
/// attempt may fail and be followed by a pause.
const BACK_LIMIT: Duration = Duration::from_secs(30);

const NUMBER: u32 = 20_001;

/// What the check watches.
struct Scene {
    cluster: Cluster,
    link: Link,
    alice: Reporter,
    watch: Reporter,
}

/// Cuts a peer's connection again and again.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let (mut scene, mut id) = Scene::set(bench)?;
    let start = wait::now();
    let mut slowest = Duration::ZERO;
    let mut rounds = 0;
    while rounds < bench.amounts.cuts && start.elapsed() < TIME_LIMIT {
        let (new, took) = scene.round(rounds, &id)?;
        slowest = slowest.max(took);
        id = new;
        rounds += 1;
    }
    scene.cluster.wait_for_holders(NUMBER, &["alice"], SOON)?;
    scene.alice.process().stop(SOON)?;
    let Scene { cluster, watch, .. } = scene;
    drop(watch);
    finish(cluster)?;
    let all = bench.amounts.cuts;
    let asked = if rounds < all {
        format!(", for {all} rounds take more than {} s here", TIME_LIMIT.as_secs())
    } else {
        String::new()
    };
    Ok(Outcome::Passed(format!(
        "connection cut: {rounds} of {rounds} times back and never removed by the old session{asked}; slowest return {}",
        console::seconds(slowest)
    )))
}

/// How the connection breaks in a round: each way in turn, with delays that spread over the time that a return takes.
fn how(round: usize) -> Break {
    match round % 4 {
        0 => Break::Closed,
        1 => Break::Reset,
        2 => Break::HalfOpen,
        _ => Break::Late(Duration::from_millis((round as u64).wrapping_mul(37) % 150)),
    }
}

impl Scene {
    /// Starts everything, and returns the id of alice's first session.
    fn set(bench: &Bench) -> Result<(Self, String)> {
        let cluster = bench.cluster()?;
        let folder = cluster.make_folder("alice")?;
        write_document(&folder, NUMBER, "only one")?;
        let link = Link::open(cluster.registry_address()?)?;
        let mut command = cluster.peer_command()?;
        command.args(["watch", "--json"]);
        let mut watch = Reporter::spawn("watch", command, &cluster.logs())?;
        watch.wait_for("the end of its snapshot", SOON, |value| {
            is_event(value, "snapshot_end").then_some(())
        })?;
        let mut command = cluster.peer_command()?;
        command
            .args(["join", "alice", "--name", "alice", "--json"])
            .env("P2PCI_REGISTRY", format!("http://{}", link.address()))
            .env("P2PCI_STATE_DIR", cluster.folder().join("state/alice"));
        let mut alice = Reporter::spawn("alice", command, &cluster.logs())?;
        let (id, _) = alice.wait_for("its registration", SOON, registered)?;
        let scene = Self {
            cluster,
            link,
            alice,
            watch,
        };
        Ok((scene, id))
    }

    /// Cuts the connection of the session `old`; returns the id of the next one and how long it took to come.
    fn round(&mut self, round: usize, old: &str) -> Result<(String, Duration)> {
        // Nothing may have removed it since it registered.
        let seen = self.watch.printed()?;
        ensure!(
            !seen.iter().any(|value| has_left(value, old)),
            "round {round}: {old} was removed: {seen:?}"
        );
        self.link.cut(how(round));
        let (new, took) = self.alice.wait_for("that it is back", BACK_LIMIT, registered)?;
        self.link.release();
        ensure!(new != old, "round {round}: a new session has the id of the old one");
        let mut gone = false;
        self.watch.wait_for("the new session", SOON, |value| {
            gone |= has_left(value, old);
            (is_event(value, "joined") && field(value, "peer_id") == new).then_some(())
        })?;
        ensure!(gone, "round {round}: the new session joined before the old one left");
        let rows = self.cluster.json(&["peers"])?;
        let ids: Vec<&str> = rows
            .iter()
            .map(|row| json::text(row, "/peer_id"))
            .collect::<Result<_>>()?;
        ensure!(
            ids == [new.as_str()],
            "round {round}: registered are {ids:?}, not {new} alone"
        );
        Ok((new, took))
    }
}

/// The id of the session that a peer reports as registered.
fn registered(value: &Value) -> Option<String> {
    is_event(value, "registered").then(|| field(value, "peer_id").to_owned())
}

fn has_left(value: &Value, id: &str) -> bool {
    is_event(value, "left") && field(value, "peer_id") == id
}
