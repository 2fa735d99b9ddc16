//! `bench scan`: how soon a peer shares a folder that it has never seen, and one that it knows.

use std::{path::Path, thread, time::Duration};

use anyhow::{Result, ensure};

use super::{
    Setting,
    corpus::Corpus,
    figures::Sample,
    host::Host,
    meter,
    report::{Report, Row},
    server::{self, SCAN_LIMIT},
};
use crate::{
    cluster::STOP_LIMIT,
    console,
    process::Process,
    procfs, tools,
    wait::{self, Look},
};

/// The rows, in the order in which they are measured.
const SCANNED: &str = "peer join, first: folder scanned";
const REGISTERED: &str = "peer join, first: registered";
const AGAIN: &str = "peer join, digests known: registered";
const OPENSSL: &str = "find | xargs openssl dgst -sha256";

/// What hashes the files of a folder by the tools of the system, on every core: 500 files for each process.
const HASH_ALL: &str = r#"find "$1" -type f -print0 | xargs -0 -P "$2" -n 500 openssl dgst -sha256 >/dev/null"#;

/// Compares a peer's start with hashing the same files by openssl.
pub fn run(setting: &Setting) -> Result<Report> {
    let corpus = setting.series()?;
    let work = setting.folder("scan")?;
    let host = Host::this();
    let (mut registry, url) = server::registry(&host, &setting.programs, &work)?;
    let missing = ["find", "xargs", "openssl"].into_iter().find(|tool| !tools::has(tool));
    let skipped = missing.map(|tool| format!("`{tool}` is not installed"));
    let mut rows = [
        Row::new(SCANNED, None),
        Row::new(REGISTERED, None),
        Row::new(AGAIN, None),
        Row::new(OPENSSL, skipped.clone()),
    ];
    for repetition in 1..=setting.repetitions {
        let state = tempfile::Builder::new().prefix("state-").tempdir_in(&work)?;
        let start = |limit| join(setting, &host, &url, corpus, state.path(), &work, limit);
        let (scanned, registered) = start(SCAN_LIMIT)?;
        let (_, again) = start(SCAN_LIMIT)?;
        let mut samples = vec![scanned, registered, again];
        if skipped.is_none() {
            samples.push(hash_all(corpus)?);
        }
        for (row, sample) in rows.iter_mut().zip(samples) {
            eprintln!(
                "scan {repetition}/{}: {}: {}",
                setting.repetitions,
                row.name,
                console::seconds(sample.wall)
            );
            row.samples.push(sample);
        }
        registry.check_runs()?;
    }
    registry.stop(STOP_LIMIT)?;
    let mut report = Report::new("scan", "From a folder to a shared one", corpus, rows.into());
    report.references = vec![("openssl", OPENSSL)];
    report.conditions = vec![
        "the files are in memory; a registry runs; timed from the start of `peer join` to the line that it prints"
            .to_owned(),
        "first: with an empty state folder; known: with the state folder that the first start left".to_owned(),
        format!("openssl hashes the same files on {}", console::count(cores(), "core")),
    ];
    Ok(report)
}

/// Starts a peer, and measures until it has scanned the folder and until it is registered.
fn join(
    setting: &Setting,
    host: &Host,
    url: &str,
    corpus: &Corpus,
    state: &Path,
    work: &Path,
    limit: Duration,
) -> Result<(Sample, Sample)> {
    let mut command = server::peer(host, &setting.programs, url, state);
    command.arg("join").arg(&corpus.folder).args(["--name", "scanner"]);
    command.current_dir(work);
    let start = wait::now();
    let mut peer = Process::spawn("scanner", command, work)?;
    let mut until = |what: &str, prefix: &str| -> Result<Sample> {
        wait::until_fine(&format!("the peer to have {what}"), limit, || {
            peer.check_runs()?;
            let printed = peer.stdout()?;
            // Only whole lines.
            let line = printed
                .split_inclusive('\n')
                .find(|line| line.starts_with(prefix) && line.ends_with('\n'));
            Ok(line.map_or_else(|| Look::NotYet(printed.clone()), |_| Look::Done(())))
        })?;
        Ok(Sample {
            wall: start.elapsed(),
            client_cpu: procfs::times(peer.id()).map(|times| times.own),
            peak_memory: procfs::peak_memory(peer.id()),
            ..Sample::default()
        })
    };
    let scanned = until("scanned its folder", "sharing ")?;
    let registered = until("registered", "registered as ")?;
    let wanted = format!("sharing {} ", console::count(corpus.count(), "document"));
    let printed = peer.stdout()?;
    ensure!(
        printed.starts_with(&wanted),
        "the peer shares something else: {printed}"
    );
    peer.stop(STOP_LIMIT)?;
    Ok((scanned, registered))
}

fn hash_all(corpus: &Corpus) -> Result<Sample> {
    let mut command = Host::this().tool("sh");
    command
        .args(["-c", HASH_ALL, "sh"])
        .arg(&corpus.folder)
        .arg(cores().to_string());
    meter::run(OPENSSL, vec![command], &[]).map(|(sample, _)| sample)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
