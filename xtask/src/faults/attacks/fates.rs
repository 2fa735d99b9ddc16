//! What happened to connections that all did the same.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::{arena::Onslaught, link::End};
use crate::console;

/// What happened to connections that all did the same.
#[derive(Debug, Default)]
pub(super) struct Fates {
    connections: u64,
    pieces: u64,
    /// The most pieces that went out on one connection before it ended.
    most_pieces: u64,
    ends: BTreeMap<End, u64>,
}

impl Fates {
    pub(super) fn note(&mut self, pieces: u64, end: Option<End>) {
        self.connections += 1;
        self.pieces += pieces;
        self.most_pieces = self.most_pieces.max(pieces);
        if let Some(end) = end {
            *self.ends.entry(end).or_default() += 1;
        }
    }

    pub(super) fn text(&self) -> String {
        let ends: Vec<String> = self
            .ends
            .iter()
            .map(|(end, count)| format!("{} {count}", end.text()))
            .collect();
        let connections = usize::try_from(self.connections).unwrap_or(usize::MAX);
        format!(
            "{}, at most {} sent on one ({})",
            console::count(connections, "connection"),
            self.most_pieces,
            ends.join(", ")
        )
    }

    /// What an attacker did, some of whose connections must have ended in this way; those that had no time left need not.
    pub(super) fn onslaught(self, what: &'static str, wanted: Option<&str>) -> Result<Onslaught> {
        let told = self.text();
        let ended_so = |wanted: &str| self.ends.keys().any(|end| end.text().starts_with(wanted));
        ensure!(wanted.is_none_or(ended_so), "should have been told {wanted:?}: {told}");
        Ok(Onslaught {
            count: self.pieces,
            what,
            told,
        })
    }
}
