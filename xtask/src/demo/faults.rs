//! The steps in which something dies.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    Demo,
    steps::{GONE_LIMIT, JOIN_LIMIT},
};
use crate::{console, json};

/// How long after a registry's restart the last peer must be back. A peer whose first try comes too early tries again
/// after a random pause that grows; a cap of 30 s is promised, a few seconds are usual.
const BACK_LIMIT: Duration = Duration::from_secs(45);

/// One document of the index: number, format, digest and the names of its holders.
type IndexEntry = (u64, String, String, Vec<String>);

impl Demo {
    pub fn peer_killed(&mut self) -> Result<String> {
        let (victim, third) = (self.cast.victim().to_owned(), self.cast.third().to_owned());
        console::tell(&format!(
            "{victim} gets SIGKILL, as in a crash: it cannot say goodbye. The registry sees the stream close."
        ));
        console::command(&format!("kill -KILL {} # {victim}", self.cluster.peer(&victim)?.id()));
        self.cluster.peer(&victim)?.kill()?;
        let (_, took) = self
            .cluster
            .wait_for_peers(&format!("{victim} to be gone"), GONE_LIMIT, |rows| {
                !rows.iter().any(|row| row.name == victim)
            })?;
        self.show(&["lookup", &self.cast.lost.number.to_string()], 3)?;
        let holders = self.cluster.holders(self.cast.dropped.number)?;
        ensure!(
            holders == [third.as_str()],
            "the RFC that {third} also has should stay, held by {third}: {holders:?}"
        );
        Ok(format!(
            "gone from the index within {}, and all that only {victim} had",
            console::seconds(took)
        ))
    }

    pub fn revive(&mut self) -> Result<String> {
        let mut dead = Vec::new();
        for peer in self.cluster.peers() {
            if !peer.runs()? {
                dead.push(peer.name().to_owned());
            }
        }
        for name in &dead {
            console::command(&format!("peer join {name} --name {name} &"));
            self.cluster.join(name, name)?;
        }
        let took = self.wait_for_everybody(JOIN_LIMIT)?;
        self.show(&["lookup", &self.cast.lost.number.to_string(), "--format", "txt"], 0)?;
        Ok(format!(
            "{} are back after {}, with everything they have",
            dead.join(" and "),
            console::seconds(took)
        ))
    }

    pub fn registry_restarts(&mut self) -> Result<String> {
        console::tell(
            "The registry gets SIGKILL and starts anew with an empty memory. The peers notice, wait a random moment, \
             and tell it again what they have.",
        );
        let before = self.index()?;
        console::command(&format!("kill -KILL {} # the registry", self.cluster.registry()?.id()));
        self.cluster.registry()?.kill()?;
        self.show(&["peers"], 4)?;
        console::command(&format!("registry --listen {}", self.cluster.registry_address()?));
        self.cluster.start_registry()?;
        console::output(&self.cluster.registry()?.stdout()?);
        let took = self.wait_for_everybody(BACK_LIMIT)?;
        let after = self.index()?;
        ensure!(
            before == after,
            "the index is not what it was before: {before:?} became {after:?}"
        );
        self.show(&["peers"], 0)?;
        Ok(format!(
            "everybody back after {}, the index the same entry for entry",
            console::seconds(took)
        ))
    }

    /// The whole index, in an order of its own so that two of them can be compared.
    fn index(&self) -> Result<Vec<IndexEntry>> {
        let mut entries = Vec::new();
        for row in self.cluster.json(&["list"])? {
            let holders = json::array(&row, "/holders")?.iter();
            let mut names: Vec<String> = holders
                .map(|holder| Ok(json::text(holder, "/name")?.to_owned()))
                .collect::<Result<_>>()?;
            names.sort();
            let text = |pointer| json::text(&row, pointer).map(str::to_owned);
            entries.push((
                json::number(&row, "/number")?,
                text("/format")?,
                text("/sha256")?,
                names,
            ));
        }
        entries.sort();
        Ok(entries)
    }
}
