//! Whose turn it is. Pure: no clock, no network.
//!
//! Sources take turns, and within each its streams: of those that wait, whoever was served fewer bytes goes first. So
//! shares are equal by bytes, whatever the length of the pieces, and no wait is endless, since whoever is served falls
//! back behind the others. This is start-time fair queueing (Goyal, Vin and Cheng, 1996) on two levels.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// One stream of a downloader, among those of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(u64);

/// Who waits for a turn, and who got how much.
#[derive(Debug)]
pub(super) struct Turns {
    sources: Queue<IpAddr>,
    of_source: HashMap<IpAddr, Queue<StreamId>>,
    streams: HashMap<StreamId, Stream>,
    credit_bytes: u64,
    next_id: u64,
}

#[derive(Debug)]
struct Stream {
    source: IpAddr,
    /// What it waits to send.
    waits_with: Option<u64>,
}

impl Turns {
    /// Nobody is here. Whoever does not wait for a moment has its turns later, up to `credit_bytes`.
    pub(super) fn new(credit_bytes: u64) -> Self {
        Self {
            sources: Queue::default(),
            of_source: HashMap::new(),
            streams: HashMap::new(),
            credit_bytes,
            next_id: 0,
        }
    }

    /// A stream to `source` begins.
    pub(super) fn enter(&mut self, source: IpAddr) -> StreamId {
        let id = StreamId(self.next_id);
        self.next_id += 1;
        self.sources.enter(source);
        self.of_source.entry(source).or_default().enter(id);
        let waits_with = None;
        self.streams.insert(id, Stream { source, waits_with });
        id
    }

    /// A stream ends, whether it waits or not.
    pub(super) fn leave(&mut self, id: StreamId) {
        self.give_up(id);
        let Some(Stream { source, .. }) = self.streams.remove(&id) else {
            return;
        };
        let Some(streams) = self.of_source.get_mut(&source) else {
            return;
        };
        streams.leave(id);
        self.sources.leave(source);
        if streams.is_empty() {
            self.of_source.remove(&source);
        }
    }

    /// A stream waits to send `bytes`.
    pub(super) fn wait(&mut self, id: StreamId, bytes: u64) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.waits_with = Some(bytes);
        if let Some(streams) = self.of_source.get_mut(&stream.source) {
            streams.wait(id, self.credit_bytes);
        }
        self.sources.wait(stream.source, self.credit_bytes);
    }

    /// A stream no longer waits.
    pub(super) fn give_up(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.waits_with = None;
        if let Some(streams) = self.of_source.get_mut(&stream.source) {
            streams.stop(id);
            if streams.first().is_none() {
                self.sources.stop(stream.source);
            }
        }
    }

    /// Whose turn it is, and what it waits to send.
    pub(super) fn first(&self) -> Option<(StreamId, u64)> {
        let id = self.of_source.get(&self.sources.first()?)?.first()?;
        Some((id, self.streams.get(&id)?.waits_with?))
    }

    /// A stream has had its turn, and sends what it waited with.
    pub(super) fn serve(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        let (source, Some(bytes)) = (stream.source, stream.waits_with) else {
            return;
        };
        if let Some(streams) = self.of_source.get_mut(&source) {
            streams.serve(id, bytes);
        }
        self.sources.serve(source, bytes);
        self.give_up(id);
    }
}

/// One level of turns.
#[derive(Debug)]
struct Queue<K> {
    members: BTreeMap<K, Member>,
    /// What the last one that was served had been served before: where newcomers begin.
    level: u64,
    /// Waits so far, so that of equals the one goes first that has waited for longer.
    waits: u64,
}

#[derive(Debug)]
struct Member {
    /// How often it entered, less how often it left.
    present: usize,
    /// Bytes that it was served, and those that it might have been before it came.
    served: u64,
    /// Since when it waits, in waits.
    waiting: Option<u64>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            level: 0,
            waits: 0,
        }
    }
}

impl<K: Ord + Copy> Queue<K> {
    fn is_empty(&self) -> bool {
        self.members.values().all(|member| member.present == 0)
    }

    fn enter(&mut self, key: K) {
        let level = self.level;
        // One that left is known until the others got as much, or it would gain by leaving and coming back.
        self.members
            .retain(|_, member| member.present > 0 || member.served > level);
        let member = self.members.entry(key).or_insert(Member {
            present: 0,
            served: level,
            waiting: None,
        });
        member.present += 1;
    }

    fn leave(&mut self, key: K) {
        if let Some(member) = self.members.get_mut(&key) {
            member.present = member.present.saturating_sub(1);
        }
    }

    fn wait(&mut self, key: K, credit_bytes: u64) {
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if member.waiting.is_none() {
            // Turns that it let pass are not saved up without end.
            member.served = member.served.max(self.level.saturating_sub(credit_bytes));
            member.waiting = Some(self.waits);
            self.waits += 1;
        }
    }

    fn stop(&mut self, key: K) {
        if let Some(member) = self.members.get_mut(&key) {
            member.waiting = None;
        }
    }

    fn first(&self) -> Option<K> {
        let waiting = self.members.iter().filter_map(|(key, member)| {
            let since = member.waiting?;
            Some((member.served, since, key))
        });
        waiting
            .min_by_key(|(served, since, _)| (*served, *since))
            .map(|(.., key)| *key)
    }

    fn serve(&mut self, key: K, bytes: u64) {
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        self.level = self.level.max(member.served);
        member.served = member.served.saturating_add(bytes);
        if member.waiting.is_some() {
            member.waiting = Some(self.waits);
            self.waits += 1;
        }
    }
}

#[cfg(test)]
mod tests;
