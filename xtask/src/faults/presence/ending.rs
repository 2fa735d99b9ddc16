//! SIGTERM to a registry that has all kinds of clients, and to a peer.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::faults::{
    Amount, Bench, finish, raw_client,
    reporter::{Reporter, field, is_event},
    slowest, write_document,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    wait,
};

/// Programs that are asked to end.
const ENDINGS: Amount = Amount { full: 20, short: 2 };

/// How long a registry may take to end, whatever its clients do.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Peers and watchers that are real processes.
const PEERS: usize = 20;
const WATCHERS: usize = 10;

/// Sessions and watchers that neither read nor answer; with the processes 200 streams.
const RUDE_SESSIONS: usize = 90;
const RUDE_WATCHERS: usize = 80;

/// Connections that never say a word.
const SILENT: usize = 100;

const NUMBER: u32 = 20_001;

/// Everybody who has something open with the registry.
struct Crowd {
    peers: Vec<Reporter>,
    watchers: Vec<Reporter>,
    rude: Vec<TcpStream>,
    silent: Vec<TcpStream>,
}

/// Ends a registry again and again, each time with a crowd.
pub fn registry(bench: &Bench) -> Result<Outcome> {
    let mut took = Vec::new();
    for _ in 0..bench.pick(ENDINGS) {
        let mut cluster = Cluster::new(bench.programs.clone())?;
        // All come from one address here.
        cluster.set_registry_options(&[
            "--max-sessions-per-address",
            "0",
            "--max-connections-per-address",
            "0",
            "--max-watchers",
            "200",
        ]);
        cluster.start_registry()?;
        write_document(&cluster.make_folder("shared")?, NUMBER, "everybody's")?;
        let mut crowd = Crowd::gather(&cluster)?;
        took.push(cluster.registry()?.stop(END_LIMIT)?);
        crowd.check_told()?;
        crowd.leave()?;
        finish(cluster)?;
    }
    Ok(Outcome::Passed(format!(
        "SIGTERM to a registry with {} sessions, {} watchers and {SILENT} silent connections: exit 0 within {} s in {} \
         of {}, slowest {}; every peer was told",
        PEERS + RUDE_SESSIONS,
        WATCHERS + RUDE_WATCHERS,
        END_LIMIT.as_secs(),
        took.len(),
        bench.pick(ENDINGS),
        slowest(&took)
    )))
}

impl Crowd {
    fn gather(cluster: &Cluster) -> Result<Self> {
        let registry = cluster.registry_address()?;
        let mut peers = Vec::new();
        let mut watchers = Vec::new();
        for index in 0..PEERS {
            let name = format!("peer-{index}");
            let mut command = cluster.peer_command()?;
            command
                .args(["join", "shared", "--name", &name, "--json"])
                .env("P2PCI_STATE_DIR", cluster.folder().join("state").join(&name));
            peers.push(Reporter::spawn(&name, command, &cluster.logs())?);
        }
        for index in 0..WATCHERS {
            let mut command = cluster.peer_command()?;
            command.args(["watch", "--json"]);
            watchers.push(Reporter::spawn(&format!("watcher-{index}"), command, &cluster.logs())?);
        }
        for peer in &mut peers {
            peer.wait_for("its registration", SOON, |value| {
                is_event(value, "registered").then_some(())
            })?;
        }
        for watcher in &mut watchers {
            watcher.wait_for("the end of its snapshot", SOON, |value| {
                is_event(value, "snapshot_end").then_some(())
            })?;
        }
        let opened = wait::now();
        let rude: Result<Vec<_>> = (0..RUDE_SESSIONS)
            .map(|index| raw_client::register(registry, &format!("rude-{index}")))
            .chain((0..RUDE_WATCHERS).map(|_| raw_client::watch(registry)))
            .collect();
        let silent = (0..SILENT)
            .map(|_| TcpStream::connect(registry))
            .collect::<Result<_, _>>()?;
        let mut crowd = Self {
            peers,
            watchers,
            rude: rude?,
            silent,
        };
        let registered = cluster.json(&["peers"])?.len();
        ensure!(registered == PEERS + RUDE_SESSIONS, "{registered} peers are registered");
        crowd.check_open(registry)?;
        // Those who say nothing are sent away after five seconds, those who answer no ping after fifteen.
        ensure!(
            opened.elapsed() < Duration::from_secs(5),
            "the crowd took too long to gather"
        );
        Ok(crowd)
    }

    /// Makes sure that whoever never spoke is still connected.
    fn check_open(&mut self, registry: SocketAddr) -> Result<()> {
        for socket in &self.silent {
            ensure!(socket.peer_addr()? == registry, "connected to somebody else");
            socket.set_nonblocking(true)?;
            // A server of HTTP/2 speaks first; only an end would mean that it has given up.
            let is_open = match socket.peek(&mut [0]) {
                Ok(bytes) => bytes > 0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            ensure!(is_open, "a silent connection was closed too soon for this test");
        }
        Ok(())
    }

    /// Every peer must have learnt why its session ended, and every watcher that it has.
    fn check_told(&mut self) -> Result<()> {
        for peer in &mut self.peers {
            let (reason, _) = peer.wait_for("that it lost the registry", SOON, |value| {
                is_event(value, "disconnected").then(|| field(value, "reason").to_owned())
            })?;
            ensure!(reason.contains("shutting down"), "a peer was told: {reason:?}");
        }
        for watcher in &mut self.watchers {
            watcher.wait_for("that it lost the registry", SOON, |value| {
                is_event(value, "disconnected").then_some(())
            })?;
        }
        Ok(())
    }

    fn leave(mut self) -> Result<()> {
        for process in self.peers.iter_mut().chain(&mut self.watchers) {
            process.process().signal(Signal::TERM)?;
        }
        for process in self.peers.iter_mut().chain(&mut self.watchers) {
            process.process().ends_well(SOON)?;
        }
        drop((self.rude, self.silent));
        Ok(())
    }
}

/// Asks a peer to end, again and again.
pub fn peer(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    write_document(&cluster.make_folder("alice")?, NUMBER, "alice's")?;
    let mut took = Vec::new();
    for round in 1..=bench.pick(ENDINGS) {
        cluster.join("alice", "alice")?;
        cluster.wait_for_holders(NUMBER, &["alice"], SOON)?;
        took.push(cluster.peer("alice")?.stop(SOON)?);
        let (rows, holders) = (cluster.peer_rows()?, cluster.holders(NUMBER)?);
        ensure!(
            rows.is_empty() && holders.is_empty(),
            "round {round}: the peer has left, but {rows:?} are listed and {holders:?} handed out"
        );
        let said = cluster.peer("alice")?.stdout()?;
        ensure!(
            said.lines().last() == Some("left"),
            "round {round}: its last words are {said:?}"
        );
    }
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "SIGTERM to a peer: {} of {} left and ended with exit 0, slowest {}; gone from the index by then",
        took.len(),
        bench.pick(ENDINGS),
        slowest(&took)
    )))
}
