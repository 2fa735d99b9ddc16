//! `bench swarm-link`: mirrors that begin together, each on a host of its own whose link is slower than the machine.
//!
//! In the time of one transfer the seed's link carries one copy. Mirrors that all waited for the seed would take as many
//! times that as there are mirrors; what they take less shows how far they feed each other.

use std::time::Duration;

use anyhow::Result;

use super::{
    Setting,
    corpus::Corpus,
    figures::Sample,
    report::{Report, Row},
    swarm::{self, COPIES, Contestant, OTHERS, Swarm, TIMED},
    wire::{self, MEGABITS},
};
use crate::console;

/// Those that others are compared with.
const ONE: &str = "one mirror";
const ONE_PLAIN: &str = "one mirror, --compress never";
const CALCULATED: &str = "calculated: the bytes at the rate of the link";

/// What makes the bytes on the links those of the documents.
const PLAIN: [&str; 2] = ["--compress", "never"];

/// Compares the time of all mirrors with that of one.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("swarm-link")?;
    let corpus = setting.part(&work.join("part"))?;
    let mirrors = swarm::mirrors(setting);
    let all = console::count(usize::from(mirrors), "mirror");
    let contestants = [
        Contestant::new(ONE_PLAIN, 1, &PLAIN),
        Contestant::new(&format!("{all}, --compress never"), mirrors.into(), &PLAIN),
        Contestant::new(ONE, 1, &[]),
        Contestant::new(&all, mirrors.into(), &[]),
    ];
    let rows = match wire::star(mirrors.saturating_add(OTHERS), &work)? {
        Ok(star) => {
            let swarm = Swarm::new("swarm-link", setting, &star.hosts, &corpus, &work)?;
            let mut rows = swarm.hold(&contestants)?;
            rows.push(calculated(&corpus));
            rows
        }
        Err(reason) => {
            let row = |contestant: &Contestant| Row::new(&contestant.name, Some(reason.clone()));
            contestants.iter().map(row).collect()
        }
    };
    let mut report = Report::new(
        "swarm-link",
        "Many at once from one, over links of 100 Mbit/s",
        &corpus,
        rows,
    );
    report.references = vec![("one plain", ONE_PLAIN), ("one", ONE), ("calculated", CALCULATED)];
    report.conditions = vec![
        format!(
            "the registry, the seed and {all} in a network namespace each, at one switch; to it and from it each of them \
             has {MEGABITS} Mbit/s (tbf, burst 256 kB, latency 50 ms)"
        ),
        "all mirrors begin together with empty folders in memory; the seed alone has the documents".to_owned(),
        TIMED.to_owned(),
        format!("{COPIES}; what is compressed counts as it is sent"),
    ];
    Ok(report)
}

/// What the link would take if it carried nothing but the bytes of the documents, once.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn calculated(corpus: &Corpus) -> Row {
    let mut row = Row::new(CALCULATED, None);
    row.samples.push(Sample {
        wall: Duration::from_secs_f64(corpus.bytes as f64 * 8.0 / (f64::from(MEGABITS) * 1e6)),
        ..Sample::default()
    });
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_100_megabits_carries_12_and_a_half_megabytes_a_second() {
        let corpus = Corpus {
            folder: "".into(),
            names: Vec::new(),
            bytes: 50_000_000,
            origin: String::new(),
        };
        let walls: Vec<Duration> = calculated(&corpus).samples.iter().map(|sample| sample.wall).collect();
        assert_eq!(walls, [Duration::from_secs(4)]);
    }
}
