//! `bench swarm`: many mirrors that begin together, while only one peer has the documents.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    Setting,
    corpus::Corpus,
    figures::{Sample, ratio},
    host::Host,
    meter::{self, ServerTimes},
    report::{Report, Row},
    server::{self, Server},
    target::{Target, Targets},
};
use crate::{
    console,
    process::Process,
    procfs,
    wait::{self, Look},
};

/// How many mirrors begin together.
const MIRRORS: u8 = 16;

/// How many do where it is only to be seen that things work.
const SMOKE: u8 = 3;

/// No swarm takes this long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// A row that others are compared with.
const ALONE: &str = "mirrors with --no-share";

/// Compares mirrors that share what they receive with mirrors that all take everything from the seed.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("swarm")?;
    let corpus = setting.part(&work.join("part"))?;
    let mirrors = mirrors(setting);
    let hosts: Vec<Host> = (0..mirrors.saturating_add(OTHERS)).map(|_| Host::this()).collect();
    let mirrors = usize::from(mirrors);
    let swarm = Swarm::new("swarm", setting, &hosts, &corpus, &work)?;
    let contestants = [
        Contestant::new("mirrors that feed each other", mirrors, &[]),
        Contestant::new(ALONE, mirrors, &["--no-share"]),
    ];
    let mut report = Report::new("swarm", "Many at once from one", &corpus, swarm.hold(&contestants)?);
    report.references = vec![("--no-share", ALONE)];
    report.conditions = vec![
        format!(
            "{} with empty folders in memory begin together, all on loopback; one peer has the documents",
            console::count(mirrors, "mirror")
        ),
        TIMED.to_owned(),
        format!(
            "{COPIES}; with --no-share that must be a little over {mirrors}, if nothing is compressed, or else is no \
             measure here"
        ),
    ];
    Ok(report)
}

/// How many mirrors begin together in this run.
pub fn mirrors(setting: &Setting) -> u8 {
    if setting.smoke { SMOKE } else { MIRRORS }
}

/// The hosts that a swarm needs beside those of its mirrors: the registry's, and the seed's.
pub const OTHERS: u8 = 2;

/// What is timed, and what is counted, for people.
pub const TIMED: &str =
    "timed from the start of the first mirror to the end of the last one; rates are those of one mirror";
pub const COPIES: &str =
    "copies: what the process of the seed wrote meanwhile (wchar in /proc/PID/io), in lengths of the series";

/// One way to mirror.
#[derive(Debug)]
pub struct Contestant {
    /// Its name in tables.
    pub name: String,
    /// How many mirrors begin together.
    mirrors: usize,
    /// What each of them is told.
    options: &'static [&'static str],
}

impl Contestant {
    /// So many mirrors with these options.
    pub fn new(name: &str, mirrors: usize, options: &'static [&'static str]) -> Self {
        Self {
            name: name.to_owned(),
            mirrors,
            options,
        }
    }
}

/// Hosts on which mirrors can begin together.
#[derive(Debug)]
pub struct Swarm<'a> {
    /// The name of the benchmark, for who watches.
    name: &'static str,
    setting: &'a Setting,
    registry: &'a Host,
    seed: &'a Host,
    mirrors: &'a [Host],
    corpus: &'a Corpus,
    targets: Targets,
    work: &'a Path,
}

impl<'a> Swarm<'a> {
    /// The registry gets the first host, the seed the second one, and each mirror one of the others. Fails when there is
    /// no room for so many copies.
    pub fn new(
        name: &'static str,
        setting: &'a Setting,
        hosts: &'a [Host],
        corpus: &'a Corpus,
        work: &'a Path,
    ) -> Result<Self> {
        let [registry, seed, mirrors @ ..] = hosts else {
            bail!("a swarm on {}", console::count(hosts.len(), "host"));
        };
        setting.check_room(corpus.bytes.saturating_mul(mirrors.len() as u64))?;
        Ok(Self {
            name,
            setting,
            registry,
            seed,
            mirrors,
            corpus,
            targets: Targets::in_memory(work),
            work,
        })
    }

    /// Runs every contestant once in each repetition, each time beginning with another one.
    pub fn hold(&self, contestants: &[Contestant]) -> Result<Vec<Row>> {
        let repetitions = self.setting.repetitions;
        let mut rows: Vec<Row> = contestants.iter().map(|one| Row::new(&one.name, None)).collect();
        for repetition in 0..repetitions {
            for place in 0..contestants.len() {
                let index = (place + repetition) % contestants.len();
                let (Some(contestant), Some(row)) = (contestants.get(index), rows.get_mut(index)) else {
                    continue;
                };
                let told = || format!("{}: {}", self.name, contestant.name);
                let sample = self.run(contestant).with_context(told)?;
                sample.tell(self.name, &contestant.name, repetition, repetitions);
                row.samples.push(sample);
            }
        }
        Ok(rows)
    }

    /// Lets the mirrors run once, with a seed of their own, and compares what each of them has received.
    fn run(&self, contestant: &Contestant) -> Result<Sample> {
        let folder = tempfile::Builder::new().prefix("swarm-").tempdir_in(self.work)?;
        let work = folder.path();
        let seed = server::ours(self.registry, self.seed, self.corpus, &self.setting.programs, work)?;
        let hosts = self.mirrors.iter().take(contestant.mirrors);
        let made: Result<Vec<_>> = hosts.map(|host| Ok((host, self.targets.fresh()?))).collect();
        let places = made?;
        let written = || procfs::written_bytes(seed.first()?).ok_or_else(|| anyhow!("the seed has ended"));
        let before = (meter::own_children(), ServerTimes::read(&seed.ids()), written()?);
        let wall = self.mirror_all(&places, &seed, work, contestant.options)?;
        let sample = Sample {
            wall,
            client_cpu: Some(meter::own_children().saturating_sub(before.0)),
            server_cpu: before.1.since()?,
            copies: copies(written()?.saturating_sub(before.2), self.corpus.bytes),
            ..Sample::default()
        };
        seed.stop()?;
        for (_, target) in &places {
            self.corpus.check_copy(target.path())?;
        }
        Ok(sample)
    }

    fn mirror_all(&self, places: &[(&Host, Target)], seed: &Server, work: &Path, options: &[&str]) -> Result<Duration> {
        let start = wait::now();
        let mut running = Vec::new();
        for (index, (host, target)) in places.iter().enumerate() {
            let name = format!("mirror-{index}");
            let state = work.join(format!("state-{index}"));
            let mut command = server::peer(host, &self.setting.programs, &seed.url, &state);
            command
                .args(["mirror", "--json", "--durability", "none", "--name", &name, "--to"])
                .arg(target.path());
            command.args(options).current_dir(work);
            running.push(Process::spawn(&name, command, work)?);
        }
        let (_, _) = wait::until_fine("the end of all mirrors", LIMIT, || {
            let mut left = 0;
            for mirror in &mut running {
                left += usize::from(mirror.runs()?);
            }
            Ok(if left == 0 {
                Look::Done(())
            } else {
                Look::NotYet(format!("{left} still run"))
            })
        })?;
        let took = start.elapsed();
        for mirror in &mut running {
            mirror.ends_well(LIMIT)?;
        }
        Ok(took)
    }
}

/// How many times over something was written.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn copies(written: u64, bytes: u64) -> Option<f64> {
    ratio(written as f64, bytes as f64)
}
