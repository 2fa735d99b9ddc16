//! Who announces what while a mirror runs: peers that mirror the same at the same time become its sources.

use std::collections::HashMap;

use p2p_ci::{
    document::{Format, RfcRange},
    identity::SessionId,
    message::{Changed, Holder, PeerInfo, Reachability, WatchEvent},
};

/// Peers that are kept account of; more sources would not make a mirror faster.
const MAX_NEIGHBOURS: usize = 1024;

/// Ranges that are kept in all of what peers announce before it is known that they can be reached, which takes seconds at
/// most: a million bytes, and forty classes of which nobody has two neighbouring documents.
const MAX_KEPT_RANGES: usize = 100_000;

/// Documents that a peer has announced.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    pub(super) holder: Holder,
    pub(super) format: Format,
    pub(super) ranges: Vec<RfcRange>,
}

#[derive(Debug)]
struct Neighbour {
    holder: Holder,
    reachability: Reachability,
    /// What it announced before it was known that it can be reached.
    kept: Vec<(Format, Vec<RfcRange>)>,
}

/// The peers around. Only those that the registry has reached are of use: an address that nobody has tried may be
/// anybody's.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    by_id: HashMap<SessionId, Neighbour>,
    kept_ranges: usize,
}

impl Neighbours {
    /// Takes note of an event, and returns what can be had now that could not before.
    pub(super) fn apply(&mut self, event: WatchEvent) -> Vec<News> {
        match event {
            WatchEvent::Peer(peer) | WatchEvent::Joined(peer) => {
                self.enter(peer);
                Vec::new()
            }
            WatchEvent::Left(label) => {
                self.taken(label.id);
                self.by_id.remove(&label.id);
                Vec::new()
            }
            WatchEvent::Announced(changed) => self.announced(changed),
            WatchEvent::Reachability(label, reachability) => self.reached(label.id, reachability),
            WatchEvent::Reset => {
                *self = Self::default();
                Vec::new()
            }
            // A holder that has withdrawn a document says so when it is asked.
            WatchEvent::Withdrawn(_) | WatchEvent::SnapshotEnd => Vec::new(),
        }
    }

    fn enter(&mut self, peer: PeerInfo) {
        if let Some(address) = peer.address
            && self.by_id.len() < MAX_NEIGHBOURS
        {
            let neighbour = Neighbour {
                holder: Holder {
                    id: peer.id,
                    name: peer.name,
                    address,
                },
                reachability: peer.reachability,
                kept: Vec::new(),
            };
            self.taken(peer.id);
            self.by_id.insert(peer.id, neighbour);
        }
    }

    fn announced(&mut self, changed: Changed) -> Vec<News> {
        let has_room = self.kept_ranges + changed.ranges.len() <= MAX_KEPT_RANGES;
        match self.by_id.get_mut(&changed.peer.id) {
            Some(neighbour) if neighbour.reachability == Reachability::Reachable => vec![News {
                holder: neighbour.holder.clone(),
                format: changed.format,
                ranges: changed.ranges,
            }],
            Some(neighbour) if neighbour.reachability == Reachability::Pending && has_room => {
                self.kept_ranges += changed.ranges.len();
                neighbour.kept.push((changed.format, changed.ranges));
                Vec::new()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Takes what is kept of a peer.
    fn taken(&mut self, id: SessionId) -> Vec<(Format, Vec<RfcRange>)> {
        let neighbour = self.by_id.get_mut(&id);
        let kept = neighbour.map(|neighbour| std::mem::take(&mut neighbour.kept));
        let kept = kept.unwrap_or_default();
        self.kept_ranges -= kept.iter().map(|(_, ranges)| ranges.len()).sum::<usize>();
        kept
    }

    fn reached(&mut self, id: SessionId, reachability: Reachability) -> Vec<News> {
        let kept = self.taken(id);
        let Some(neighbour) = self.by_id.get_mut(&id) else {
            return Vec::new();
        };
        neighbour.reachability = reachability;
        if reachability != Reachability::Reachable {
            return Vec::new();
        }
        let news = |(format, ranges)| News {
            holder: neighbour.holder.clone(),
            format,
            ranges,
        };
        kept.into_iter().map(news).collect()
    }
}

#[cfg(test)]
mod tests {
    use p2p_ci::{document::UnixSeconds, message::PeerLabel};

    use super::*;

    fn peer(reachability: Reachability) -> PeerInfo {
        PeerInfo {
            id: SessionId::from_bytes([1; 16]),
            name: "bob".parse().unwrap(),
            address: Some("10.0.0.1:4000".parse().unwrap()),
            document_counts: Vec::new(),
            registered: UnixSeconds(0),
            reachability,
            upload_count: 0,
        }
    }

    fn label() -> PeerLabel {
        let PeerInfo { id, name, .. } = peer(Reachability::Pending);
        PeerLabel { id, name }
    }

    fn announced(range: &str) -> WatchEvent {
        WatchEvent::Announced(Changed {
            peer: label(),
            format: Format::Txt,
            ranges: vec![range.parse().unwrap()],
        })
    }

    fn ranges(news: &[News]) -> Vec<String> {
        news.iter().map(|news| news.ranges[0].to_string()).collect()
    }

    #[test]
    fn only_what_can_be_reached_is_news() {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.apply(announced("1")), [], "of a stranger");
        neighbours.apply(WatchEvent::Joined(peer(Reachability::Pending)));
        assert_eq!(
            neighbours.apply(announced("2-3")),
            [],
            "nobody has tried its address yet"
        );
        let reached = neighbours.apply(WatchEvent::Reachability(label(), Reachability::Reachable));
        assert_eq!(ranges(&reached), ["2-3"]);
        assert_eq!(ranges(&neighbours.apply(announced("4"))), ["4"]);
        neighbours.apply(WatchEvent::Left(label()));
        assert_eq!(neighbours.apply(announced("5")), []);
    }

    #[test]
    fn who_cannot_be_reached_is_of_no_use() {
        let mut neighbours = Neighbours::default();
        neighbours.apply(WatchEvent::Peer(peer(Reachability::Unreachable)));
        assert_eq!(neighbours.apply(announced("1")), []);
        assert_eq!(
            neighbours.apply(WatchEvent::Reachability(label(), Reachability::Unreachable)),
            []
        );
    }

    #[test]
    fn what_is_kept_of_all_is_bounded_and_given_back() {
        let mut neighbours = Neighbours::default();
        let many = |count: usize| {
            WatchEvent::Announced(Changed {
                peer: label(),
                format: Format::Txt,
                ranges: vec!["1".parse().unwrap(); count],
            })
        };
        neighbours.apply(WatchEvent::Joined(peer(Reachability::Pending)));
        neighbours.apply(many(MAX_KEPT_RANGES));
        neighbours.apply(announced("2"));
        assert_eq!(neighbours.kept_ranges, MAX_KEPT_RANGES);
        neighbours.apply(WatchEvent::Reachability(label(), Reachability::Unreachable));
        assert_eq!(neighbours.kept_ranges, 0);
        neighbours.apply(announced("3"));
        assert_eq!(neighbours.kept_ranges, 0, "nobody can fetch that");
        neighbours.apply(WatchEvent::Joined(peer(Reachability::Pending)));
        neighbours.apply(announced("4"));
        neighbours.apply(WatchEvent::Left(label()));
        assert_eq!(neighbours.kept_ranges, 0);
    }
}
