//! `bench mirror`: the whole series from one machine to another, on loopback.

use anyhow::Result;

use super::{
    Setting,
    contest::{Arena, Contestant},
    host::Host,
    report::Report,
    target::Targets,
};
use crate::workspace;

/// Compares ours with rsync, with curl and aria2 from nginx, and with a copy that needs no network.
pub fn run(setting: &Setting) -> Result<Report> {
    let corpus = setting.series()?;
    let targets = Targets::file_systems(setting.work(), corpus.count(), corpus.bytes)?;
    let host = Host::this();
    let arena = Arena {
        name: "mirror",
        near: &host,
        far: &host,
        corpus,
        programs: &setting.programs,
        targets: &targets,
        work: &setting.folder("mirror")?,
    };
    let contestants = [
        Contestant::ours("ours, --durability none", &["--durability", "none"]),
        Contestant::ours("ours, --durability end", &["--durability", "end"]),
        Contestant::rsync("rsync -a", &["-a"]),
        Contestant::rsync_and_sync("rsync -a, then sync -f"),
        Contestant::curl("nginx, curl --parallel"),
        Contestant::aria2("nginx, aria2c -j16").at_most(setting.aria2_repetitions),
        Contestant::cp("cp -r"),
        Contestant::floor("the floor", workspace::build_example("peer", "floor", !setting.smoke)?),
    ];
    let rows = arena.hold(&contestants, setting.repetitions)?;
    let mut report = Report::new("mirror", "The whole series to one machine", corpus, rows);
    report.references = vec![
        ("rsync", "rsync -a"),
        ("rsync+sync", "rsync -a, then sync -f"),
        ("curl", "nginx, curl --parallel"),
        ("cp", "cp -r"),
        ("floor", "the floor"),
    ];
    report.conditions = vec![
        "client and servers on loopback, all of them up and warm; ours has scanned its folder".to_owned(),
        targets.describe().to_owned(),
        "timed from the start of the client's process to its end; then every file is compared with its source"
            .to_owned(),
        "rsync from its own daemon; one curl process over HTTP/1.1 with 16 connections; cp reads the folder itself"
            .to_owned(),
        "the floor: plain threads that read, send over loopback, receive, make the SHA-256, write and rename, and do \
         nothing else (peer/examples/floor.rs)"
            .to_owned(),
        "nothing but ours and rsync verifies what it received".to_owned(),
    ];
    Ok(report)
}
