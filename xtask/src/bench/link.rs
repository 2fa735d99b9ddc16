//! `bench link`: the series over a link that is slower than both machines.

use anyhow::Result;

use super::{
    Setting,
    contest::{Arena, Contestant},
    host::Host,
    report::{Report, Row},
    target::Targets,
    wire::{self, MEGABITS},
};
use crate::{process, tools};

/// Those that others are compared with.
const RSYNC: &str = "rsync -a";
const RSYNC_ZSTD: &str = "rsync -a -z --zc=zstd";

/// Compares ours with rsync, without and with compression.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("link")?;
    let corpus = setting.part(&work.join("part"))?;
    let listed = rsync_lists()?;
    let without = |packer: &str| {
        let is_there = listed.split_whitespace().any(|word| word == packer);
        (!is_there).then(|| format!("this rsync knows no {packer}"))
    };
    // With the whole series this one takes most of a minute, as plain rsync does, and tells no more the second time.
    let repetitions_of_never = if setting.full { 1 } else { setting.repetitions };
    let contestants = [
        Contestant::ours("ours, --compress auto", &["--compress", "auto"]),
        Contestant::ours("ours, --compress always", &["--compress", "always"]),
        Contestant::ours("ours, --compress never", &["--compress", "never"]).at_most(repetitions_of_never),
        Contestant::rsync(RSYNC, &["-a"]),
        Contestant::rsync("rsync -a -z --zc=zlib", &["-a", "-z", "--zc=zlib"]).unless(without("zlib")),
        Contestant::rsync(RSYNC_ZSTD, &["-a", "-z", "--zc=zstd"]).unless(without("zstd")),
    ];
    let targets = Targets::in_memory(&work);
    let rows = match wire::pair(&work)? {
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
    report.references = vec![("rsync", RSYNC), ("rsync zstd", RSYNC_ZSTD)];
    report.conditions = vec![
        format!(
            "two network namespaces, with {MEGABITS} Mbit/s each way between them (tbf, burst 256 kB, latency 50 ms)"
        ),
        targets.describe().to_owned(),
        "zlib is what every rsync has; one that knows zstd takes it by itself at -z".to_owned(),
        "servers up and warm; ours with its default durability, `end`".to_owned(),
    ];
    if setting.full {
        let once = "ours, --compress never, once only: it takes as long as plain rsync, and together they would take longer \
                    than all others";
        report.conditions.push(once.to_owned());
    }
    Ok(report)
}

/// What the installed rsync says it is able to do; nothing where there is none. What it compresses with is listed from
/// version 3.2 on, which can be told which one to take.
fn rsync_lists() -> Result<String> {
    let Some(rsync) = tools::find("rsync") else {
        return Ok(String::new());
    };
    let mut command = Host::this().command(&rsync);
    command.arg("--version");
    Ok(process::run("rsync --version", command, super::LOOK_LIMIT)?.stdout)
}
