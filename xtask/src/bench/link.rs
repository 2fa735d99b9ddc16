//! `bench link`: the series over a link that is slower than both machines.

use std::path::Path;

use anyhow::Result;

use super::{
    Setting,
    contest::{Arena, Contestant},
    host::Host,
    report::{Report, Row},
    target::Targets,
    wire,
};
use crate::{process, tools};

/// The rate of the link each way, in megabits a second: a common network of an office.
const MEGABITS: u32 = 100;

/// How a mirror may be told to compress, if it can be.
const COMPRESS: [&str; 3] = ["never", "always", "auto"];

/// Compares ours with rsync, without and with compression.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("link")?;
    let corpus = setting.part(&work.join("part"))?;
    let mut contestants = vec![Contestant::ours("ours", &[])];
    if mirror_knows(setting, "--compress")? {
        for how in COMPRESS {
            let name = format!("ours, --compress {how}");
            contestants.push(Contestant::ours(&name, &["--compress", how]));
        }
    }
    contestants.push(Contestant::rsync("rsync -a", &["-a"]));
    let without_zstd = (!rsync_has_zstd()?).then(|| "this rsync knows no zstd".to_owned());
    contestants.push(Contestant::rsync("rsync -a -z --zc=zstd", &["-a", "-z", "--zc=zstd"]).unless(without_zstd));
    let targets = Targets::in_memory(&work);
    let rows = match wire::hosts(MEGABITS, &work)? {
        Ok((near, far)) => {
            let arena = Arena {
                name: "link",
                near: &near,
                far: &far,
                corpus: &corpus,
                programs: &setting.programs,
                targets: &targets,
                work: &work,
            };
            arena.hold(&contestants, setting.repetitions)?
        }
        Err(reason) => {
            let row = |contestant: &Contestant| Row::new(&contestant.name, Some(reason.clone()));
            contestants.iter().map(row).collect()
        }
    };
    let mut report = Report::new("link", "A link of 100 Mbit/s", &corpus, rows);
    report.references = vec![("rsync", "rsync -a"), ("rsync -z", "rsync -a -z --zc=zstd")];
    report.conditions = vec![
        format!(
            "two network namespaces, with {MEGABITS} Mbit/s each way between them (tbf, burst 256 kB, latency 50 ms)"
        ),
        targets.describe().to_owned(),
        "servers up and warm; ours with its default durability, `end`".to_owned(),
    ];
    Ok(report)
}

/// Whether `peer mirror` takes an option.
fn mirror_knows(setting: &Setting, option: &str) -> Result<bool> {
    let mut command = Host::this().command(&setting.programs.peer);
    command.args(["mirror", "--help"]);
    let help = process::run("peer mirror --help", command, super::LOOK_LIMIT)?.expect_code("peer mirror --help", 0)?;
    Ok(help.stdout.split_whitespace().any(|word| word == option))
}

fn rsync_has_zstd() -> Result<bool> {
    let Some(rsync) = tools::find("rsync") else {
        return Ok(false);
    };
    let mut command = Host::this().command(Path::new(&rsync));
    command.arg("--version");
    let version = process::run("rsync --version", command, super::LOOK_LIMIT)?;
    Ok(version.stdout.split_whitespace().any(|word| word == "zstd"))
}
