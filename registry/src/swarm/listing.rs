//! Answers that are too long for one look at the index: each look takes a page, and others get their turn in between.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, vec};

use p2p_ci::{
    digest::DigestPrefix,
    document::{DocumentClaim, RfcNumber, RfcRange},
    limits::{DEFAULT_LIST_HOLDERS, MAX_BATCH_DOCUMENTS},
    message::{
        DocumentEntry, ListPage, ListPageQuery, ListQuery, Listed, LookupAnswer, LookupManyQuery, LookupQuery, PeerInfo,
    },
};
use tokio_util::sync::CancellationToken;

use super::Swarm;
use crate::{
    error::{RegistryError, StreamEnd},
    index::answers::{Asker, Found, PeerView, Walk, WalkQuery},
    limits::{LOOKUP_DOCUMENTS, PEERS_PER_PAGE, VISITS_PER_TURN},
    message_room::{self, Room},
};

impl Swarm {
    /// The documents of one number that `asker` could get from somebody.
    ///
    /// # Errors
    ///
    /// [`RegistryError::RfcNotFound`].
    pub fn lookup(&self, query: &LookupQuery, asker: Asker) -> Result<LookupAnswer, RegistryError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let found = state.index.lookup(query, asker, LOOKUP_DOCUMENTS, &mut state.rng);
        let converging = state.converging();
        drop(guard);
        match found {
            Ok(found) => Ok(answer(found, converging.is_some())),
            Err(unusable) => Err(RegistryError::RfcNotFound {
                query: query.clone(),
                unusable,
                converging,
            }),
        }
    }

    /// The same without the reason where there is none, and how many visits of a document it took.
    fn find(&self, query: &LookupQuery, asker: Asker) -> (LookupAnswer, usize) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let visits = state.index.visits_of(query);
        let found = state.index.usable(query, asker, LOOKUP_DOCUMENTS, &mut state.rng);
        let converging = state.converging().is_some();
        drop(guard);
        (answer(found, converging), visits)
    }

    fn walk(&self, query: &WalkQuery, asker: Asker, after: Option<DocumentClaim>) -> Walk {
        let mut guard = self.lock();
        let state = &mut *guard;
        state
            .index
            .walk(query, asker, after, MAX_BATCH_DOCUMENTS, &mut state.rng)
    }

    /// A page of the index that fits one message.
    pub(super) async fn list_page(&self, query: &ListPageQuery, asker: Asker) -> ListPage {
        let walk_query = WalkQuery {
            filter: query.filter,
            holder: None,
            max_holders: DEFAULT_LIST_HOLDERS,
        };
        let mut entries: Vec<DocumentEntry> = Vec::new();
        let mut room = Room::default();
        let mut after = query.after;
        let converging = self.lock().converging().is_some();
        let page = |entries, next| ListPage {
            entries,
            next,
            converging,
        };
        loop {
            let walk = self.walk(&walk_query, asker, after);
            for entry in walk.found.into_iter().map(Found::into_entry) {
                if entries.len() == query.page_size || !room.take(&entry) {
                    let next = entries.last().map(|entry| entry.document.claim());
                    return page(entries, next);
                }
                entries.push(entry);
            }
            after = walk.next;
            if after.is_none() {
                return page(entries, None);
            }
            tokio::task::yield_now().await;
        }
    }

    /// The documents of the index, in order, until `stop`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::PeerNotFound`].
    pub fn list(&self, query: ListQuery, asker: Asker, stop: CancellationToken) -> Result<Documents, RegistryError> {
        let holder = match query.peer {
            None => None,
            Some(peer) => Some(self.lock().index.find(&peer).ok_or(RegistryError::PeerNotFound(peer))?),
        };
        let query = WalkQuery {
            filter: query.filter,
            holder,
            max_holders: query.max_holders,
        };
        Ok(Documents {
            swarm: self.clone(),
            query,
            asker,
            stop,
            converging: self.lock().converging().is_some(),
            page: Vec::new().into_iter(),
            rest: Rest::From(None),
        })
    }

    /// The answers to a lookup of many numbers, in order, until `stop`.
    #[must_use]
    pub fn lookup_many(&self, query: LookupManyQuery, asker: Asker, stop: CancellationToken) -> Lookups {
        Lookups {
            swarm: self.clone(),
            numbers: query.numbers.into(),
            query: LookupQuery {
                number: RfcRange::ALL.first,
                format: query.format,
                sha256_prefix: DigestPrefix::default(),
                max_holders: query.max_holders,
            },
            asker,
            stop,
            visits: 0,
        }
    }

    /// The active peers, in order of registration, until `stop`.
    #[must_use]
    pub fn peers(&self, stop: CancellationToken) -> Peers {
        Peers {
            swarm: self.clone(),
            stop,
            page: Vec::new().into_iter(),
            after: Some(0),
        }
    }
}

fn answer(found: Vec<Found>, converging: bool) -> LookupAnswer {
    LookupAnswer {
        documents: message_room::fit(found.into_iter().map(Found::into_entry).collect()),
        converging,
    }
}

fn go_on(stop: &CancellationToken) -> Result<(), StreamEnd> {
    if stop.is_cancelled() {
        return Err(StreamEnd::ShuttingDown);
    }
    Ok(())
}

/// What is left of a walk.
#[derive(Debug, Clone, Copy)]
enum Rest {
    From(Option<DocumentClaim>),
    Nothing,
}

/// The documents of the index, page by page.
#[derive(Debug)]
pub struct Documents {
    swarm: Swarm,
    query: WalkQuery,
    asker: Asker,
    stop: CancellationToken,
    /// As of the beginning.
    converging: bool,
    page: vec::IntoIter<Found>,
    rest: Rest,
}

impl Documents {
    /// The next document; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`StreamEnd::ShuttingDown`].
    pub async fn next(&mut self) -> Result<Option<Listed>, StreamEnd> {
        loop {
            go_on(&self.stop)?;
            if let Some(found) = self.page.next() {
                return Ok(Some(Listed {
                    entry: found.into_entry(),
                    converging: self.converging,
                }));
            }
            let Rest::From(after) = self.rest else {
                return Ok(None);
            };
            tokio::task::yield_now().await;
            let walk = self.swarm.walk(&self.query, self.asker, after);
            self.page = walk.found.into_iter();
            self.rest = match walk.next {
                Some(next) => Rest::From(Some(next)),
                None => Rest::Nothing,
            };
        }
    }
}

/// The answers to a lookup of many numbers.
#[derive(Debug)]
pub struct Lookups {
    swarm: Swarm,
    numbers: VecDeque<RfcNumber>,
    query: LookupQuery,
    asker: Asker,
    stop: CancellationToken,
    /// Since others had their turn.
    visits: usize,
}

impl Lookups {
    /// The next number with its documents, which are none when nobody has them; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`StreamEnd::ShuttingDown`].
    pub async fn next(&mut self) -> Result<Option<(RfcNumber, LookupAnswer)>, StreamEnd> {
        go_on(&self.stop)?;
        let Some(number) = self.numbers.pop_front() else {
            return Ok(None);
        };
        if self.visits >= VISITS_PER_TURN {
            self.visits = 0;
            tokio::task::yield_now().await;
        }
        self.query.number = number;
        let (answer, visits) = self.swarm.find(&self.query, self.asker);
        self.visits += visits.max(1);
        Ok(Some((number, answer)))
    }
}

/// The active peers, page by page.
#[derive(Debug)]
pub struct Peers {
    swarm: Swarm,
    stop: CancellationToken,
    page: vec::IntoIter<PeerView>,
    after: Option<u64>,
}

impl Peers {
    /// The next peer; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`StreamEnd::ShuttingDown`].
    pub async fn next(&mut self) -> Result<Option<PeerInfo>, StreamEnd> {
        loop {
            go_on(&self.stop)?;
            if let Some(peer) = self.page.next() {
                return Ok(Some(peer.into_info()));
            }
            let Some(after) = self.after else {
                return Ok(None);
            };
            tokio::task::yield_now().await;
            let page = self.swarm.lock().index.peers(after, PEERS_PER_PAGE);
            self.after = page.last().map(|peer| peer.number);
            self.page = page.into_iter();
        }
    }
}
