//! The index: which sessions are registered, and which documents each of them holds.
//!
//! Pure: no I/O, no clock, no tasks; time and randomness are passed in. Documents have small numbers and sessions have
//! slots, so that who holds what is a set of small numbers on either side. A session that holds what many hold hangs on
//! their list, and comes and goes without a document being touched; leaving costs any other no more than what it held.
//! A session is named by its id everywhere, which no other session ever has: whatever arrives late for a session that
//! is gone finds nothing and changes nothing. What a session holds of one format is known by its fingerprint once
//! somebody asked, so that others can name that list instead of announcing it.

pub mod answers;
mod change;
mod documents;
mod fingerprints;
mod holders;
mod holdings;
pub mod id_set;
mod lists;
pub mod sample;
mod sessions;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use p2p_ci::{
    document::{Document, DocumentClaim, DocumentKey},
    identity::SessionId,
    message::{PeerRef, Reachability},
};

pub use self::{
    change::{Change, IndexLimits, Joined, Joining, Member, Refusal},
    lists::{List, Listed},
    sessions::{Card, Counts},
};
use self::{documents::Documents, holders::Holders, lists::Lists, sessions::Session, sessions::Sessions};

/// Everything that is registered.
#[derive(Debug)]
pub struct Index {
    limits: IndexLimits,
    documents: Documents,
    sessions: Sessions,
    lists: Lists,
    last_number: u64,
}

impl Index {
    /// An empty index.
    #[must_use]
    pub fn new(limits: IndexLimits) -> Self {
        Self {
            limits,
            documents: Documents::default(),
            sessions: Sessions::default(),
            lists: Lists::new(limits.lists, limits.list_documents),
            last_number: 0,
        }
    }

    /// Number of registered sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Number of distinct documents.
    #[must_use]
    pub fn document_count(&self) -> usize {
        self.documents.len()
    }

    /// Registers a session, in place of those with its name or address if it has their token.
    ///
    /// # Errors
    ///
    /// [`Refusal::NameTaken`], [`Refusal::AddressTaken`], [`Refusal::TooManySessions`].
    pub fn join(&mut self, joining: Joining) -> Result<Joined, Refusal> {
        let replaced = self.conflicts(&joining)?;
        self.check_account(joining.account, &replaced)?;
        let superseded = replaced.into_iter().filter_map(|id| self.leave(id)).collect();
        self.last_number += 1;
        self.sessions.insert(Session::new(joining, self.last_number));
        Ok(Joined {
            number: self.last_number,
            superseded,
        })
    }

    /// The sessions that `joining` would take over; refuses when it may not.
    fn conflicts(&self, joining: &Joining) -> Result<Vec<SessionId>, Refusal> {
        let mut conflicts = Vec::new();
        if let Some(session) = self.sessions.named(&joining.label.name) {
            if joining.resume != Some(session.token) {
                return Err(Refusal::NameTaken(joining.label.name.clone()));
            }
            conflicts.push(session.card.label.id);
        }
        if let Some(address) = joining.address
            && let Some(session) = self.sessions.at(address)
        {
            if joining.resume != Some(session.token) {
                return Err(Refusal::AddressTaken(address));
            }
            if !conflicts.contains(&session.card.label.id) {
                conflicts.push(session.card.label.id);
            }
        }
        Ok(conflicts)
    }

    fn check_account(&self, account: IpAddr, replaced: &[SessionId]) -> Result<(), Refusal> {
        let limit = self.limits.sessions_per_address;
        let freed = replaced
            .iter()
            .filter_map(|id| self.session(*id))
            .filter(|session| session.account == account)
            .count();
        if limit > 0 && self.sessions.of_account(account) - freed >= limit {
            return Err(Refusal::TooManySessions {
                source_ip: account,
                limit,
            });
        }
        Ok(())
    }

    /// Ends a session: it and everything that it holds are gone. `None` when it is gone already.
    pub fn leave(&mut self, id: SessionId) -> Option<Member> {
        let (slot, session) = self.sessions.remove(id)?;
        for (numbers, list) in session.documents.parts() {
            match list {
                Some(list) => self.quit(slot, list),
                None => numbers
                    .iter()
                    .for_each(|number| self.documents.release(number, slot, &self.lists)),
            }
        }
        Some(session.member())
    }

    /// Adds documents to what a session holds, all or none. One whose number and format it holds already replaces
    /// that one; of two such in one announcement, the last one counts.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`], [`Refusal::Observer`], [`Refusal::TooManyOfSession`],
    /// [`Refusal::TooManyOfSource`], [`Refusal::TooManyInAll`].
    pub fn announce(&mut self, id: SessionId, documents: Vec<Document>) -> Result<Change, Refusal> {
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        let session = self.sessions.get(slot).ok_or(Refusal::NotRegistered)?;
        if session.card.address.is_none() {
            return Err(Refusal::Observer);
        }
        let latest: BTreeMap<DocumentKey, Document> = documents
            .into_iter()
            .map(|document| (document.id.key, document))
            .collect();
        self.check_room(session, latest.values())?;

        let mut keys = Vec::new();
        for (key, document) in latest {
            if self.replace(slot, document) {
                keys.push(key);
            }
        }
        self.change(id, keys.into())
    }

    /// Refuses documents, one a key, for which the session or the index has no room.
    fn check_room<'a>(&self, session: &Session, documents: impl Iterator<Item = &'a Document>) -> Result<(), Refusal> {
        let (mut of_session, mut in_all) = (session.documents.len(), self.documents.len());
        let brought_before = self.documents.brought_by(session.account);
        let mut brought = brought_before;
        for document in documents {
            let replaced = self.documents.held(document.id.key, &session.documents);
            of_session += usize::from(replaced.is_none());
            let is_new = !self.documents.holds(&document.claim());
            in_all += usize::from(is_new);
            brought += usize::from(is_new);
            let frees = |record: &documents::Record| {
                Holders::of(record, &self.lists).len() == 1 && record.document.claim() != document.claim()
            };
            let freed = replaced.map(|(_, record)| record).filter(|record| frees(record));
            in_all -= usize::from(freed.is_some());
            brought -= usize::from(freed.is_some_and(|record| record.brought_by == Some(session.account)));
        }
        self.check_limits(session, of_session, (brought_before, brought), in_all)
    }

    /// Refuses a change after which a session would hold `of_session` documents, its source would have brought in more
    /// than before, and the index would have `in_all`.
    fn check_limits(
        &self,
        session: &Session,
        of_session: usize,
        (brought_before, brought): (usize, usize),
        in_all: usize,
    ) -> Result<(), Refusal> {
        if of_session > self.limits.session_documents {
            return Err(Refusal::TooManyOfSession {
                limit: self.limits.session_documents,
            });
        }
        let limit = self.limits.documents_per_source;
        if brought > limit && brought > brought_before {
            return Err(Refusal::TooManyOfSource {
                source_ip: session.account,
                limit,
            });
        }
        if in_all > self.limits.documents && in_all > self.documents.len() {
            return Err(Refusal::TooManyInAll {
                limit: self.limits.documents,
            });
        }
        Ok(())
    }

    /// Makes the session in `slot` hold `document` in place of what it holds of that key; says whether that is new.
    fn replace(&mut self, slot: u32, document: Document) -> bool {
        let key = document.id.key;
        let claim = document.claim();
        let old = self.held_of(slot, key);
        if old.is_some_and(|(_, held)| held == claim) {
            // Only what is said about it may be new, and who holds it stays the same.
            self.documents.tell(&document);
            return false;
        }
        self.detach(slot, key.format);
        let Some(session) = self.sessions.get_mut(slot) else {
            return false;
        };
        if let Some((number, _)) = old {
            session.documents.remove(key.format, number);
            self.documents.release(number, slot, &self.lists);
        }
        let number = self.documents.hold(document, slot, session.account);
        session.documents.insert(key.format, number);
        true
    }

    /// What the session in `slot` holds of a key.
    fn held_of(&self, slot: u32, key: DocumentKey) -> Option<(u32, DocumentClaim)> {
        let session = self.sessions.get(slot)?;
        let (number, record) = self.documents.held(key, &session.documents)?;
        Some((number, record.document.claim()))
    }

    /// Takes documents back. Keys that the session does not hold are passed over.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn withdraw(&mut self, id: SessionId, mut keys: Vec<DocumentKey>) -> Result<Change, Refusal> {
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        keys.sort_unstable();
        keys.retain(|key| self.take_back(slot, *key));
        self.change(id, keys.into())
    }

    /// Makes the session in `slot` hold nothing of a key; says whether it did.
    fn take_back(&mut self, slot: u32, key: DocumentKey) -> bool {
        let Some((number, _)) = self.held_of(slot, key) else {
            return false;
        };
        self.detach(slot, key.format);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.documents.remove(key.format, number);
        }
        self.documents.release(number, slot, &self.lists);
        true
    }

    fn change(&self, id: SessionId, keys: Arc<[DocumentKey]>) -> Result<Change, Refusal> {
        let session = self.session(id).ok_or(Refusal::NotRegistered)?;
        Ok(Change {
            member: session.member(),
            keys,
            total: count(session.documents.len()),
        })
    }

    /// Notes how busy a session is, and returns how many documents it has.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn heartbeat(&mut self, id: SessionId, upload_count: u32) -> Result<u32, Refusal> {
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        let standing = self.sessions.standing_mut(slot).ok_or(Refusal::NotRegistered)?;
        standing.upload_count = upload_count;
        let session = self.sessions.get(slot).ok_or(Refusal::NotRegistered)?;
        Ok(count(session.documents.len()))
    }

    /// Notes whether others can reach a session. Returns the session when that is news.
    pub fn set_reachability(&mut self, id: SessionId, reachability: Reachability) -> Option<Member> {
        let slot = self.sessions.slot(id)?;
        let standing = self.sessions.standing_mut(slot)?;
        let is_news = standing.reachability != reachability;
        standing.reachability = reachability;
        let session = self.sessions.get(slot)?;
        is_news.then(|| session.member())
    }

    /// The session that a peer is named by.
    #[must_use]
    pub fn find(&self, peer: &PeerRef) -> Option<SessionId> {
        let session = match peer {
            PeerRef::Id(id) => self.session(*id),
            PeerRef::Name(name) => self.sessions.named(name),
        };
        session.map(|session| session.card.label.id)
    }

    /// Slots and document numbers that there are, used or free.
    #[cfg(test)]
    fn capacity(&self) -> (usize, usize) {
        (self.sessions.capacity(), self.documents.capacity())
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(self.sessions.slot(id)?)
    }
}

/// A number of documents as the wire has it; the limits keep it far below.
fn count(documents: usize) -> u32 {
    u32::try_from(documents).unwrap_or(u32::MAX)
}
