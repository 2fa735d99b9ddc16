//! A process with many real peers in it, which obeys commands: `peer/examples/crowd`.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ChildStdin, Command},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{faults::reporter::Reporter, process::Process, procfs, workspace};

/// How a crowd comes to be.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The program.
    pub program: PathBuf,
    /// The registry.
    pub registry: SocketAddr,
    /// What all of its peers share.
    pub folder: PathBuf,
    /// Where digests are kept.
    pub state: PathBuf,
    /// Where output goes.
    pub logs: PathBuf,
}

/// The process. It ends, and all of its peers with it, when this value goes away.
#[derive(Debug)]
pub struct Crowd {
    reporter: Reporter,
    orders: ChildStdin,
}

/// Builds the program.
pub fn build(optimised: bool) -> Result<PathBuf> {
    workspace::build_example("peer", "crowd", optimised)
}

impl Crowd {
    /// Starts the process, with no peers so far; they will be called `crowd-FIRST` and so on.
    pub fn spawn(setting: &Setting, name: &str, first: usize) -> Result<Self> {
        let mut command = Command::new(&setting.program);
        command
            .arg(format!("http://{}", setting.registry))
            .args([&setting.folder, &setting.state])
            .arg(first.to_string());
        let (process, orders) = Process::spawn_with_stdin(name, command, &setting.logs)?;
        let reporter = Reporter::follow(process, &setting.logs)?;
        Ok(Self { reporter, orders })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        self.reporter.process()
    }

    /// Gives a command.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        let name = self.process().name().to_owned();
        writeln!(self.orders, "{command}").with_context(|| format!("{name} takes no orders{}", self.process().tail()))
    }

    /// Waits for the answer to the command before.
    pub fn answer(&mut self, limit: Duration) -> Result<Value> {
        let answered = self.reporter.wait_for("an answer", limit, |value| Some(value.clone()));
        answered.map(|(answer, _)| answer)
    }

    /// Gives a command, and waits for its answer.
    pub fn ask(&mut self, command: &str, limit: Duration) -> Result<Value> {
        self.tell(command)?;
        self.answer(limit).with_context(|| format!("`{command}`"))
    }

    /// What the process takes: descriptors, and MB of memory.
    pub fn cost(&mut self) -> String {
        cost(self.process().id())
    }

    /// Lets all its peers leave, and ends it.
    pub fn stop(mut self, peers: usize, limit: Duration) -> Result<()> {
        self.ask(&format!("leave {peers}"), limit)?;
        let Self { mut reporter, orders } = self;
        // It ends when no orders can come any more.
        drop(orders);
        reporter.process().ends_well(limit).map(drop)
    }
}

/// What a process takes: descriptors, and MB of memory.
pub fn cost(process: u32) -> String {
    let descriptors = procfs::descriptors(process).unwrap_or_default();
    let memory = procfs::resident_memory(process).unwrap_or_default();
    format!("{descriptors} descriptors and {} MB", memory / 1_000_000)
}

/// Makes the folder that a crowd shares: documents that are no RFCs, with numbers from `first` on.
pub fn write_documents(folder: &Path, first: u32, count: u32) -> Result<()> {
    for number in (first..).take(usize::try_from(count)?) {
        let text = format!("A document that stands in for RFC {number}.\n");
        let path = folder.join(format!("rfc{number}.txt"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
