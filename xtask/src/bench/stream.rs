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
use crate::workspace;

/// How many documents: a gibibyte altogether, so that a run takes long enough to be measured.
const COUNT: u32 = 64;

/// Their length in bytes: a page less than the longest that a peer shares, 16 MiB.
const LENGTH: usize = (16 << 20) - (4 << 10);

/// The number and length of documents where it is only to be seen that things work.
const SMOKE: (u32, usize) = (4, 1 << 20);

/// The rows that others are compared with.
const CURL: &str = "nginx, curl to /dev/null";
const CURLS: &str = "nginx, curl --parallel to /dev/null";

/// Compares ours with curl from nginx: what the transport alone can do, and what storing the documents adds.
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
    let drain = workspace::build_example("peer", "drain", !setting.smoke)?;
    let contestants = [
        Contestant::drain("ours, received and dropped", drain.clone(), "receive"),
        Contestant::drain("ours, verified and dropped", drain, "verify"),
        Contestant::curl_to_nowhere(CURL, 1),
        Contestant::curl_to_nowhere(CURLS, 16),
        Contestant::ours("peer mirror, --durability none", &["--durability", "none"]),
        Contestant::curl("nginx, curl --parallel to files"),
    ];
    let rows = arena.hold(&contestants, setting.repetitions)?;
    let mut report = Report::new("stream", "Large documents", &corpus, rows);
    report.references = vec![("curl", CURL), ("curl --parallel", CURLS)];
    report.conditions = vec![
        "client and servers on loopback, all of them up and warm; ours has scanned its folder; nginx sends files by \
         sendfile and keeps connections open"
            .to_owned(),
        "what is dropped is received by the client that the mirror has, too, on one stream; verified: every document's \
         digest is compared, on one thread more"
            .to_owned(),
        "curl has one connection, and with --parallel sixteen; it verifies nothing".to_owned(),
        format!("files: {}", targets.describe()),
    ];
    Ok(report)
}
