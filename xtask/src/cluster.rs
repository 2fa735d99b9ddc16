//! A cluster of real processes on this machine: a registry and peers, in a folder of their own.
//!
//! Every port is chosen by the system. Every process ends, and the folder goes away, with the [`Cluster`].

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    json,
    process::{self, Finished, Process},
    wait::{self, Look},
    workspace::Programs,
};

/// A registry has settled when nobody has come for 20 s.
const CONVERGED_LIMIT: Duration = Duration::from_secs(40);

/// The limit for whatever takes a fraction of a second on an idle machine: a start, an answer, a registration.
pub const SOON: Duration = Duration::from_secs(15);

/// Upper bounds of what the two programs promise for their own ending, with a little to spare: 8 s for the registry,
/// 30 s for a peer with uploads.
pub const STOP_LIMIT: Duration = Duration::from_secs(32);

/// An active peer, as `peer peers --json` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRow {
    /// The peer's name.
    pub name: String,
    /// Where it serves documents.
    pub address: String,
    /// Whether the registry could connect back to it.
    pub reachability: String,
    /// How many documents it shares, all formats together.
    pub documents: u64,
}

impl PeerRow {
    /// Reads a line of `peer peers --json`.
    pub fn parse(value: &Value) -> Result<Self> {
        let counts = value.pointer("/documents").and_then(Value::as_object);
        Ok(Self {
            name: json::text(value, "/name")?.to_owned(),
            address: json::text(value, "/address")?.to_owned(),
            reachability: json::text(value, "/reachability")?.to_owned(),
            documents: counts.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum()),
        })
    }
}

/// A registry and peers, all of them real processes.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: the processes before the folder that they work in.
    peers: BTreeMap<String, Process>,
    registry: Option<Process>,
    registry_options: Vec<String>,
    address: Option<SocketAddr>,
    programs: Programs,
    folder: TempDir,
}

impl Cluster {
    /// Makes the cluster's folder; nothing runs yet.
    pub fn new(programs: Programs) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("p2pci-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        fs::create_dir(folder.path().join("logs"))?;
        fs::create_dir(folder.path().join("state"))?;
        Ok(Self {
            peers: BTreeMap::new(),
            registry: None,
            registry_options: Vec::new(),
            address: None,
            programs,
            folder,
        })
    }

    /// The folder in which every process of the cluster runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder with the output of every process.
    pub fn logs(&self) -> PathBuf {
        self.folder().join("logs")
    }

    /// The two programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Makes a folder inside the cluster's folder.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Where the registry listens.
    pub fn registry_address(&self) -> Result<SocketAddr> {
        self.address.ok_or_else(|| anyhow!("no registry has been started"))
    }

    /// The registry, while there is one.
    pub fn registry(&mut self) -> Result<&mut Process> {
        self.registry.as_mut().ok_or_else(|| anyhow!("no registry runs"))
    }

    /// Gives the registry these options, beside where to listen, whenever it is started from now on.
    pub fn set_registry_options(&mut self, options: &[&str]) {
        self.registry_options = options.iter().map(|&option| option.to_owned()).collect();
    }

    /// Starts the registry: the first time on a port of the system's choice, later on that same port.
    pub fn start_registry(&mut self) -> Result<Duration> {
        let listen = self
            .address
            .map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
        let start = wait::now();
        // While no registry runs, the system may have lent its port to a connection for a moment: any program on this
        // machine that connects somewhere gets such a port. A registry that finds it taken ends at once.
        loop {
            let mut command = self.command(&self.programs.registry);
            command.args(["--listen", &listen]).args(&self.registry_options);
            let mut registry = Process::spawn("registry", command, &self.logs())?;
            let started = registry.wait_for_line("its address", SOON, |line| {
                line.strip_prefix("registry listening on ")
                    .and_then(|address| address.parse().ok())
            });
            match started {
                Ok((address, _)) => {
                    self.address = Some(address);
                    self.registry = Some(registry);
                    return Ok(start.elapsed());
                }
                Err(error) if self.address.is_none() || start.elapsed() > SOON => return Err(error),
                Err(_) => wait::check_interrupt()?,
            }
        }
    }

    /// Starts `peer join FOLDER --name NAME`, in its own state folder.
    pub fn join(&mut self, name: &str, folder: &str) -> Result<()> {
        self.join_with(name, folder, &[])
    }

    /// The same with more options.
    pub fn join_with(&mut self, name: &str, folder: &str, options: &[&str]) -> Result<()> {
        let mut command = self.peer_command()?;
        command.args(["join", folder, "--name", name]).args(options);
        command.env("P2PCI_STATE_DIR", self.folder().join("state").join(name));
        let peer = Process::spawn(name, command, &self.logs())?;
        self.peers.insert(name.to_owned(), peer);
        Ok(())
    }

    /// A peer of this cluster, whether it runs or has ended.
    pub fn peer(&mut self, name: &str) -> Result<&mut Process> {
        self.peers
            .get_mut(name)
            .ok_or_else(|| anyhow!("there is no peer {name}"))
    }

    /// Every peer that was started, the ended ones included.
    pub fn peers(&mut self) -> impl Iterator<Item = &mut Process> {
        self.peers.values_mut()
    }

    /// Fails when a process has ended that nobody asked to.
    pub fn check_all_run(&mut self) -> Result<()> {
        self.registry
            .iter_mut()
            .chain(self.peers.values_mut())
            .try_for_each(Process::check_runs)
    }

    /// A peer command that finds this cluster's registry.
    pub fn peer_command(&self) -> Result<Command> {
        let mut command = self.command(&self.programs.peer);
        command.env("P2PCI_REGISTRY", format!("http://{}", self.registry_address()?));
        Ok(command)
    }

    /// Runs a peer command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.peer_command()?;
        // A state folder of its own, so that nothing outside the cluster's folder is touched.
        command
            .args(arguments)
            .env("P2PCI_STATE_DIR", self.folder().join("state/commands"));
        process::run(&format!("peer {}", arguments.join(" ")), command, STOP_LIMIT)
    }

    /// Runs a peer command with `--json` that should succeed, and returns what it printed.
    pub fn json(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let arguments = [arguments, &["--json"]].concat();
        let done = self
            .run(&arguments)?
            .expect_code(&format!("peer {}", arguments.join(" ")), 0)?;
        json::lines(&done.stdout)
    }

    /// The active peers.
    pub fn peer_rows(&self) -> Result<Vec<PeerRow>> {
        self.json(&["peers"])?.iter().map(PeerRow::parse).collect()
    }

    /// The names of the peers that hold an RFC's text, in alphabetical order; none when nobody does.
    pub fn holders(&self, number: u32) -> Result<Vec<String>> {
        let number = number.to_string();
        let arguments = ["lookup", &number, "--format", "txt", "--json"];
        let done = self.run(&arguments)?;
        if done.code() == 3 {
            return Ok(vec![]);
        }
        let done = done.expect_code(&format!("peer {}", arguments.join(" ")), 0)?;
        json::holder_names(&json::lines(&done.stdout)?)
    }

    /// Waits until the registry no longer says that it has just started.
    pub fn wait_until_converged(&self) -> Result<()> {
        // What nobody has.
        let number = u32::MAX.to_string();
        let converged = || {
            let done = self.run(&["lookup", &number])?;
            Ok(if done.stderr.contains("has just started") {
                Look::NotYet(done.stderr)
            } else {
                Look::Done(())
            })
        };
        wait::until_dear("the registry to have settled", CONVERGED_LIMIT, converged).map(|((), _)| ())
    }

    /// Waits until exactly these peers hold an RFC's text, and tells how long that took.
    pub fn wait_for_holders(&mut self, number: u32, wanted: &[&str], limit: Duration) -> Result<Duration> {
        let mut wanted: Vec<&str> = wanted.to_vec();
        wanted.sort_unstable();
        let what = format!("RFC {number} to be held by {wanted:?}");
        let found = wait::until_dear(&what, limit, || {
            self.check_all_run()?;
            let holders = self.holders(number)?;
            Ok(if holders == wanted {
                Look::Done(())
            } else {
                Look::NotYet(format!("held by {holders:?}"))
            })
        });
        found.map(|((), took)| took).map_err(|error| self.with_logs(error))
    }

    /// Waits until a condition on the list of active peers holds, and tells how long that took.
    pub fn wait_for_peers(
        &mut self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&[PeerRow]) -> bool,
    ) -> Result<(Vec<PeerRow>, Duration)> {
        let found = wait::until_dear(what, limit, || {
            self.check_all_run()?;
            let rows = self.peer_rows()?;
            Ok(if holds(&rows) {
                Look::Done(rows)
            } else {
                Look::NotYet(format!("{rows:?}"))
            })
        });
        found.map_err(|error| self.with_logs(error))
    }

    /// Asks every process that still runs to end, the peers first, and expects each to do so with exit code 0. Returns
    /// how long that took.
    pub fn stop_all(&mut self) -> Result<Duration> {
        let start = wait::now();
        // All peers at once, because each may take its time.
        for peer in self.peers.values_mut() {
            peer.signal(Signal::TERM)?;
        }
        for peer in self.peers.values_mut() {
            peer.ends_well(STOP_LIMIT)?;
        }
        if let Some(registry) = &mut self.registry {
            registry.stop(STOP_LIMIT)?;
        }
        Ok(start.elapsed())
    }

    /// Checks that every process has ended and left none of its own behind.
    pub fn check_all_gone(&mut self) -> Result<()> {
        for process in self.registry.iter_mut().chain(self.peers.values_mut()) {
            ensure!(process.is_gone()?, "something of {} is left", process.name());
        }
        Ok(())
    }

    /// Removes the folder, and tells which one it was.
    pub fn remove(self) -> Result<PathBuf> {
        drop((self.peers, self.registry));
        let path = self.folder.path().to_owned();
        self.folder
            .close()
            .with_context(|| format!("cannot remove {}", path.display()))?;
        Ok(path)
    }

    /// Adds the last words of every process to an error.
    fn with_logs(&self, error: anyhow::Error) -> anyhow::Error {
        let processes = self.registry.iter().chain(self.peers.values());
        let tails: String = processes.map(Process::tail).collect();
        anyhow!("{error}{tails}")
    }

    /// A command in the cluster's folder, with nothing of the user's settings in it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env_remove("P2PCI_REGISTRY")
            .env_remove("P2PCI_STATE_DIR");
        command
    }
}
