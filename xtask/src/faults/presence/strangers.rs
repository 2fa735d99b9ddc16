//! Strangers who want a live peer's name or address.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};

use crate::faults::{
    Bench, find, finish,
    reporter::{Reporter, field, is_event},
    slowest, write_document,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    process::{self, Finished},
    wait,
};

/// How soon a stranger must have given up. It is patient at first, because whoever asks for a name that is taken may be
/// its former bearer, whose lost session the registry still holds.
const PATIENCE: Duration = Duration::from_secs(25);

/// What a refusal must fit.
const LONGEST_MESSAGE: usize = 300;

const NUMBER: u32 = 20_001;
const OTHER: u32 = 20_002;

/// A stranger: what it is called, what it asks for, and a word of the answer that it should get.
struct Stranger {
    name: &'static str,
    options: Vec<String>,
    told: String,
}

/// Lets strangers try, all at once.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    write_document(&cluster.make_folder("alice")?, NUMBER, "alice's")?;
    write_document(&cluster.make_folder("strange")?, OTHER, "a stranger's")?;
    cluster.join("alice", "alice")?;
    cluster.wait_for_holders(NUMBER, &["alice"], SOON)?;
    let before = cluster.json(&["peers"])?;
    let address = before
        .first()
        .map(|row| field(row, "address").to_owned())
        .unwrap_or_default();
    let port = address.rsplit(':').next().unwrap_or_default();
    let mut command = cluster.peer_command()?;
    command.args(["watch", "--json"]);
    let mut watch = Reporter::spawn("watch", command, &cluster.logs())?;
    watch.wait_for("the end of its snapshot", SOON, |value| {
        is_event(value, "snapshot_end").then_some(())
    })?;
    let strangers = [
        ("namesake", vec!["--name", "alice"], "alice"),
        ("listener", vec!["--name", "mallory", "--listen", &address], &*address),
        (
            "forwarder",
            vec!["--name", "trudy", "--advertise-port", port],
            &*address,
        ),
        ("redirector", vec!["--name", "eve", "--advertise", &address], &*address),
    ];
    let strangers = strangers.map(|(name, options, told)| Stranger {
        name,
        options: options.into_iter().map(str::to_owned).collect(),
        told: told.to_owned(),
    });
    let cluster_now = &cluster;
    let tried: Vec<Result<Duration>> = std::thread::scope(|scope| {
        let running: Vec<_> = strangers
            .iter()
            .map(|stranger| scope.spawn(move || stranger.tries(cluster_now)))
            .collect();
        let panicked = |_| Err(anyhow::anyhow!("a stranger panicked"));
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked))
            .collect()
    });
    let after = cluster.json(&["peers"])?;
    ensure!(
        before == after,
        "alice should be as before: {before:?} became {after:?}"
    );
    let events = watch.printed()?;
    ensure!(
        !events
            .iter()
            .any(|event| is_event(event, "left") || is_event(event, "joined")),
        "somebody came or went: {events:?}"
    );
    ensure!(find(&cluster, NUMBER)?.len() == 1, "alice's document should be there");
    let took = tried.into_iter().collect::<Result<Vec<_>>>()?;
    drop(watch);
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "a live peer's name, and its address in three ways: {} of {} strangers refused with exit code 1, slowest after {}",
        took.len(),
        strangers.len(),
        slowest(&took)
    )))
}

impl Stranger {
    fn tries(&self, cluster: &Cluster) -> Result<Duration> {
        let mut command = cluster.peer_command()?;
        command.args(["join", "strange"]).args(&self.options);
        command.env("P2PCI_STATE_DIR", cluster.folder().join("state").join(self.name));
        let start = wait::now();
        let done = self.refused(command)?;
        let took = start.elapsed();
        let told = done.stderr.lines().last().unwrap_or_default();
        ensure!(
            told.contains(&self.told) && told.len() <= LONGEST_MESSAGE,
            "the {} was told: {:?}",
            self.name,
            done.stderr
        );
        Ok(took)
    }

    fn refused(&self, command: Command) -> Result<Finished> {
        let what = format!("peer join, as a {}", self.name);
        process::run(&what, command, PATIENCE)?.expect_code(&what, 1)
    }
}
