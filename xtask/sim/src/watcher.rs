//! A client that follows what happens in the index, and knows from that alone who is there and who has what.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    document::{DocumentKey, Format, RfcNumber, RfcRange},
    identity::SessionId,
    message::{Changed, PeerInfo, PeerLabel, Reachability, WatchEvent},
};
use tokio::time::{sleep, timeout};

use crate::{
    hosts::{Software, registry_url},
    network::dialer,
    truth::{SharedTruth, Source, View, now},
};

/// The host of the client that watches.
pub(crate) const WATCHER: &str = "watcher";

/// How often what it knows is held against the truth.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long it waits before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches for ever, from the start when the registry goes away.
pub(crate) async fn run(truth: SharedTruth) -> Software {
    loop {
        if let Err(error) = watch(&truth).await {
            truth.lock().tell(now(), format!("{WATCHER}: {error}"));
        }
        sleep(PAUSE).await;
    }
}

async fn watch(truth: &SharedTruth) -> Result<(), CallError> {
    let client = RegistryClient::connect(&dialer(), &registry_url()).await?;
    let mut events = client.watch().await?;
    let mut known = Known::default();
    let mut looked = now();
    loop {
        match timeout(LOOK_INTERVAL, events.next()).await {
            Ok(Ok(Some(event))) => {
                if let Err(what) = known.learn(&event) {
                    truth.lock().untrue.push(format!("{event:?}: {what}"));
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        if known.is_whole && now() >= looked + LOOK_INTERVAL {
            looked = now();
            truth.lock().views.push(known.view());
        }
    }
}

/// What a watcher knows of a peer.
#[derive(Debug)]
struct Seen {
    name: String,
    reachability: Reachability,
    /// The numbers of its texts; a snapshot tells only how many.
    numbers: Option<BTreeSet<RfcNumber>>,
}

/// All that a watcher knows.
#[derive(Debug, Default)]
struct Known {
    peers: BTreeMap<SessionId, Seen>,
    /// Whether the snapshot is complete.
    is_whole: bool,
}

impl Known {
    /// Goes on with an event; says why it cannot be true, if so.
    fn learn(&mut self, event: &WatchEvent) -> Result<(), &'static str> {
        match event {
            WatchEvent::Peer(_) if self.is_whole => Err("the snapshot is complete"),
            WatchEvent::Peer(peer) => self.add(peer, None),
            WatchEvent::SnapshotEnd if self.is_whole => Err("the snapshot is complete"),
            WatchEvent::SnapshotEnd => {
                self.is_whole = true;
                Ok(())
            }
            WatchEvent::Joined(peer) if peer.document_count() > 0 => Err("it has said nothing of documents"),
            WatchEvent::Joined(peer) => self.add(peer, Some(BTreeSet::new())),
            WatchEvent::Left(label) => match self.peers.remove(&label.id) {
                Some(_) => Ok(()),
                None => Err("it was not there"),
            },
            WatchEvent::Announced(changed) => self.change(changed, |numbers, range| {
                numbers.extend(within(range));
            }),
            WatchEvent::Withdrawn(changed) => self.change(changed, |numbers, range| {
                numbers.retain(|number| !within(range).any(|withdrawn| withdrawn == *number));
            }),
            WatchEvent::Reachability(label, reachability) => {
                self.of(label)?.reachability = *reachability;
                Ok(())
            }
            WatchEvent::Reset => {
                *self = Self::default();
                Ok(())
            }
        }
    }

    fn add(&mut self, peer: &PeerInfo, numbers: Option<BTreeSet<RfcNumber>>) -> Result<(), &'static str> {
        let seen = Seen {
            name: peer.name.to_string(),
            reachability: peer.reachability,
            numbers,
        };
        match self.peers.insert(peer.id, seen) {
            Some(_) => Err("it was there already"),
            None => Ok(()),
        }
    }

    fn of(&mut self, label: &PeerLabel) -> Result<&mut Seen, &'static str> {
        let seen = self.peers.get_mut(&label.id).ok_or("nobody was told of it")?;
        if seen.name != label.name.to_string() {
            return Err("it had another name");
        }
        Ok(seen)
    }

    fn change(
        &mut self,
        changed: &Changed,
        apply: impl Fn(&mut BTreeSet<RfcNumber>, RfcRange),
    ) -> Result<(), &'static str> {
        let seen = self.of(&changed.peer)?;
        if let Some(numbers) = seen.numbers.as_mut().filter(|_| changed.format == Format::Txt) {
            changed.ranges.iter().for_each(|range| apply(numbers, *range));
        }
        Ok(())
    }

    fn view(&self) -> View {
        let mut view = View {
            source: Source::Watch,
            began: now(),
            peers: BTreeMap::new(),
            holders: BTreeMap::new(),
            unknown: BTreeSet::new(),
        };
        for (id, seen) in &self.peers {
            view.peers.insert(seen.name.clone(), (*id, seen.reachability));
            let Some(numbers) = &seen.numbers else {
                view.unknown.insert(seen.name.clone());
                continue;
            };
            for number in numbers {
                let key = DocumentKey {
                    number: *number,
                    format: Format::Txt,
                };
                view.holders.entry(key).or_default().insert(seen.name.clone());
            }
        }
        view
    }
}

fn within(range: RfcRange) -> impl Iterator<Item = RfcNumber> {
    (range.first.get()..=range.last.get()).filter_map(RfcNumber::new)
}
