//! `bench swarm`: many mirrors that begin together, while only one peer has the documents.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, anyhow};

use super::{
    Setting,
    corpus::Corpus,
    figures::{Sample, ratio},
    host::Host,
    meter::{self, ServerTimes},
    report::{Report, Row},
    server::{self, Kind, Server},
    target::{Target, Targets},
};
use crate::{
    console,
    process::Process,
    procfs,
    wait::{self, Look},
};

/// How many mirrors begin together.
const MIRRORS: usize = 16;

/// How many do where it is only to be seen that things work.
const SMOKE: usize = 3;

/// No swarm takes this long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Who takes part: the name of the row, and what each mirror is told.
const CONTESTANTS: [(&str, &[&str]); 2] = [
    (SHARING, &["--durability", "none"]),
    (ALONE, &["--durability", "none", "--no-share"]),
];
const SHARING: &str = "mirrors that feed each other";
const ALONE: &str = "mirrors with --no-share";

/// Compares mirrors that share what they receive with mirrors that all take everything from the seed.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("swarm")?;
    let corpus = setting.part(&work.join("part"))?;
    let mirrors = if setting.smoke { SMOKE } else { MIRRORS };
    setting.check_room(corpus.bytes * mirrors as u64)?;
    let swarm = Swarm {
        setting,
        host: Host::this(),
        corpus: &corpus,
        targets: Targets::in_memory(&work),
        mirrors,
        work: &work,
    };
    let mut rows = CONTESTANTS.map(|(name, _)| Row::new(name, None));
    for repetition in 0..setting.repetitions {
        for place in 0..CONTESTANTS.len() {
            let index = (place + repetition) % CONTESTANTS.len();
            let (Some((name, options)), Some(row)) = (CONTESTANTS.get(index), rows.get_mut(index)) else {
                continue;
            };
            let sample = swarm.run(options).with_context(|| format!("swarm: {name}"))?;
            eprintln!(
                "swarm {}/{}: {name}: {}",
                repetition + 1,
                setting.repetitions,
                console::seconds(sample.wall)
            );
            row.samples.push(sample);
        }
    }
    let mut report = Report::new("swarm", "Many at once from one", &corpus, rows.into());
    report.references = vec![("--no-share", ALONE)];
    report.conditions = vec![
        format!(
            "{} with empty folders in memory begin together, all on loopback; one peer has the documents",
            console::count(mirrors, "mirror")
        ),
        "timed from the start of the first mirror to the end of the last one; rates are those of one mirror".to_owned(),
        format!(
            "copies: what the process of the seed wrote meanwhile (wchar in /proc/PID/io), in lengths of the series; with \
             --no-share that must be a little over {mirrors}, if nothing is compressed, or else is no measure here"
        ),
    ];
    Ok(report)
}

#[derive(Debug)]
struct Swarm<'a> {
    setting: &'a Setting,
    host: Host,
    corpus: &'a Corpus,
    targets: Targets,
    mirrors: usize,
    work: &'a Path,
}

impl Swarm<'_> {
    /// Lets all mirrors run once, with a seed of their own, and compares what each of them has received.
    fn run(&self, options: &[&str]) -> Result<Sample> {
        let folder = tempfile::Builder::new().prefix("swarm-").tempdir_in(self.work)?;
        let work = folder.path();
        let seed = Server::start(Kind::Ours, &self.host, self.corpus, &self.setting.programs, work)?;
        let made: Result<Vec<Target>> = (0..self.mirrors).map(|_| self.targets.fresh()).collect();
        let targets = made?;
        let written = || procfs::written_bytes(seed.first()?).ok_or_else(|| anyhow!("the seed has ended"));
        let before = (meter::own_children(), ServerTimes::read(&seed.ids()), written()?);
        let wall = self.mirror_all(&targets, &seed, work, options)?;
        let sample = Sample {
            wall,
            client_cpu: Some(meter::own_children().saturating_sub(before.0)),
            server_cpu: before.1.since()?,
            copies: copies(written()?.saturating_sub(before.2), self.corpus.bytes),
            ..Sample::default()
        };
        seed.stop()?;
        for target in &targets {
            self.corpus.check_copy(target.path())?;
        }
        Ok(sample)
    }

    fn mirror_all(&self, targets: &[Target], seed: &Server, work: &Path, options: &[&str]) -> Result<Duration> {
        let start = wait::now();
        let mut running = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let name = format!("mirror-{index}");
            let state = work.join(format!("state-{index}"));
            let mut command = server::peer(&self.host, &self.setting.programs, &seed.url, &state);
            command
                .args(["mirror", "--json", "--name", &name, "--to"])
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
