//! `bench stream`: few large documents, where the cost of a file does not count.

use anyhow::Result;

use super::{
    Setting,
    contest::{Arena, Contestant},
    corpus::Corpus,
    host::Host,
    report::Report,
    target::Targets,
};

/// How many documents: a gibibyte altogether, so that a run takes long enough to be measured.
const COUNT: u32 = 64;

/// Their length in bytes: a page less than the longest that a peer shares, 16 MiB.
const LENGTH: usize = (16 << 20) - (4 << 10);

/// The number and length of documents where it is only to be seen that things work.
const SMOKE: (u32, usize) = (4, 1 << 20);

/// Compares ours with curl from nginx, both from memory to memory.
pub fn run(setting: &Setting) -> Result<Report> {
    let (count, length) = if setting.smoke { SMOKE } else { (COUNT, LENGTH) };
    let work = setting.folder("stream")?;
    // The documents, and one target at a time.
    setting.check_room(2 * u64::from(count) * length as u64)?;
    let corpus = Corpus::of_noise(count, length, &work.join("noise"))?;
    let targets = Targets::in_memory(&work);
    let host = Host::this();
    let arena = Arena {
        name: "stream",
        near: &host,
        far: &host,
        corpus: &corpus,
        programs: &setting.programs,
        targets: &targets,
        work: &work,
    };
    let contestants = [
        Contestant::ours("ours, --durability none", &["--durability", "none"]),
        Contestant::curl("nginx, curl --parallel"),
    ];
    let rows = arena.hold(&contestants, setting.repetitions)?;
    let mut report = Report::new("stream", "Large documents", &corpus, rows);
    report.references = vec![("curl", "nginx, curl --parallel")];
    report.conditions = vec![
        "client and servers on loopback, all of them up and warm; ours has scanned its folder".to_owned(),
        targets.describe().to_owned(),
        "ours verifies what it received; curl does not".to_owned(),
    ];
    Ok(report)
}
