//! A network of hosts, each in a network namespace of its own, with a switch between them.
//!
//! The registry has the first host; peers run on the others. Addresses are from 10.77.0.0/24, inside only.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::Bench;
use crate::{
    cluster::{PeerRow, SOON, STOP_LIMIT},
    json,
    process::{self, Finished, Process},
    space::{self, Space},
    wait::{self, Look},
    workspace::Programs,
};

/// The registry's address.
const REGISTRY: &str = "10.77.0.1";

/// The registry's port.
const PORT: u16 = 7734;

/// The network.
#[derive(Debug)]
pub struct Lan {
    // Fields are dropped in this order: the processes before the hosts that they run on.
    peers: BTreeMap<String, Process>,
    registry: Option<Process>,
    hosts: BTreeMap<&'static str, Space>,
    switch: Space,
    programs: Programs,
    folder: TempDir,
}

/// The address of a host.
pub fn address(number: u8) -> String {
    format!("10.77.0.{number}")
}

impl Lan {
    /// Makes the network, with a registry and these hosts, numbered from 2 on; or tells why that cannot be tried here.
    pub fn with_hosts(bench: &Bench, names: &[&'static str]) -> Result<Result<Self, String>> {
        if let Some(reason) = space::refusal() {
            return Ok(Err(reason));
        }
        let folder = tempfile::Builder::new().prefix("p2pci-lan-").tempdir()?;
        let logs = folder.path().join("logs");
        fs::create_dir(&logs)?;
        let switch = match Space::make("switch", &logs) {
            Ok(switch) => switch,
            Err(error) => {
                wait::check_interrupt()?;
                return Ok(Err(format!("the system grants no network namespace: {error:#}")));
            }
        };
        // A container may be granted namespaces, but no virtual network devices.
        if let Err(error) = switch.run("ip", &["link", "add", "lan", "type", "bridge"]) {
            wait::check_interrupt()?;
            return Ok(Err(format!("the system grants no bridge: {error:#}")));
        }
        switch.run("ip", &["link", "set", "lan", "up"])?;
        let mut lan = Self {
            peers: BTreeMap::new(),
            registry: None,
            hosts: BTreeMap::new(),
            switch,
            programs: bench.programs.clone(),
            folder,
        };
        for (name, number) in ["registry"].iter().chain(names).zip(1..) {
            lan.plug_in(name, number)?;
        }
        lan.start_registry()?;
        Ok(Ok(lan))
    }

    /// Makes a host and connects it to the switch.
    fn plug_in(&mut self, name: &'static str, number: u8) -> Result<()> {
        let space = Space::make(name, &self.logs())?;
        let (plug, switch) = (plug(name), self.switch.holder());
        space.run(
            "ip",
            &[
                "link", "add", "eth0", "type", "veth", "peer", "name", &plug, "netns", &switch,
            ],
        )?;
        space.run(
            "ip",
            &["addr", "add", &format!("{}/24", address(number)), "dev", "eth0"],
        )?;
        space.run("ip", &["link", "set", "eth0", "up"])?;
        self.switch.run("ip", &["link", "set", &plug, "master", "lan", "up"])?;
        self.hosts.insert(name, space);
        Ok(())
    }

    fn start_registry(&mut self) -> Result<()> {
        let mut command = self.command("registry", &self.programs.registry)?;
        command.args(["--listen", &format!("{REGISTRY}:{PORT}")]);
        let mut registry = Process::spawn("registry", command, &self.logs())?;
        registry.wait_for_line("its address", SOON, |line| {
            line.starts_with("registry listening on ").then_some(())
        })?;
        self.registry = Some(registry);
        Ok(())
    }

    /// Pulls a host's cable out of the switch, or plugs it in again. The host's own side only loses its carrier.
    pub fn cable(&self, host: &str, is_in: bool) -> Result<()> {
        let state = if is_in { "up" } else { "down" };
        self.switch.run("ip", &["link", "set", &plug(host), state])
    }

    /// A host.
    pub fn host(&self, name: &str) -> Result<&Space> {
        self.hosts.get(name).ok_or_else(|| anyhow!("there is no host {name}"))
    }

    /// Makes a folder for everybody to use.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Starts `peer join FOLDER --name NAME` on a host.
    pub fn join(&mut self, host: &str, name: &str, folder: &str) -> Result<()> {
        let mut command = self.peer_command(host, &format!("state/{name}"))?;
        command.args(["join", folder, "--name", name]);
        let peer = Process::spawn(name, command, &self.logs())?;
        self.peers.insert(name.to_owned(), peer);
        Ok(())
    }

    /// A peer, whether it runs or has ended.
    pub fn peer(&mut self, name: &str) -> Result<&mut Process> {
        self.peers
            .get_mut(name)
            .ok_or_else(|| anyhow!("there is no peer {name}"))
    }

    /// What the registry has reported.
    pub fn registry_log(&self) -> Result<String> {
        self.registry
            .as_ref()
            .map_or_else(|| Ok(String::new()), Process::stderr)
    }

    /// Runs a peer command on a host to its end.
    pub fn run(&self, host: &str, arguments: &[&str]) -> Result<Finished> {
        let command = self.prepare(host, arguments)?;
        process::run(&format!("peer {}", arguments.join(" ")), command, STOP_LIMIT)
    }

    /// A peer command on a host, for whoever runs several at once.
    pub fn prepare(&self, host: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = self.peer_command(host, "state/commands")?;
        command.args(arguments);
        Ok(command)
    }

    /// The active peers, as asked from a host.
    pub fn peer_rows(&self, host: &str) -> Result<Vec<PeerRow>> {
        let done = self.run(host, &["peers", "--json"])?.expect_code("peer peers", 0)?;
        json::lines(&done.stdout)?.iter().map(PeerRow::parse).collect()
    }

    /// The names of those who are handed out for an RFC to a host.
    pub fn holders(&self, host: &str, number: u32) -> Result<Vec<String>> {
        let done = self.run(host, &["lookup", &number.to_string(), "--format", "txt", "--json"])?;
        if done.code() == 3 {
            return Ok(Vec::new());
        }
        json::holder_names(&json::lines(&done.expect_code("peer lookup", 0)?.stdout)?)
    }

    /// Waits until a condition on the list of active peers, as asked from a host, holds.
    pub fn wait_for_peers(
        &self,
        host: &str,
        what: &str,
        limit: Duration,
        holds: impl Fn(&[PeerRow]) -> bool,
    ) -> Result<Duration> {
        let found = wait::until_dear(what, limit, || {
            let rows = self.peer_rows(host)?;
            Ok(if holds(&rows) {
                Look::Done(())
            } else {
                Look::NotYet(format!("{rows:?}"))
            })
        });
        let tails = || -> String { self.peers.values().chain(&self.registry).map(Process::tail).collect() };
        found
            .map(|((), took)| took)
            .map_err(|error| anyhow!("{error}{}", tails()))
    }

    /// Waits until peers of these names are registered and can be reached.
    pub fn wait_for_reachable(&self, host: &str, names: &[&str]) -> Result<Duration> {
        self.wait_for_peers(host, &format!("{names:?} to be reachable"), SOON, |rows| {
            let is_there = |name: &&str| {
                rows.iter()
                    .any(|row| row.name == **name && row.reachability == "reachable")
            };
            names.iter().all(is_there)
        })
    }

    /// Ends every process in good order, and makes sure that nothing is left.
    pub fn finish(mut self) -> Result<()> {
        for peer in self.peers.values_mut() {
            peer.signal(Signal::TERM)?;
        }
        for process in self.peers.values_mut() {
            process.ends_well(STOP_LIMIT)?;
        }
        if let Some(registry) = &mut self.registry {
            registry.stop(STOP_LIMIT)?;
        }
        for process in self.peers.values_mut().chain(&mut self.registry) {
            ensure!(process.is_gone()?, "something of {} is left", process.name());
        }
        Ok(())
    }

    fn peer_command(&self, host: &str, state: &str) -> Result<Command> {
        let mut command = self.command(host, &self.programs.peer)?;
        command
            .env("P2PCI_REGISTRY", format!("http://{REGISTRY}:{PORT}"))
            .env("P2PCI_STATE_DIR", self.folder.path().join(state));
        Ok(command)
    }

    fn command(&self, host: &str, program: &Path) -> Result<Command> {
        let mut command = self.host(host)?.command(program);
        command.current_dir(self.folder.path());
        Ok(command)
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }
}

/// The name of a host's cable at the switch. The kernel takes 15 bytes.
fn plug(host: &str) -> String {
    format!("to-{}", host.chars().take(12).collect::<String>())
}
