//! The servers that documents are had from: this project's own, rsync's daemon, and nginx.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Signal, geteuid};

use super::{corpus::Corpus, host::Host};
use crate::{
    cluster::{PeerRow, SOON, STOP_LIMIT},
    json,
    process::{self, Process},
    wait::{self, Look},
    workspace::Programs,
};

/// How often a server is started that finds its port taken: between the choice of a port and its use, any connection of
/// this machine may be lent it.
const ATTEMPTS: usize = 3;

/// The first look at a whole series hashes all of it; on a busy machine in a build without optimisation that takes this
/// long at most.
pub const SCAN_LIMIT: Duration = Duration::from_secs(10 * 60);

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A registry, and a peer that shares the documents.
    Ours,
    /// `rsync --daemon`.
    Rsync,
    /// nginx.
    Nginx,
}

/// A server at work. It ends with this value.
#[derive(Debug)]
pub struct Server {
    // The peer before the registry, so that they end in that order.
    processes: Vec<Process>,
    /// Its address, as its clients take it.
    pub url: String,
}

impl Server {
    /// Starts a server that has these documents ready.
    pub fn start(kind: Kind, host: &Host, corpus: &Corpus, programs: &Programs, work: &Path) -> Result<Self> {
        match kind {
            Kind::Ours => ours(host, host, corpus, programs, work),
            Kind::Rsync => retry(|| rsync(host, corpus, work)),
            Kind::Nginx => retry(|| nginx(host.tool("nginx"), host, corpus, work)),
        }
    }

    /// The ids of its processes, without those that they have started.
    pub fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// Fails when one of its processes has ended.
    pub fn check_runs(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check_runs)
    }
}

/// Starts a server, a few times if need be.
pub fn retry<T>(start: impl Fn() -> Result<T>) -> Result<T> {
    let mut result = start();
    for _ in 1..ATTEMPTS {
        if result.is_ok() {
            break;
        }
        wait::check_interrupt()?;
        result = start();
    }
    result
}

/// Starts a registry, and returns it with its URL.
pub fn registry(host: &Host, programs: &Programs, work: &Path) -> Result<(Process, String)> {
    let mut command = host.command(&programs.registry);
    command.args(["--listen", &format!("{}:0", host.address)]);
    command.current_dir(work);
    let mut registry = Process::spawn("registry", command, work)?;
    let (url, _) = registry.wait_for_line("its address", SOON, |line| {
        let address = line.strip_prefix("registry listening on ")?;
        Some(format!("http://{address}"))
    })?;
    Ok((registry, url))
}

/// A peer command that finds this registry, and keeps what it remembers in a folder of its own.
pub fn peer(host: &Host, programs: &Programs, registry: &str, state: &Path) -> Command {
    let mut command = host.command(&programs.peer);
    command.env("P2PCI_REGISTRY", registry).env("P2PCI_STATE_DIR", state);
    command
}

/// Starts a registry on one host, and on another one a peer that has these documents ready.
pub fn ours(registry_host: &Host, host: &Host, corpus: &Corpus, programs: &Programs, work: &Path) -> Result<Server> {
    let (registry, url) = registry(registry_host, programs, work)?;
    let mut command = peer(host, programs, &url, &work.join("state-of-seed"));
    command
        .arg("join")
        .arg(&corpus.folder)
        .args(["--name", "seed"])
        .current_dir(work);
    let mut seed = Process::spawn("seed", command, work)?;
    let rows = || -> Result<Vec<PeerRow>> {
        let mut command = peer(host, programs, &url, &work.join("state-of-looks"));
        command.args(["peers", "--json"]).current_dir(work);
        let printed = process::run("peer peers --json", command, SOON)?.expect_code("peer peers --json", 0)?;
        json::lines(&printed.stdout)?.iter().map(PeerRow::parse).collect()
    };
    let wanted = corpus.count() as u64;
    wait::until_dear("the documents to be in the index", SCAN_LIMIT, || {
        seed.check_runs()?;
        let rows = rows()?;
        let is_ready = rows
            .iter()
            .any(|row| row.documents == wanted && row.reachability == "reachable");
        Ok(if is_ready {
            Look::Done(())
        } else {
            Look::NotYet(format!("{rows:?}"))
        })
    })?;
    Ok(Server {
        processes: vec![seed, registry],
        url,
    })
}

fn rsync(host: &Host, corpus: &Corpus, work: &Path) -> Result<Server> {
    let port = Host::free_port()?;
    // As root it would otherwise read as nobody, who may not look into the folder of this run.
    let identity = if geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
    let config = format!(
        "use chroot = no\n{identity}[series]\npath = {}\nread only = yes\n",
        corpus.folder.display()
    );
    let file = write(work, "rsyncd.conf", &config)?;
    let mut command = host.tool("rsync");
    command
        .args(["--daemon", "--no-detach", &format!("--config={}", file.display())])
        .args([format!("--address={}", host.address), format!("--port={port}")])
        .current_dir(work);
    let mut daemon = Process::spawn("rsyncd", command, work)?;
    let url = format!("rsync://{}:{port}/series/", host.address);
    wait::until_dear("rsync's daemon to answer", SOON, || {
        daemon.check_runs()?;
        let mut command = host.tool("rsync");
        command.arg(format!("rsync://{}:{port}/", host.address));
        let answer = process::run("rsync", command, SOON)?;
        Ok(if answer.code() == 0 {
            Look::Done(())
        } else {
            Look::NotYet(answer.stderr)
        })
    })?;
    Ok(Server {
        processes: vec![daemon],
        url,
    })
}

/// Starts nginx by `command`, which may hold it to a core, with these documents at the top of its tree.
pub fn nginx(mut command: Command, host: &Host, corpus: &Corpus, work: &Path) -> Result<Server> {
    let port = Host::free_port()?;
    let pid_file = work.join("nginx.pid");
    let file = write(work, "nginx.conf", &nginx_config(host, port, corpus, work))?;
    command.arg("-p").arg(work).arg("-c").arg(&file).current_dir(work);
    // Before it has read its file, it would complain to a folder that may not be there.
    command.arg("-e").arg(work.join("nginx.log"));
    let mut server = Process::spawn("nginx", command, work)?;
    // It writes the file once it listens.
    wait::until("nginx to listen", SOON, || {
        server
            .check_runs()
            .with_context(|| format!("its log is {}", work.join("nginx.log").display()))?;
        let id = fs::read_to_string(&pid_file).unwrap_or_default();
        Ok(if id.trim() == server.id().to_string() {
            Look::Done(())
        } else {
            Look::NotYet("it does not".to_owned())
        })
    })?;
    Ok(Server {
        processes: vec![server],
        url: format!("http://{}:{port}/", host.address),
    })
}

/// What nginx is told: its defaults for static files, no log of accesses, and connections that stay open for the whole
/// series.
fn nginx_config(host: &Host, port: u16, corpus: &Corpus, work: &Path) -> String {
    let (user, work) = (
        if geteuid().is_root() { "user root root;\n" } else { "" },
        work.display(),
    );
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {work}/nginx-{name};\n"))
        .concat();
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {work}/nginx.pid;\nerror_log {work}/nginx.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\naccess_log off;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 1000000;\n{temporary}\
         default_type application/octet-stream;\n\
         server {{ listen {}:{port}; root {}; }}\n}}\n",
        host.address,
        corpus.folder.display()
    )
}

fn write(work: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = work.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

impl Server {
    /// Asks its processes to end, and waits until they have.
    pub fn stop(mut self) -> Result<()> {
        for process in &mut self.processes {
            process.signal(Signal::TERM)?;
            wait::until(&format!("the end of {}", process.name()), STOP_LIMIT, || {
                Ok(if process.runs()? {
                    Look::NotYet("it still runs".to_owned())
                } else {
                    Look::Done(())
                })
            })?;
        }
        Ok(())
    }

    /// The first of its processes: the one that has the documents.
    pub fn first(&self) -> Result<u32> {
        let first = self.processes.first().map(Process::id);
        first.ok_or_else(|| anyhow!("a server without processes"))
    }
}

/// Fails when a folder's name holds what the files of servers' settings would take apart.
pub fn check_plain(folder: &Path) -> Result<()> {
    let text = folder.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.chars().all(is_plain) {
        bail!("the folder {text} has a name that nginx and rsync cannot take; set TMPDIR to another one");
    }
    Ok(())
}
