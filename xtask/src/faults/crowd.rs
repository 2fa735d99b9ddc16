//! Thousands of peers at once: they come back when the registry does, and nothing that many of them do is more than it
//! can bear.

mod claimed;
mod drained;
mod flapping;
mod lost;
mod restarted;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Bench, Check, by_hand, check};
use crate::{
    cluster::{Cluster, SOON},
    crowd::{self, Crowd, Setting},
    json,
    wait::{self, Look},
    workspace,
};

pub(super) const CHECKS: [Check; 8] = [
    check("crowd returns", 1, restarted::killed),
    by_hand("crash loop", restarted::again_and_again),
    check("registry hangs", 3, restarted::stopped),
    by_hand("crowd flaps", flapping::run),
    check("crowd drained", 1, drained::crowded),
    check("second signal", 2, drained::twice),
    check("same peer twice", 3, claimed::run),
    check("mass loss", 1, lost::run),
];

/// Documents that everybody shares.
const DOCUMENTS: u32 = 4;

const FIRST: u32 = 20_001;

/// No command to a crowd takes this long, unless it hangs.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// A registry that a crowd can be sent to, built as users have it when the crowd is large.
struct Stage {
    cluster: Cluster,
    setting: Setting,
    _programs: TempDir,
}

impl Stage {
    fn new(bench: &Bench) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("p2pci-crowd-").tempdir()?;
        let (programs, program) = if bench.is_short {
            (bench.programs.clone(), crowd::build(false)?)
        } else {
            (workspace::build_release()?.copy_to(folder.path())?, crowd::build(true)?)
        };
        let copy = folder.path().join("crowd");
        std::fs::copy(&program, &copy)?;
        let mut cluster = Cluster::new(programs)?;
        cluster.start_registry()?;
        let shared = cluster.make_folder("shared")?;
        crowd::write_documents(&shared, FIRST, DOCUMENTS)?;
        let setting = Setting {
            program: copy,
            registry: cluster.registry_address()?,
            folder: shared,
            state: cluster.folder().join("state/crowd"),
            logs: cluster.logs(),
        };
        Ok(Self {
            cluster,
            setting,
            _programs: folder,
        })
    }

    /// A process without peers, whose peers will have numbers from `first` on.
    fn crowd(&self, name: &str, first: usize) -> Result<Crowd> {
        Crowd::spawn(&self.setting, name, first)
    }

    /// A process with so many peers, all of them registered.
    fn gather(&self, name: &str, first: usize, count: usize) -> Result<Crowd> {
        let mut crowd = self.crowd(name, first)?;
        crowd.ask(&format!("start {count}"), COMMAND_LIMIT)?;
        Ok(crowd)
    }

    /// Waits until exactly the peers with these numbers are listed, each once and reachable, and each holds everything.
    /// Fails at once when one is listed twice.
    fn wait_for_exact(&self, count: usize, limit: Duration) -> Result<Duration> {
        let wanted: BTreeSet<String> = (0..count).map(|index| format!("crowd-{index}")).collect();
        let what = format!("{count} peers to be listed with all that they hold");
        let found = wait::until_dear(&what, limit, || {
            let rows = self.cluster.peer_rows()?;
            let names: BTreeSet<String> = rows.iter().map(|row| row.name.clone()).collect();
            ensure!(
                names.len() == rows.len(),
                "{} names in {} rows",
                names.len(),
                rows.len()
            );
            let ready = rows
                .iter()
                .filter(|row| row.reachability == "reachable" && row.documents == u64::from(DOCUMENTS))
                .count();
            let listed = self.cluster.json(&["list"])?;
            let counts: Vec<u64> = listed
                .iter()
                .map(|document| json::number(document, "/holder_count"))
                .collect::<Result<_>>()?;
            let is_held = counts == vec![u64::try_from(count)?; usize::try_from(DOCUMENTS)?];
            Ok(if names == wanted && ready == count && is_held {
                Look::Done(())
            } else {
                let rows = rows.len();
                Look::NotYet(format!(
                    "{rows} listed, {ready} of them ready; documents are held by {counts:?}"
                ))
            })
        });
        found.map(|((), took)| took)
    }

    /// Ends everything in good order.
    fn finish(self, crowds: Vec<(Crowd, usize)>) -> Result<()> {
        for (crowd, peers) in crowds {
            crowd.stop(peers, SOON)?;
        }
        super::finish(self.cluster)
    }

    /// What the registry takes.
    fn registry_cost(&mut self) -> Result<String> {
        Ok(crowd::cost(self.cluster.registry()?.id()))
    }
}

/// Waits until so many peers of a crowd are registered; returns what the crowd tells then.
fn wait_for_registered(crowd: &mut Crowd, count: usize, limit: Duration) -> Result<Value> {
    let what = format!("{count} peers to be back");
    let found = wait::until_dear(&what, limit, || {
        let told = crowd.ask("tell", COMMAND_LIMIT)?;
        Ok(if json::number(&told, "/registered")? == u64::try_from(count)? {
            Look::Done(told)
        } else {
            Look::NotYet(told.to_string())
        })
    });
    found.map(|(told, _)| told)
}

/// A number that may have a fraction.
fn decimal(value: &Value, pointer: &str) -> Result<f64> {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.ok_or_else(|| anyhow!("no number at {pointer} in {value}"))
}

/// Milliseconds at a pointer, as a time.
fn milliseconds(value: &Value, pointer: &str) -> Result<Duration> {
    json::number(value, pointer).map(Duration::from_millis)
}
