//! `bench registry`: ten thousand sessions that each share the whole series, what each of them costs, and lookups among
//! them beside redis.

use std::{io::Write as _, path::PathBuf, process::ChildStdin, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Setting,
    figures::Sample,
    host::Host,
    redis::{REQUESTS, Redis},
    report::{Report, Row},
    server,
};
use crate::{
    cluster::STOP_LIMIT,
    process::Process,
    procfs, tools,
    wait::{self, Look},
    workspace,
};

/// Documents that each session has: the series at the beginning of 2026.
const DOCUMENTS: u32 = 9_148;

/// Sessions: few, with which lookups are compared, and many.
const FEW: usize = 100;
const MANY: usize = 10_000;

/// The same where it is only to be seen that things work.
const SMOKE: (usize, usize) = (10, 50);

/// Connections that look up.
const CONNECTIONS: usize = 16;

/// Lookups, and requests to redis, that are unanswered on each connection.
const OUTSTANDING: [usize; 2] = [1, 32];

/// How long each kind of lookup is measured, in seconds.
const SPAN: &str = "3";
const SMOKE_SPAN: &str = "0.1";

/// Requests to redis for each one unanswered on a connection, so that they take about as long.
const REDIS_REQUESTS: u32 = 150_000;
const SMOKE_REQUESTS: u32 = 1_000;

/// Sessions that join each second and as many that leave, while the registry measures how soon that takes effect.
const CHURN: u32 = 200;

/// Seconds of which one line of the registry's log tells.
const EFFECTS_SECONDS: f64 = 10.0;

/// How long that goes on, in seconds: the registry tells of ten seconds at a time, so that one of these is whole.
const CHURN_SPAN: u32 = 21;
const SMOKE_CHURN_SPAN: u32 = 1;

/// No command to the load generator takes this long, unless it hangs.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// What redis is asked, by the name of its row.
const ASKED: [(&str, &[&str]); 2] = [
    ("redis SMEMBERS, 8 members", &["SMEMBERS", "few"]),
    ("redis SRANDMEMBER 8 of 10,000", &["SRANDMEMBER", "many", "8"]),
];

/// Compares a registry with few and with many sessions, and lookups with redis.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("sessions")?;
    let load = workspace::build_example("registry", "load", !setting.smoke)?;
    let sessions = if setting.smoke { SMOKE } else { (FEW, MANY) };
    let missing = ["redis-server", "redis-cli", "redis-benchmark"];
    let missing = missing.into_iter().find(|tool| !tools::has(tool));
    let skipped = missing.map(|tool| format!("`{tool}` is not installed"));
    let redis = skipped.is_none().then(|| Redis::start(&work)).transpose()?;
    let bench = Bench {
        setting,
        work: &work,
        load,
        sessions,
        redis,
    };
    let mut rows: Vec<Row> = Vec::new();
    for repetition in 1..=setting.repetitions {
        for (name, sample) in bench.once()? {
            eprintln!(
                "registry {repetition}/{}: {name}: {:.0}/s",
                setting.repetitions,
                sample.per_second.unwrap_or_default()
            );
            match rows.iter_mut().find(|row| row.name == name) {
                Some(row) => row.samples.push(sample),
                None => {
                    let mut row = Row::new(&name, None);
                    row.samples.push(sample);
                    rows.push(row);
                }
            }
        }
    }
    if skipped.is_some() {
        rows.extend(ASKED.map(|(name, _)| Row::new(name, skipped.clone())));
    }
    Ok(Report {
        name: "registry",
        title: "Thousands of sessions that share the series",
        documents: usize::try_from(DOCUMENTS)?,
        bytes: 0,
        origin: "made up, all of them shared by each session".to_owned(),
        conditions: conditions(sessions),
        rows,
        references: vec![("SMEMBERS", "redis SMEMBERS, 8 members, 1 outstanding")],
    })
}

fn conditions((few, many): (usize, usize)) -> Vec<String> {
    vec![
        format!(
            "registrations: from {few} to {many} sessions, 64 at a time, each from an address of its own on \
             loopback; p50 and p99 are from the first byte of TCP to the welcome; the first session has announced the \
             series, the others name it and are listed with all of it; meanwhile the registry connects back to each"
        ),
        "KiB each: what the registry has resident after a heartbeat of each session, less what it had when idle, for each \
         session: connection, task, its share of the index"
            .to_owned(),
        format!(
            "changes in effect: p50 and p99 as the registry itself counts them, from the decoded message to the changed \
             index, during {CHURN} joins and {CHURN} leaves a second beside {many} sessions; the worst ten seconds"
        ),
        format!(
            "lookups: s is for {REQUESTS} of them, each of another RFC with 8 holders, on {CONNECTIONS} connections with so \
             many unanswered on each; the one that asks has one thread, and the registry as many as there are cores"
        ),
    ]
}

struct Bench<'a> {
    setting: &'a Setting,
    work: &'a PathBuf,
    load: PathBuf,
    sessions: (usize, usize),
    redis: Option<Redis>,
}

type Measured = Vec<(String, Sample)>;

impl Bench<'_> {
    /// Measures everything once, on a registry of its own.
    fn once(&self) -> Result<Measured> {
        let (few, many) = self.sessions;
        let host = Host::this();
        let (mut registry, url) = server::registry(&host, &self.setting.programs, self.work)?;
        let id = registry.id();
        let idle = resident(id)?;
        let mut command = host.command(&self.load);
        let address = url.strip_prefix("http://").context("the address of the registry")?;
        command.args([address, &DOCUMENTS.to_string()]).current_dir(self.work);
        let (process, commands) = Process::spawn_with_stdin("load", command, self.work)?;
        let mut load = Load {
            process,
            commands,
            answers: 0,
        };
        let mut measured = Measured::new();
        load.tell(&format!("register {few}"))?;
        load.tell("settle")?;
        self.look_up(&mut load, few, &mut measured)?;

        let before = procfs::times(id).context("the registry has ended")?.own;
        let answer = load.tell(&format!("register {many}"))?;
        let settled = load.tell("settle")?;
        let used = procfs::times(id).context("the registry has ended")?.own;
        load.tell("heartbeat")?;
        let mut sample = sample_of(&answer, "connect_to_welcome")?;
        sample.server_cpu = Some(used.saturating_sub(before));
        sample.kib_each = Some(each(resident(id)?.saturating_sub(idle), many));
        let name = format!("registrations, {few} to {many}");
        measured.push((name, sample));
        let registered = number(&answer, "registered")?;
        let whole = number(&answer, "seconds")? + number(&settled, "seconds")?;
        measured.push((
            "registrations, connected back to".to_owned(),
            Sample {
                per_second: Some(registered / whole.max(f64::EPSILON)),
                ..Sample::default()
            },
        ));
        self.look_up(&mut load, many, &mut measured)?;
        self.churn(&mut load, &registry, &mut measured)?;
        self.ask_redis(&mut measured)?;
        drop(load.commands);
        load.process.ends_well(STOP_LIMIT)?;
        registry.stop(STOP_LIMIT)?;
        Ok(measured)
    }

    fn look_up(&self, load: &mut Load, peers: usize, measured: &mut Measured) -> Result<()> {
        let span = if self.setting.smoke { SMOKE_SPAN } else { SPAN };
        for outstanding in OUTSTANDING {
            let answer = load.tell(&format!("lookup {CONNECTIONS} {outstanding} {span}"))?;
            let mut sample = sample_of(&answer, "answer")?;
            let rate = sample.per_second.unwrap_or_default().max(f64::EPSILON);
            sample.wall = Duration::from_secs_f64(f64::from(REQUESTS) / rate);
            let name = format!("lookups among {peers} peers, {outstanding} outstanding");
            measured.push((name, sample));
        }
        Ok(())
    }

    /// What the registry tells of how soon changes take effect, while sessions come and go.
    fn churn(&self, load: &mut Load, registry: &Process, measured: &mut Measured) -> Result<()> {
        let span = if self.setting.smoke {
            SMOKE_CHURN_SPAN
        } else {
            CHURN_SPAN
        };
        let before = effects(registry)?.len();
        load.tell(&format!("churn {CHURN} {span}"))?;
        let mut told = effects(registry)?;
        // The first one began before.
        let whole = told.split_off((before + 1).min(told.len()));
        let Some(sample) = whole
            .into_iter()
            .max_by(|one, other| p99_of(one).total_cmp(&p99_of(other)))
        else {
            // A short run has none.
            return Ok(());
        };
        let name = format!("changes in effect, {CHURN} joins and {CHURN} leaves a second");
        measured.push((name, sample));
        Ok(())
    }

    fn ask_redis(&self, measured: &mut Measured) -> Result<()> {
        let Some(redis) = &self.redis else {
            return Ok(());
        };
        let requests = if self.setting.smoke {
            SMOKE_REQUESTS
        } else {
            REDIS_REQUESTS
        };
        for (name, command) in ASKED {
            for outstanding in OUTSTANDING {
                let factor = if outstanding == 1 { 1 } else { 8 };
                let sample = redis.measure(command, CONNECTIONS, outstanding, requests * factor)?;
                measured.push((format!("{name}, {outstanding} outstanding"), sample));
            }
        }
        Ok(())
    }
}

/// The load generator at work.
struct Load {
    process: Process,
    commands: ChildStdin,
    answers: usize,
}

impl Load {
    /// Has it do something, and returns its answer.
    fn tell(&mut self, command: &str) -> Result<Value> {
        writeln!(self.commands, "{command}").with_context(|| format!("cannot tell the load{}", self.process.tail()))?;
        let (line, _) = wait::until(&format!("the answer to `{command}`"), COMMAND_LIMIT, || {
            self.process.check_runs()?;
            let printed = self.process.stdout()?;
            let mut lines = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let answer = lines.nth(self.answers).map(str::to_owned);
            Ok(answer.map_or_else(|| Look::NotYet("none".to_owned()), Look::Done))
        })?;
        self.answers += 1;
        serde_json::from_str(&line).with_context(|| format!("cannot read the answer {line}"))
    }
}

fn p99_of(sample: &Sample) -> f64 {
    sample.answer_ms.map_or(0.0, |(_, p99)| p99)
}

/// What a registry has told so far about how soon messages took effect.
fn effects(registry: &Process) -> Result<Vec<Sample>> {
    let log = registry.stderr()?;
    Ok(log.lines().filter_map(effect).collect())
}

/// Reads a line of the registry's log: `… decoded messages took effect count=4000 p50_us=11 p99_us=95 max_us=383`.
fn effect(line: &str) -> Option<Sample> {
    let (_, figures) = line.split_once("decoded messages took effect ")?;
    let figure = |name: &str| -> Option<f64> {
        let named = |field: &str| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        figures.split_whitespace().find_map(named)
    };
    Some(Sample {
        per_second: Some(figure("count")? / EFFECTS_SECONDS),
        answer_ms: Some((figure("p50_us")? / 1e3, figure("p99_us")? / 1e3)),
        ..Sample::default()
    })
}

fn sample_of(answer: &Value, times: &str) -> Result<Sample> {
    let time = |quantile: &str| number(answer, &format!("{times}_{quantile}_ms"));
    Ok(Sample {
        per_second: Some(number(answer, "per_second")?),
        answer_ms: Some((time("p50")?, time("p99")?)),
        ..Sample::default()
    })
}

fn number(answer: &Value, name: &str) -> Result<f64> {
    let value = answer.get(name).and_then(Value::as_f64);
    value.with_context(|| format!("no {name} in {answer}"))
}

fn resident(process: u32) -> Result<u64> {
    procfs::resident_memory(process).context("the registry has ended")
}

/// The share of each of so many, in KiB.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn each(bytes: u64, count: usize) -> f64 {
    bytes as f64 / 1024.0 / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_figures_are_found_in_its_log() {
        let line = "2026-01-01T00:00:00Z  INFO registry::server: decoded messages took effect count=4000 p50_us=11 \
                    p99_us=95 max_us=383";
        let sample = effect(line).unwrap();
        assert_eq!(sample.per_second, Some(400.0));
        assert_eq!(sample.answer_ms, Some((0.011, 0.095)));
        assert_eq!(
            effect("INFO session{source=127.0.0.1:5000}: registry::session: joined"),
            None
        );
    }
}
