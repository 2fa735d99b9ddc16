//! A contest: several ways to carry the same documents, run in turn, each into an empty place.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, ensure};

use super::{
    corpus::Corpus,
    figures::Sample,
    host::Host,
    meter,
    report::Row,
    server::{self, Kind, Server},
    target::Targets,
};
use crate::{json, tools, wait, workspace::Programs};

/// What makes the commands of one run.
type Make = Box<dyn Fn(&Run<'_>) -> Result<Vec<Command>>>;

/// What shows that everything arrived.
#[derive(Debug, Clone, Copy)]
enum Evidence {
    /// The files in the target.
    Files,
    /// The bytes that the last command says it received, as this reads them out of what it printed.
    Told(fn(&str) -> Result<u64>),
}

/// One way to carry documents.
pub struct Contestant {
    /// Its name in tables.
    pub name: String,
    /// The programs that it needs.
    needs: Vec<&'static str>,
    /// What it has the documents from; none for those that read them from the folder.
    server: Option<Kind>,
    /// Repetitions at most; it takes part in all of them otherwise.
    at_most: Option<usize>,
    /// Why it cannot take part, beside programs that are missing.
    unable: Option<String>,
    /// The commands that carry the documents.
    make: Make,
    evidence: Evidence,
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One run of a contestant.
#[derive(Debug)]
pub struct Run<'a> {
    arena: &'a Arena<'a>,
    /// The server's address.
    pub url: &'a str,
    /// The empty folder to write to.
    pub target: &'a Path,
    /// A folder of this run's own.
    pub work: PathBuf,
}

impl Run<'_> {
    /// A command of an installed program, on the host of clients.
    pub fn tool(&self, name: &str) -> Command {
        self.arena.near.tool(name)
    }

    /// The documents.
    pub fn corpus(&self) -> &Corpus {
        self.arena.corpus
    }

    /// A list of what to download, a line each, for programs that read such a list.
    pub fn list(&self, line: impl Fn(&str, &str) -> String) -> Result<PathBuf> {
        let path = self.work.join("list");
        let text: String = self.corpus().names.iter().map(|name| line(self.url, name)).collect();
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// `peer mirror --to TARGET` with these options.
    pub fn mirror(&self, options: &[String]) -> Command {
        let mut command = server::peer(self.arena.near, self.arena.programs, self.url, &self.work.join("state"));
        command
            .args(["mirror", "--json", "--to"])
            .arg(self.target)
            .args(options);
        command.current_dir(&self.work);
        command
    }
}

impl Contestant {
    /// `peer mirror` with these options.
    pub fn ours(name: &str, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        Self::new(name, &[], Some(Kind::Ours), move |run| Ok(vec![run.mirror(&options)]))
    }

    /// `rsync` with these options, from its own daemon.
    pub fn rsync(name: &str, options: &'static [&'static str]) -> Self {
        Self::new(name, &["rsync"], Some(Kind::Rsync), move |run| {
            Ok(vec![rsync(run, options)])
        })
    }

    /// `rsync`, and then forcing what it wrote to the disk.
    pub fn rsync_and_sync(name: &str) -> Self {
        Self::new(name, &["rsync", "sync"], Some(Kind::Rsync), |run| {
            let mut sync = run.tool("sync");
            sync.arg("-f").arg(run.target);
            Ok(vec![rsync(run, &["-a"]), sync])
        })
    }

    /// One `curl` that downloads everything from nginx.
    pub fn curl(name: &str) -> Self {
        Self::new(name, &["nginx", "curl"], Some(Kind::Nginx), |run| {
            let list = run.list(|url, name| format!("url = \"{url}{name}\"\noutput = \"{name}\"\n"))?;
            let mut command = run.tool("curl");
            // Its own settings are passed over, which must be said first.
            command
                .args(["--disable", "--http1.1", "--silent", "--show-error", "--fail"])
                .args(["--parallel", "--parallel-max", "16", "--config"])
                .arg(list)
                .current_dir(run.target);
            Ok(vec![command])
        })
    }

    /// One `curl` that downloads everything from nginx and keeps nothing, so many documents at a time, each on a
    /// connection of its own that it uses for the next one as well.
    pub fn curl_to_nowhere(name: &str, at_a_time: usize) -> Self {
        let made = Self::new(name, &["nginx", "curl"], Some(Kind::Nginx), move |run| {
            let list = run.list(|url, name| format!("url = \"{url}{name}\"\noutput = \"/dev/null\"\n"))?;
            let mut command = run.tool("curl");
            command
                .args(["--disable", "--http1.1", "--silent", "--show-error", "--fail"])
                .args(["--write-out", "%{size_download}\n"]);
            if at_a_time > 1 {
                command.args(["--parallel", "--parallel-max", &at_a_time.to_string()]);
            }
            command.arg("--config").arg(list);
            Ok(vec![command])
        });
        made.keeping_nothing(|printed| {
            printed.lines().try_fold(0, |sum, line| {
                let bytes: u64 = line.trim().parse().with_context(|| format!("no number: {line}"))?;
                Ok(sum + bytes)
            })
        })
    }

    /// The example `drain` of package `peer`, which receives everything and keeps nothing.
    pub fn drain(name: &str, program: PathBuf, mode: &'static str) -> Self {
        let made = Self::new(name, &[], Some(Kind::Ours), move |run| {
            let mut command = run.arena.near.command(&program);
            command.args([run.url, mode]);
            Ok(vec![command])
        });
        made.keeping_nothing(|printed| {
            let lines = json::lines(printed)?;
            json::number(lines.first().context("it printed nothing")?, "/bytes")
        })
    }

    /// One `aria2c` that downloads everything from nginx.
    pub fn aria2(name: &str) -> Self {
        Self::new(name, &["nginx", "aria2c"], Some(Kind::Nginx), |run| {
            let list = run.list(|url, name| format!("{url}{name}\n"))?;
            let mut command = run.tool("aria2c");
            command
                .args(["--no-conf", "--quiet", "--file-allocation=none", "-j16", "-i"])
                .arg(list)
                .arg("-d")
                .arg(run.target);
            Ok(vec![command])
        })
    }

    /// `cp -r`, from folder to folder: no network, nothing verified.
    pub fn cp(name: &str) -> Self {
        Self::new(name, &["cp"], None, |run| {
            let mut command = run.tool("cp");
            command.arg("-r").arg(run.corpus().folder.join(".")).arg(run.target);
            Ok(vec![command])
        })
    }

    /// The example `floor` of package `peer`: what the bytes and the files take, whoever carries them.
    pub fn floor(name: &str, program: PathBuf) -> Self {
        Self::new(name, &[], None, move |run| {
            let mut command = run.arena.near.command(&program);
            command.arg(&run.corpus().folder).arg(run.target);
            Ok(vec![command])
        })
    }

    fn new(
        name: &str,
        needs: &[&'static str],
        server: Option<Kind>,
        make: impl Fn(&Run<'_>) -> Result<Vec<Command>> + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            needs: needs.to_vec(),
            server,
            at_most: None,
            unable: None,
            make: Box::new(make),
            evidence: Evidence::Files,
        }
    }

    /// The same; it keeps nothing, and tells how many bytes arrived.
    fn keeping_nothing(mut self, told: fn(&str) -> Result<u64>) -> Self {
        self.evidence = Evidence::Told(told);
        self
    }

    /// The same, in so many repetitions at most.
    pub fn at_most(mut self, repetitions: usize) -> Self {
        self.at_most = Some(repetitions);
        self
    }

    /// The same, unless there is a reason why it cannot take part.
    pub fn unless(mut self, reason: Option<String>) -> Self {
        self.unable = reason;
        self
    }

    /// Why it cannot take part, if so.
    fn missing(&self) -> Option<String> {
        if self.at_most == Some(0) {
            return Some("left out as was asked for".to_owned());
        }
        let tool = self.needs.iter().find(|tool| !tools::has(tool));
        tool.map(|tool| format!("`{tool}` is not installed"))
            .or_else(|| self.unable.clone())
    }
}

fn rsync(run: &Run<'_>, options: &[&str]) -> Command {
    let mut command = run.tool("rsync");
    command.args(options).arg(run.url).arg(run.target);
    command
}

/// Where a contest takes place.
#[derive(Debug)]
pub struct Arena<'a> {
    /// The name of the benchmark, for who watches.
    pub name: &'a str,
    /// The host of clients.
    pub near: &'a Host,
    /// The host of servers.
    pub far: &'a Host,
    /// The documents.
    pub corpus: &'a Corpus,
    /// Our programs.
    pub programs: &'a Programs,
    /// Where documents are written to.
    pub targets: &'a Targets,
    /// A folder for everything else.
    pub work: &'a Path,
}

impl Arena<'_> {
    /// Runs every contestant once in each repetition. Each repetition begins with another one, so that none always
    /// follows the same.
    pub fn hold(&self, contestants: &[Contestant], repetitions: usize) -> Result<Vec<Row>> {
        let mut servers = self.start_servers(contestants)?;
        let mut rows: Vec<Row> = contestants
            .iter()
            .map(|contestant| Row::new(&contestant.name, contestant.missing()))
            .collect();
        for repetition in 0..repetitions {
            for place in 0..contestants.len() {
                let index = (place + repetition) % contestants.len();
                let (Some(contestant), Some(row)) = (contestants.get(index), rows.get_mut(index)) else {
                    continue;
                };
                if row.skipped.is_some() || contestant.at_most.is_some_and(|most| repetition >= most) {
                    continue;
                }
                let server = contestant.server.and_then(|kind| servers.get_mut(&kind));
                let sample = self
                    .run_once(contestant, server)
                    .with_context(|| format!("{}: {}", self.name, contestant.name))?;
                sample.tell(self.name, &contestant.name, repetition, repetitions);
                row.samples.push(sample);
            }
        }
        for server in servers.into_values() {
            server.stop()?;
        }
        Ok(rows)
    }

    fn start_servers(&self, contestants: &[Contestant]) -> Result<BTreeMap<Kind, Server>> {
        let mut servers = BTreeMap::new();
        let present = contestants.iter().filter(|contestant| contestant.missing().is_none());
        for kind in present.filter_map(|contestant| contestant.server) {
            if let Entry::Vacant(entry) = servers.entry(kind) {
                entry.insert(Server::start(kind, self.far, self.corpus, self.programs, self.work)?);
            }
        }
        Ok(servers)
    }

    /// Runs a contestant once, and compares what arrived with what was sent; that is not timed.
    fn run_once(&self, contestant: &Contestant, server: Option<&mut Server>) -> Result<Sample> {
        wait::check_interrupt()?;
        let target = self.targets.fresh()?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(self.work)?;
        let (url, ids) = match server {
            Some(server) => {
                server.check_runs()?;
                (server.url.clone(), server.ids())
            }
            None => (String::new(), Vec::new()),
        };
        let run = Run {
            arena: self,
            url: &url,
            target: target.path(),
            work: folder.path().to_owned(),
        };
        let commands = (contestant.make)(&run)?;
        let (sample, last) = meter::run(&contestant.name, commands, &ids)?;
        match contestant.evidence {
            Evidence::Files => self
                .corpus
                .check_copy(target.path())
                .map_err(|error| anyhow!("what arrived is not what was sent: {error:#}"))?,
            Evidence::Told(read) => {
                let told = read(&last.context("no command was run")?.stdout)?;
                let sent = self.corpus.bytes;
                ensure!(told == sent, "{told} bytes arrived, but {sent} were sent");
            }
        }
        Ok(sample)
    }
}
