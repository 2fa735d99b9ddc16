//! `bench site`: RFCs over HTTP from a peer's site, beside nginx; and how long one takes that only another peer has.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Setting,
    corpus::Corpus,
    figures::Sample,
    host::Host,
    report::{Report, Row},
    server::{self, SCAN_LIMIT, Server},
};
use crate::{
    cluster::{SOON, STOP_LIMIT},
    process::{self, Process},
    tools, wait,
};

/// The rows, in the order in which they are measured.
const OURS: &str = "peer join --http: requests";
const NGINX: &str = "nginx: requests";
const DISK: &str = "peer join --http: opened, from disk";
const ELSEWHERE: &str = "peer join --http: opened, from another peer";

/// Requests that are under way at a time: a reader with several tools, or a few readers.
const CONNECTIONS: usize = 16;

/// How long requests are counted, in seconds; and where it is only to be seen that it works.
const COUNTED_S: u32 = 10;
const COUNTED_SMOKE_S: u32 = 1;

/// RFCs that are opened one by one, to tell how long that takes.
const OPENED: usize = 200;

/// Compares a peer's site with nginx, and what is here with what is not.
pub fn run(setting: &Setting) -> Result<Report> {
    let corpus = setting.series()?;
    let work = setting.folder("site")?;
    let missing = ["nginx", "wrk", "taskset"].into_iter().find(|tool| !tools::has(tool));
    let mut skipped = missing.map(|tool| format!("`{tool}` is not installed"));
    if cores() < 2 {
        skipped = Some("the server and its readers need a core each".to_owned());
    }
    let without_curl = (!tools::has("curl")).then(|| "`curl` is not installed".to_owned());
    let mut rows = [
        Row::new(OURS, skipped.clone()),
        Row::new(NGINX, skipped.clone()),
        Row::new(DISK, without_curl.clone()),
        Row::new(ELSEWHERE, without_curl.clone()),
    ];
    let mut stage = Stage::start(setting, corpus, &work)?;
    for repetition in 0..setting.repetitions {
        let [ours, theirs, disk, elsewhere] = &mut rows;
        if skipped.is_none() {
            stage.count(ours, theirs, repetition)?;
        }
        if without_curl.is_none() {
            let (from_disk, from_elsewhere) = stage.open(repetition)?;
            disk.samples.push(from_disk);
            elsewhere.samples.push(from_elsewhere);
        }
    }
    stage.stop()?;
    let mut report = Report::new("site", "RFCs over HTTP", corpus, rows.into());
    report.references = vec![("nginx", NGINX)];
    report.conditions = vec![
        format!(
            "requests: whole texts in random order on {CONNECTIONS} connections, by wrk on one core from a server on another; the \
             files are in memory; timed: what 10,000 of them take"
        ),
        format!(
            "opened: {OPENED} texts, one after the other and each on a connection of its own, by curl; from another peer: of \
             the same machine, to a site whose folder is empty; timed: half of them take this long at most"
        ),
    ];
    Ok(report)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Everything that serves, for as long as the benchmark takes.
struct Stage<'a> {
    setting: &'a Setting,
    corpus: &'a Corpus,
    work: &'a Path,
    registry: Process,
    registry_url: String,
    /// A peer with everything, and where its site is.
    full: Process,
    full_url: String,
    nginx: Option<Server>,
}

impl<'a> Stage<'a> {
    fn start(setting: &'a Setting, corpus: &'a Corpus, work: &'a Path) -> Result<Self> {
        let host = Host::this();
        let (registry, registry_url) = server::registry(&host, &setting.programs, work)?;
        let (full, full_url) = site(setting, &registry_url, "full", &corpus.folder, work)?;
        let has_nginx = tools::has("nginx") && tools::has("taskset") && cores() > 1;
        let nginx = || {
            let mut command = host.tool("taskset");
            command.args(["-c", "0", "nginx"]);
            server::nginx(command, &host, corpus, work)
        };
        Ok(Self {
            setting,
            corpus,
            work,
            registry,
            registry_url,
            full,
            full_url,
            nginx: has_nginx.then(|| server::retry(nginx)).transpose()?,
        })
    }

    /// Counts requests of both servers, the one first and then the other in turn.
    fn count(&mut self, ours: &mut Row, theirs: &mut Row, repetition: usize) -> Result<()> {
        let script = self.work.join("paths.lua");
        fs::write(&script, self.script())?;
        let nginx = self.nginx.as_mut().context("nginx was not started")?;
        nginx.check_runs()?;
        self.full.check_runs()?;
        let of_ours = format!("{}/rfc/", self.full_url);
        let of_nginx = nginx.url.clone();
        let mut turns = [(ours, of_ours), (theirs, of_nginx)];
        if repetition % 2 == 1 {
            turns.reverse();
        }
        for (row, base) in turns {
            let sample = wrk(&script, &base, self.setting.smoke)?;
            sample.tell("site", &row.name, repetition, self.setting.repetitions);
            row.samples.push(sample);
        }
        Ok(())
    }

    /// What wrk asks for: below the path that it is given, any of the texts.
    fn script(&self) -> String {
        let names: Vec<String> = self.corpus.names.iter().map(|name| format!("\"{name}\"")).collect();
        format!(
            "local names = {{{}}}\nlocal base = \"/\"\nfunction init(args) base = args[1]; math.randomseed(7) end\n\
             request = function() return wrk.format(\"GET\", base .. names[math.random(#names)]) end\n",
            names.join(",")
        )
    }

    /// Opens texts from disk, and the same ones at a site that has none of them.
    fn open(&self, repetition: usize) -> Result<(Sample, Sample)> {
        let folder = tempfile::Builder::new().prefix("empty-").tempdir_in(self.work)?;
        let (mut empty, empty_url) = site(self.setting, &self.registry_url, "empty", folder.path(), self.work)?;
        let step = (self.corpus.names.len() / OPENED).max(1);
        let names: Vec<&str> = self
            .corpus
            .names
            .iter()
            .step_by(step)
            .take(OPENED)
            .map(String::as_str)
            .collect();
        let disk = open_each(&self.full_url, &names)?;
        let elsewhere = open_each(&empty_url, &names)?;
        for (sample, name) in [(&disk, DISK), (&elsewhere, ELSEWHERE)] {
            sample.tell("site", name, repetition, self.setting.repetitions);
        }
        empty.stop(STOP_LIMIT)?;
        Ok((disk, elsewhere))
    }

    fn stop(self) -> Result<()> {
        let Self {
            mut registry,
            mut full,
            nginx,
            ..
        } = self;
        full.stop(STOP_LIMIT)?;
        registry.stop(STOP_LIMIT)?;
        nginx.map_or(Ok(()), Server::stop)
    }
}

/// Starts a peer with a site, on one core where there are several, and waits until its documents are in the index.
fn site(setting: &Setting, registry: &str, name: &str, folder: &Path, work: &Path) -> Result<(Process, String)> {
    let host = Host::this();
    let has_documents = fs::read_dir(folder)?.next().is_some();
    let peer = server::peer(
        &host,
        &setting.programs,
        registry,
        &work.join(format!("state-of-{name}")),
    );
    let mut command = if cores() > 1 && tools::has("taskset") {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", "0"]).arg(peer.get_program()).args(peer.get_args());
        for (variable, value) in peer.get_envs() {
            match value {
                Some(value) => pinned.env(variable, value),
                None => pinned.env_remove(variable),
            };
        }
        pinned
    } else {
        peer
    };
    command
        .arg("join")
        .arg(folder)
        .args(["--name", name, "--http", "127.0.0.1:0"])
        .current_dir(work);
    let mut process = Process::spawn(name, command, work)?;
    let (url, _) = process.wait_for_line("where its site is", SCAN_LIMIT, |line| {
        line.strip_prefix("RFCs at ")
            .map(|url| url.trim_end_matches('/').to_owned())
    })?;
    process.wait_for_line("that it can be reached", SOON, |line| {
        line.starts_with("others can reach ").then_some(())
    })?;
    if has_documents {
        process.wait_for_line("that it is listed", SOON, |line| {
            line.starts_with("announced ").then_some(())
        })?;
    }
    Ok((process, url))
}

/// Counts what a server answers.
fn wrk(script: &Path, base: &str, smoke: bool) -> Result<Sample> {
    let seconds = if smoke { COUNTED_SMOKE_S } else { COUNTED_S };
    let (origin, path) = base.split_at(base.match_indices('/').nth(2).context("no URL")?.0);
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "wrk", "-t1", "--latency"]);
    command.args([format!("-c{CONNECTIONS}"), format!("-d{seconds}")]);
    command.arg("-s").arg(script).arg(origin).arg("--").arg(path);
    let limit = SOON + Duration::from_secs(u64::from(seconds));
    let done = process::run("wrk", command, limit)?.expect_code("wrk", 0)?;
    ensure!(
        !done.stdout.contains("Non-2xx"),
        "something was not found at {base}: {}",
        done.stdout
    );
    read(&done.stdout).with_context(|| format!("cannot read what wrk printed: {}", done.stdout))
}

/// Reads what wrk prints: how many requests each second, and how long half of them and 99 of a hundred took at most.
fn read(printed: &str) -> Option<Sample> {
    let after = |name: &str| {
        let line = printed.lines().find(|line| line.trim_start().starts_with(name))?;
        line.split_whitespace().nth(1)
    };
    let per_second: f64 = after("Requests/sec:")?.parse().ok()?;
    let answer_ms = Some((milliseconds(after("50%")?)?, milliseconds(after("99%")?)?));
    Some(Sample {
        wall: Duration::from_secs_f64(10_000.0 / per_second),
        per_second: Some(per_second),
        answer_ms,
        ..Sample::default()
    })
}

/// `731.00us`, `2.26ms`, `1.02s`.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, scale) = match text {
        text if text.ends_with("us") => (text.strip_suffix("us")?, 0.001),
        text if text.ends_with("ms") => (text.strip_suffix("ms")?, 1.0),
        text => (text.strip_suffix('s')?, 1000.0),
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}

/// Opens texts one after the other.
fn open_each(url: &str, names: &[&str]) -> Result<Sample> {
    let mut took = Vec::with_capacity(names.len());
    for name in names {
        wait::check_interrupt()?;
        let mut command = Command::new("curl");
        command.args([
            "--disable",
            "--noproxy",
            "*",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{time_total}",
        ]);
        command.arg(format!("{url}/rfc/{name}"));
        let done = process::run("curl", command, SOON)?.expect_code("curl", 0)?;
        match done.stdout.split_once(' ') {
            Some(("200", seconds)) => took.push(seconds.parse::<f64>()? * 1000.0),
            _ => bail!("{name} was answered with {}", done.stdout),
        }
    }
    took.sort_by(f64::total_cmp);
    let at = |hundredths: usize| took.get((took.len() * hundredths / 100).min(took.len() - 1)).copied();
    let (half, most) = at(50).zip(at(99)).context("nothing was opened")?;
    Ok(Sample {
        wall: Duration::from_secs_f64(half / 1000.0),
        answer_ms: Some((half, most)),
        ..Sample::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_wrk_are_found_by_their_names() {
        let printed = "Running 10s test @ http://127.0.0.1:80\n  1 threads and 16 connections\n  Thread Stats   Avg      Stdev\n    \
                       Latency     2.26ms    4.95ms  61.69ms   93.97%\n  Latency Distribution\n     50%  731.00us\n     75%    1.02ms\n     \
                       99%    1.50s \n  96011 requests in 6.00s, 4.80GB read\nRequests/sec:  16002.55\nTransfer/sec:      0.80GB\n";
        let sample = read(printed).unwrap();
        assert_eq!(sample.per_second, Some(16_002.55));
        assert_eq!(sample.answer_ms, Some((0.731, 1500.0)));
        assert_eq!(read("garbage"), None);
    }
}
