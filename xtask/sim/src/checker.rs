//! What must hold, whatever happens: held against the truth, each time a client has looked and at the end.

use std::{collections::BTreeSet, time::Duration};

use p2p_ci::message::Reachability;

use crate::{
    documents,
    hosts::Peer,
    liar::LIAR,
    truth::{PeerTruth, Time, Truth, View},
};

/// Within what time others see what the registry has acknowledged, and no longer see a peer whose connection was closed.
const PROMPT: Duration = Duration::from_secs(1);

/// Within what time a peer is gone whose host went silent.
const SILENT: Duration = Duration::from_secs(20);

/// For how long a link must have been whole for a connection over it to be one that works: a connection that lost something
/// is found dead by both sides, and made anew.
const RECOVERED: Duration = Duration::from_secs(55);

/// How long a message may take, which comes on top of each limit.
pub(crate) const LATENCY: Duration = Duration::from_millis(100);

/// How the way between a peer and the registry is, and the registry itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    /// Faults on it now.
    pub(crate) faults: u32,
    /// When its last fault ended.
    pub(crate) last_fault: Option<Time>,
}

impl Way {
    fn is_recovered(&self, at: Time) -> bool {
        self.faults == 0 && self.last_fault.is_none_or(|ended| at >= ended + RECOVERED)
    }

    /// A fault begins on it.
    pub(crate) fn begin(&mut self, at: Time) {
        self.faults += 1;
        self.last_fault = Some(at);
    }

    /// One of its faults ends.
    pub(crate) fn end(&mut self, at: Time) {
        self.faults = self.faults.saturating_sub(1);
        self.last_fault = Some(at);
    }
}

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub invariant: &'static str,
    /// What was seen instead.
    pub what: String,
}

fn violation(invariant: &'static str, what: String) -> Violation {
    Violation { invariant, what }
}

/// Holds what a client saw against what peers did. Nothing is said about peers on whose way to the registry messages get
/// lost at random: `loses`.
pub(crate) fn check_view(view: &View, truth: &Truth, peers: &[Peer], ways: &[Way], loses: bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for ((peer, was), way) in peers.iter().zip(&truth.peers).zip(ways) {
        violations.extend(ghost(view, peer, was, way, loses));
        violations.extend(strange_documents(view, peer, was, way));
        if !loses && way.is_recovered(view.began) {
            violations.extend(unseen_documents(view, peer, was));
        }
    }
    for name in view.peers.keys() {
        if name != LIAR && !peers.iter().any(|peer| peer.name == name) {
            violations.push(violation("names", format!("a peer that there is none of: {name}")));
        }
    }
    violations
}

/// No peer is listed that is gone.
fn ghost(view: &View, peer: &Peer, was: &PeerTruth, way: &Way, loses: bool) -> Option<Violation> {
    let died = was.down_since?;
    let was_in_order = !loses && way.faults == 0 && way.last_fault.is_none_or(|fault| fault + RECOVERED < died);
    let limit = if was_in_order { PROMPT } else { SILENT };
    let is_late = view.began > died + limit + LATENCY;
    (is_late && view.peers.contains_key(peer.name)).then(|| {
        let what = format!("{} was listed at {:?}, and was gone at {died:?}", peer.name, view.began);
        violation("no ghosts", what)
    })
}

/// What the registry has acknowledged is found, as long as the session lasts.
fn unseen_documents(view: &View, peer: &Peer, was: &PeerTruth) -> Vec<Violation> {
    let Some(session) = &was.session else {
        return Vec::new();
    };
    let is_old = |since: Time| since + PROMPT + LATENCY <= view.began;
    if !session.reachable_since.is_some_and(is_old) {
        return Vec::new();
    }
    if let Some((id, _)) = view.peers.get(peer.name).filter(|(id, _)| *id != session.id) {
        let what = format!("at {:?}, {} was {id}, and not {}", view.began, peer.name, session.id);
        return vec![violation("identity", what)];
    }
    if view.unknown.contains(peer.name) {
        return Vec::new();
    }
    let unseen = session.announced.iter().filter(|(key, since)| {
        let is_held = view.holders.get(key).is_some_and(|names| names.contains(peer.name));
        is_old(**since) && !was.removed.contains_key(key) && !is_held
    });
    let unseen: Vec<String> = unseen.map(|(key, _)| key.to_string()).collect();
    let what = || format!("at {:?}, nobody was told that {} has {unseen:?}", view.began, peer.name);
    (!unseen.is_empty())
        .then(|| violation("visible", what()))
        .into_iter()
        .collect()
}

/// Nothing is listed as a peer's that it has not.
fn strange_documents(view: &View, peer: &Peer, was: &PeerTruth, way: &Way) -> Vec<Violation> {
    let listed = view.holders.iter().filter(|(_, names)| names.contains(peer.name));
    let is_stale = |removed: Time| way.is_recovered(view.began) && view.began > removed + SILENT + LATENCY;
    listed
        .filter_map(|(key, _)| {
            let what = if !was.ever.contains(&key.number.get()) {
                "never had"
            } else if was.removed.get(key).copied().is_some_and(is_stale) {
                "has no longer"
            } else {
                return None;
            };
            let what = format!(
                "at {:?}, {} was said to hold {key}, which it {what}",
                view.began, peer.name
            );
            Some(violation("exact", what))
        })
        .collect()
}

/// After everything has healed: everybody is there, and the index is what the folders hold.
pub(crate) fn check_healed(view: &View, peers: &[Peer]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for peer in peers {
        match view.peers.get(peer.name) {
            None => violations.push(violation("comes back", format!("{} is not registered", peer.name))),
            Some((_, Reachability::Reachable)) => {}
            Some((_, other)) => violations.push(violation("comes back", format!("{} is {other:?}", peer.name))),
        }
        if view.unknown.contains(peer.name) {
            continue;
        }
        let held = match documents::files(&peer.folder) {
            Ok(files) => files.into_keys().collect::<BTreeSet<String>>(),
            Err(error) => {
                violations.push(violation("comes back", format!("{}: {error}", peer.folder.display())));
                continue;
            }
        };
        let listed = view.holders.iter().filter(|(_, names)| names.contains(peer.name));
        let listed: BTreeSet<String> = listed.map(|(key, _)| key.file_name()).collect();
        if listed != held {
            let what = format!("{} holds {held:?}, and the index says {listed:?}", peer.name);
            violations.push(violation("exact", what));
        }
    }
    violations
}

/// Every file has the bytes of its number, and nothing unfinished is left by those who are `done`.
pub(crate) fn check_files(peers: &[Peer], done: &BTreeSet<usize>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let all: Vec<(String, Vec<u8>)> = (1..=documents::NUMBERS)
        .filter_map(|number| Some((documents::key(number)?.file_name(), documents::bytes(number))))
        .collect();
    for peer in peers {
        let files = documents::files(&peer.folder).unwrap_or_default();
        for (name, bytes) in files {
            if !all.iter().any(|(known, right)| *known == name && *right == bytes) {
                violations.push(violation("right bytes", format!("{}: {name}", peer.name)));
            }
        }
        if done.contains(&peer.index) && peer.folder.join(".p2pci-part").exists() {
            violations.push(violation("tidy", format!("{} left .p2pci-part", peer.name)));
        }
    }
    violations
}
