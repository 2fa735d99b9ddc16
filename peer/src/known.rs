//! What is remembered of other peers from one command to the next: where they were, and which of them lied.
//!
//! While the registry cannot be asked, documents are had from those that it named before. And whoever sent wrong bytes
//! several times is left alone for a while, also by the next command.
//!
//! Times are those of the wall clock, as they outlive the process. A clock that is set wrong makes peers be forgotten or
//! trusted again too early or too late; what is downloaded is checked all the same.

mod learning;
mod memory;

use std::net::IpAddr;

use p2p_ci::{document::UnixSeconds, identity::PeerName, message::Holder};

pub use self::{learning::keep_learning, memory::Memory};

/// Peers that are remembered: whoever shares a room, a class or an office, in 50 KB of JSON.
pub const MAX_KNOWN_PEERS: usize = 256;

/// For how long a peer is remembered that nobody named since: a laboratory is closed for the holidays.
pub const KNOWN_FOR_S: i64 = 30 * 24 * 3600;

/// Lies within [`STRIKE_SPAN_S`] for which a peer is left alone. One may be a disk that fails, or a file that was copied badly.
pub const STRIKES: usize = 3;

/// Within what time lies count together.
pub const STRIKE_SPAN_S: i64 = 600;

/// For how long a peer is left alone after its last lie: a liar costs a download now and then, and one that was mended is
/// of use again.
pub const BAN_S: i64 = 600;

/// Peers of which lies of late are remembered before peers without any: half of all, so that liars do not crowd out those who
/// can be asked.
const MAX_LIARS: usize = MAX_KNOWN_PEERS / 2;

/// A peer that the registry named, or that was downloaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// Who and where.
    pub holder: Holder,
    /// When it was named last.
    pub seen: UnixSeconds,
    /// When it sent wrong bytes: the last [`STRIKES`] times, the latest last.
    pub lies: Vec<UnixSeconds>,
}

impl KnownPeer {
    fn is_banned(&self, now: UnixSeconds) -> bool {
        let counts = |lie: &&UnixSeconds| {
            self.lies
                .last()
                .is_some_and(|last| last.0.saturating_sub(lie.0) <= STRIKE_SPAN_S)
        };
        let lasts = self
            .lies
            .last()
            .is_some_and(|last| (0..BAN_S).contains(&now.0.saturating_sub(last.0)));
        lasts && self.lies.iter().filter(counts).count() >= STRIKES
    }

    /// Whether it lied so recently that it may be banned for that, now or after another lie.
    fn lied_of_late(&self, now: UnixSeconds) -> bool {
        let span = STRIKE_SPAN_S.max(BAN_S);
        let last = self.lies.last();
        last.is_some_and(|last| (0..span).contains(&now.0.saturating_sub(last.0)))
    }

    fn is_remembered(&self, now: UnixSeconds) -> bool {
        (0..KNOWN_FOR_S).contains(&now.0.saturating_sub(self.seen.0))
    }
}

/// Peers of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownPeers {
    /// Where the registry was reached last, which tells how far a holder's address must reach.
    pub registry: Option<IpAddr>,
    /// In the order in which they were named, the latest first; no address twice.
    peers: Vec<KnownPeer>,
}

impl KnownPeers {
    /// Peers that were remembered elsewhere, the latest first.
    #[must_use]
    pub fn new(registry: Option<IpAddr>, peers: Vec<KnownPeer>) -> Self {
        let mut known = Self {
            registry,
            peers: Vec::new(),
        };
        for peer in peers.into_iter().take(MAX_KNOWN_PEERS) {
            if known.at(&peer.holder).is_none() {
                known.peers.push(peer);
            }
        }
        known
    }

    /// Everybody who is remembered, the latest first.
    #[must_use]
    pub fn peers(&self) -> &[KnownPeer] {
        &self.peers
    }

    fn at(&self, holder: &Holder) -> Option<usize> {
        self.peers.iter().position(|peer| peer.holder.address == holder.address)
    }

    /// A peer was named now.
    pub fn learn(&mut self, holder: &Holder, now: UnixSeconds) {
        let lies = match self.at(holder) {
            Some(at) => self.peers.remove(at).lies,
            // Names are unique among those that are active, so this one has moved, or somebody has taken its name: what
            // was done at one address is not held against another.
            None => {
                if let Some(at) = self.named(&holder.name) {
                    self.peers.remove(at);
                }
                Vec::new()
            }
        };
        let peer = KnownPeer {
            holder: holder.clone(),
            seen: now,
            lies,
        };
        self.peers.insert(0, peer);
        self.make_room(now);
    }

    /// Forgets those who were named longest ago while there are too many: of those who have not lied of late, unless there are
    /// too many of the others.
    fn make_room(&mut self, now: UnixSeconds) {
        while self.peers.len() > MAX_KNOWN_PEERS {
            let liars = self.peers.iter().filter(|peer| peer.lied_of_late(now)).count();
            let may_go = |peer: &KnownPeer| peer.lied_of_late(now) == (liars > MAX_LIARS);
            let Some(at) = self.peers.iter().rposition(may_go) else {
                return;
            };
            self.peers.remove(at);
        }
    }

    /// Adds what another command has remembered meanwhile.
    pub fn merge(&mut self, other: Self, now: UnixSeconds) {
        self.registry = self.registry.or(other.registry);
        for theirs in other.peers {
            if let Some(ours) = self.at(&theirs.holder).and_then(|at| self.peers.get_mut(at)) {
                ours.lies = all_of(&ours.lies, &theirs.lies);
                if theirs.seen > ours.seen {
                    (ours.holder, ours.seen) = (theirs.holder, theirs.seen);
                }
                continue;
            }
            match self.named(&theirs.holder.name) {
                Some(at) if self.peers.get(at).is_some_and(|ours| ours.seen >= theirs.seen) => {}
                Some(at) => {
                    self.peers.remove(at);
                    self.peers.push(theirs);
                }
                None => self.peers.push(theirs),
            }
        }
        self.peers.sort_by_key(|peer| std::cmp::Reverse(peer.seen));
        self.make_room(now);
    }

    fn named(&self, name: &PeerName) -> Option<usize> {
        self.peers.iter().position(|peer| peer.holder.name == *name)
    }

    /// A peer sent wrong bytes. Returns whether it is left alone from now on.
    pub fn strike(&mut self, holder: &Holder, now: UnixSeconds) -> bool {
        if self.at(holder).is_none() {
            self.learn(holder, now);
        }
        let Some(peer) = self.at(holder).and_then(|at| self.peers.get_mut(at)) else {
            return false;
        };
        peer.lies.push(now);
        let old = peer.lies.len().saturating_sub(STRIKES);
        peer.lies.drain(..old);
        peer.is_banned(now)
    }

    /// Whether a peer lied so often of late that it is not asked.
    #[must_use]
    pub fn is_banned(&self, holder: &Holder, now: UnixSeconds) -> bool {
        let peer = self.at(holder).and_then(|at| self.peers.get(at));
        peer.is_some_and(|peer| peer.is_banned(now))
    }

    /// Those to ask without the registry's help, the latest first.
    #[must_use]
    pub fn to_ask(&self, now: UnixSeconds) -> Vec<Holder> {
        let asked = self
            .peers
            .iter()
            .filter(|peer| peer.is_remembered(now) && !peer.is_banned(now));
        asked.map(|peer| peer.holder.clone()).collect()
    }
}

/// The last [`STRIKES`] of the lies that either of two commands knows of. Those of one second may be the same ones.
fn all_of(ours: &[UnixSeconds], theirs: &[UnixSeconds]) -> Vec<UnixSeconds> {
    let mut all = ours.to_vec();
    for (at, lie) in theirs.iter().enumerate() {
        let earlier = theirs.iter().take(at).filter(|other| *other == lie).count();
        if ours.iter().filter(|other| *other == lie).count() <= earlier {
            all.push(*lie);
        }
    }
    all.sort();
    all.drain(..all.len().saturating_sub(STRIKES));
    all
}

#[cfg(test)]
mod tests {
    use p2p_ci::identity::SessionId;

    use super::*;

    fn holder(name: &str, address: &str) -> Holder {
        Holder {
            id: SessionId::from_bytes([7; 16]),
            name: name.parse().unwrap(),
            address: address.parse().unwrap(),
        }
    }

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn after(seconds: i64) -> UnixSeconds {
        UnixSeconds(NOW.0 + seconds)
    }

    #[test]
    fn those_named_last_are_asked_first_and_a_peer_that_moved_is_known_once() {
        let mut known = KnownPeers::default();
        known.learn(&holder("alice", "10.0.0.1:4001"), NOW);
        known.learn(&holder("bob", "10.0.0.2:4002"), after(1));
        known.learn(&holder("alice", "10.0.0.9:4009"), after(2));
        let asked = known.to_ask(after(3));
        assert_eq!(
            asked,
            [holder("alice", "10.0.0.9:4009"), holder("bob", "10.0.0.2:4002")]
        );
        assert_eq!(known.to_ask(after(KNOWN_FOR_S + 1)), [holder("alice", "10.0.0.9:4009")]);
        assert_eq!(known.to_ask(after(-1)), [], "of the future nothing is known");
        for n in 0..1000 {
            known.learn(&holder(&format!("p{n}"), &format!("10.0.1.1:{}", 2000 + n)), after(4));
        }
        assert_eq!(known.peers().len(), MAX_KNOWN_PEERS);
    }

    #[test]
    fn three_lies_in_ten_minutes_are_too_many_for_the_next_ten() {
        let liar = holder("liar", "10.0.0.1:4001");
        let mut known = KnownPeers::default();
        assert!(!known.strike(&liar, NOW));
        assert!(!known.strike(&liar, after(1)));
        assert!(
            !known.strike(&liar, after(STRIKE_SPAN_S + 1)),
            "the first one no longer counts"
        );
        assert!(known.strike(&liar, after(STRIKE_SPAN_S + 1)));
        let last = STRIKE_SPAN_S + 1;
        assert!(known.is_banned(&liar, after(last + BAN_S - 1)));
        assert_eq!(known.to_ask(after(last + 1)), []);
        known.learn(&liar, after(last + 2));
        assert!(
            known.is_banned(&liar, after(last + 2)),
            "to be named again excuses nothing"
        );
        assert!(!known.is_banned(&liar, after(last + BAN_S)));
        assert!(
            !known.is_banned(&liar, after(last - 1)),
            "a clock that went back bans nobody for long"
        );
        assert!(!known.is_banned(&holder("other", "10.0.0.2:4001"), after(last)));
        let away = holder("liar", "10.0.0.3:4001");
        known.learn(&away, after(last));
        assert!(
            !known.is_banned(&away, after(last)),
            "who takes a name takes no blame along"
        );
    }

    #[test]
    fn a_crowd_excuses_no_liar_and_liars_crowd_nobody_out() {
        let liar = holder("liar", "10.0.0.1:4001");
        let mut known = KnownPeers::default();
        for _ in 0..STRIKES {
            for n in 0..2 * MAX_KNOWN_PEERS {
                known.learn(&holder(&format!("p{n}"), &format!("10.0.1.1:{}", 2000 + n)), NOW);
            }
            known.strike(&liar, NOW);
        }
        assert!(known.is_banned(&liar, NOW));
        for n in 0..2 * MAX_KNOWN_PEERS {
            known.strike(&holder(&format!("l{n}"), &format!("10.0.2.1:{}", 2000 + n)), NOW);
        }
        assert_eq!(known.peers().len(), MAX_KNOWN_PEERS);
        let honest = known.peers().iter().filter(|peer| peer.lies.is_empty()).count();
        assert!(honest >= MAX_KNOWN_PEERS - MAX_LIARS - 1, "{honest}");
        for n in 0..MAX_KNOWN_PEERS {
            known.learn(
                &holder(&format!("p{n}"), &format!("10.0.1.1:{}", 2000 + n)),
                after(BAN_S),
            );
        }
        assert!(
            known.peers().iter().all(|peer| peer.lies.is_empty()),
            "all is forgotten in time"
        );
    }

    #[test]
    fn what_two_commands_remember_comes_together() {
        let (alice, bob) = (holder("alice", "10.0.0.1:4001"), holder("bob", "10.0.0.2:4002"));
        let mut first = KnownPeers::default();
        first.learn(&alice, NOW);
        let mut second = first.clone();
        first.strike(&alice, after(1));
        second.strike(&alice, after(1));
        second.strike(&alice, after(1));
        second.strike(&alice, after(2));
        second.learn(&bob, after(3));
        let moved = holder("bob", "10.0.0.9:4009");
        first.learn(&moved, after(4));
        first.merge(second.clone(), after(5));
        assert!(first.is_banned(&alice, after(5)), "{first:?}");
        assert_eq!(
            first.to_ask(after(5)),
            std::slice::from_ref(&moved),
            "who moved is known once"
        );
        let once = first.clone();
        first.merge(second.clone(), after(5));
        assert_eq!(first, once, "twice is once");
        second.merge(first, after(5));
        assert_eq!(second.to_ask(after(5)), [moved]);
    }
}
