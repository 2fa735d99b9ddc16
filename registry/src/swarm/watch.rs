//! One watcher's view of the swarm: a snapshot, then what happens.

use std::{sync::Arc, vec};

use p2p_ci::message::WatchEvent;
use tokio_util::sync::CancellationToken;

use super::{
    Swarm,
    watchers::{Events, Standing},
};
use crate::{error::StreamEnd, index::answers::PeerView};

/// A watcher. Dropping it frees its place.
#[derive(Debug)]
pub struct Watch {
    swarm: Swarm,
    id: u64,
    stop: CancellationToken,
    events: Events,
    /// What is left of the snapshot, until it is complete.
    snapshot: Option<Snapshot>,
}

#[derive(Debug, Default)]
struct Snapshot {
    page: vec::IntoIter<PeerView>,
    /// The last session that it has shown.
    shown: u64,
}

/// The next page of a snapshot.
pub(super) enum Page {
    /// The sessions that come next; none at the end.
    Peers(Vec<PeerView>),
    /// The snapshot cannot go on.
    Broken(Standing),
}

impl Watch {
    pub(super) fn new(swarm: Swarm, id: u64, events: Events, stop: CancellationToken) -> Self {
        Self {
            swarm,
            id,
            stop,
            events,
            snapshot: Some(Snapshot::default()),
        }
    }

    /// The next event; waits for as long as nothing happens.
    ///
    /// # Errors
    ///
    /// [`StreamEnd::ShuttingDown`], [`StreamEnd::WatcherTooSlow`]; the watch is over then.
    pub async fn next(&mut self) -> Result<Arc<WatchEvent>, StreamEnd> {
        loop {
            if self.stop.is_cancelled() {
                return Err(StreamEnd::ShuttingDown);
            }
            let event = match &mut self.snapshot {
                Some(_) => self.next_of_snapshot()?,
                None => self.next_change().await?,
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// The next event of the snapshot; `None` when a page was fetched first.
    fn next_of_snapshot(&mut self) -> Result<Option<Arc<WatchEvent>>, StreamEnd> {
        let Some(snapshot) = &mut self.snapshot else {
            return Ok(None);
        };
        if let Some(peer) = snapshot.page.next() {
            return Ok(Some(Arc::new(WatchEvent::Peer(peer.into_info()))));
        }
        match self.swarm.snapshot_page(self.id, snapshot.shown) {
            Page::Broken(standing) => self.restart(standing),
            Page::Peers(peers) => match peers.last() {
                Some(last) => {
                    snapshot.shown = last.number;
                    snapshot.page = peers.into_iter();
                    Ok(None)
                }
                None => {
                    self.snapshot = None;
                    Ok(Some(Arc::new(WatchEvent::SnapshotEnd)))
                }
            },
        }
    }

    async fn next_change(&mut self) -> Result<Option<Arc<WatchEvent>>, StreamEnd> {
        let event = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(StreamEnd::ShuttingDown),
            event = self.events.recv() => event,
        };
        match event {
            Some(event) => Ok(Some(event)),
            None => {
                let standing = self.swarm.watcher_standing(self.id);
                self.restart(standing)
            }
        }
    }

    fn restart(&mut self, standing: Standing) -> Result<Option<Arc<WatchEvent>>, StreamEnd> {
        match standing {
            Standing::Sound => Ok(None),
            Standing::Gone => Err(StreamEnd::WatcherTooSlow),
            Standing::Reset(events) => {
                self.events = events;
                self.snapshot = Some(Snapshot::default());
                Ok(Some(Arc::new(WatchEvent::Reset)))
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.swarm.unwatch(self.id);
    }
}
