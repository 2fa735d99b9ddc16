//! A document on its way from a holder.

use bytes::Bytes;
use p2p_ci::{document::UnixSeconds, message::Compression};
use tokio::time::Instant;

use super::{
    budget::{PATIENCE, Room},
    plan::Task,
};
use crate::library::Body;

/// A quarter of a megabit a second. A poor link has more, and who has less delivers an RFC of average length in two seconds
/// all the same.
const CRAWL_BYTES_PER_SECOND: u64 = 32 * 1024;

/// A document that was asked for.
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) task: Task,
    pub(super) compression: Compression,
}

/// A document that is arriving.
pub(super) struct Arriving {
    pub(super) modified: Option<UnixSeconds>,
    since: Instant,
    received_bytes: u64,
    /// What has come of it, and the room that was taken for all of it; none where it was given up.
    kept: Option<(Body, Room)>,
}

impl Arriving {
    /// Nothing has come yet.
    pub(super) fn new(modified: Option<UnixSeconds>, room: Room) -> Self {
        Self {
            modified,
            since: Instant::now(),
            received_bytes: 0,
            kept: Some((Body::default(), room)),
        }
    }

    /// Bytes that have come, also of one that was given up.
    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Adds bytes, behind which so many are still to come.
    pub(super) fn push(&mut self, chunk: Bytes, left: u64) {
        self.received_bytes += chunk.len() as u64;
        if let Some((body, _)) = &mut self.kept {
            body.push(chunk, left);
        }
    }

    /// From when on it may be given up for the sake of others; `None` where that was done.
    pub(super) fn may_be_given_up_at(&self) -> Option<Instant> {
        self.kept.as_ref().map(|_| self.since + PATIENCE)
    }

    /// Whether it comes so slowly that the rest is not worth waiting for, with somebody who waits for its room.
    pub(super) fn crawls(&self) -> bool {
        self.received_bytes < self.since.elapsed().as_secs().saturating_mul(CRAWL_BYTES_PER_SECOND)
    }

    /// Gives its room back. What is still to come of it is dropped.
    pub(super) fn give_up(&mut self) {
        self.kept = None;
    }

    /// All of it, and its room; `None` where it was given up.
    pub(super) fn into_kept(self) -> Option<(Body, Room)> {
        self.kept
    }
}
