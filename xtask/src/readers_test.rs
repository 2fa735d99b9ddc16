//! `cargo xtask readers-test`: public tools read RFCs from the sites of peers whose own folders are empty.
//!
//! curl, wget and aria2 know nothing of this project: they are asked for what the clients of the RFC Editor's site ask for.
//! What is not installed is left out.

mod curl;
mod mirror;
mod wget;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    console, documents, process, tools, wait, workspace,
};

/// RFCs that are mirrored from several sites at once.
const SERIES: u32 = 1000;

/// Numbers of which tools have miscounted the digits.
const LONG_NUMBERS: [u32; 3] = [10_000, 10_052, 100_000];

/// How long one request of a tool may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// A peer with RFCs, and two sites of peers with empty folders.
struct Swarm {
    cluster: Cluster,
    /// What the first peer shares.
    source: PathBuf,
    one: String,
    two: String,
}

/// Runs every check whose tool is installed.
pub fn run() -> Result<Outcome> {
    let missing: Vec<&str> = ["curl", "wget", "aria2c"]
        .into_iter()
        .filter(|tool| !tools::has(tool))
        .collect();
    if missing.len() == 3 {
        return Ok(Outcome::Skipped("curl, wget and aria2 are not installed".into()));
    }
    let mut swarm = Swarm::start()?;
    if tools::has("curl") {
        curl::run(&swarm)?;
    }
    if tools::has("wget") {
        wget::run(&swarm)?;
    }
    if tools::has("aria2c") {
        mirror::run(&mut swarm)?;
    }
    let took = swarm.cluster.stop_all()?;
    println!("ok  everything ended with exit code 0 in {}", console::seconds(took));
    let without = if missing.is_empty() {
        String::new()
    } else {
        format!("; not installed: {}", missing.join(", "))
    };
    Ok(Outcome::Passed(format!("the tools got what they asked for{without}")))
}

impl Swarm {
    fn start() -> Result<Self> {
        let mut cluster = Cluster::new(workspace::build()?)?;
        cluster.start_registry()?;
        let source = cluster.make_folder("source")?;
        for number in (1..=SERIES).chain(LONG_NUMBERS) {
            fs::write(source.join(format!("rfc{number}.txt")), synthetic(number))?;
        }
        let samples = workspace::root().join("xtask/samples/alice");
        for file in ["rfc9110.txt", "rfc9110.json", "rfc8174.txt", "rfc8174.json"] {
            documents::copy_into(&samples.join(file), &source)?;
        }
        let documents = u64::from(SERIES) + LONG_NUMBERS.len() as u64 + 4;
        cluster.join("source", "source")?;
        cluster.wait_for_peers("the source to be registered", SOON, |rows| {
            rows.iter()
                .any(|row| row.documents == documents && row.reachability == "reachable")
        })?;
        let mut sites = Vec::new();
        for name in ["one", "two"] {
            cluster.make_folder(name)?;
            cluster.join_with(name, name, &["--http", "127.0.0.1:0"])?;
            let (url, _) = cluster.peer(name)?.wait_for_line("where its site is", SOON, |line| {
                line.strip_prefix("RFCs at ")
                    .map(|url| url.trim_end_matches('/').to_owned())
            })?;
            sites.push(url);
        }
        let [one, two] = <[String; 2]>::try_from(sites).ok().context("not two sites")?;
        Ok(Self {
            cluster,
            source,
            one,
            two,
        })
    }

    /// Runs a tool in a folder of its own.
    fn tool(&self, name: &str, folder: &Path, arguments: &[&str]) -> Result<process::Finished> {
        let mut command = Command::new(name);
        command.current_dir(folder).args(arguments);
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        process::run(&format!("{name} {}", arguments.join(" ")), command, REQUEST_LIMIT)
    }

    /// Checks that a file is the source's document of that name.
    fn check_same(&self, file: &Path, name: &str) -> Result<()> {
        let (got, wanted) = (documents::sha256(file)?, documents::sha256(&self.source.join(name))?);
        ensure!(got == wanted, "{} is not the {name} that was shared", file.display());
        Ok(())
    }
}

/// Any bytes that are longer for some numbers than for others, and for no two the same.
fn synthetic(number: u32) -> Vec<u8> {
    let line = format!("RFC {number} says nothing, line after line.\n");
    let lines = 20 + (number as usize * 7919) % 1500;
    line.repeat(lines).into_bytes()
}

/// Waits until a site has learnt of the facts and sites of others, which it does within seconds.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let found = wait::until_dear(what, REQUEST_LIMIT, || {
        Ok(match look()? {
            Some(found) => wait::Look::Done(found),
            None => wait::Look::NotYet("not yet".into()),
        })
    });
    found.map(|(found, _)| found)
}
