//! The index by fingerprints: what a session holds without having announced it, and whether it holds what it believes.

use std::sync::Arc;

use p2p_ci::{document::Format, fingerprint::Fingerprint, identity::SessionId};

use super::{
    Change, Index, Refusal,
    lists::{List, Listed},
    sessions::Session,
};

impl Index {
    /// Whether a list can be named.
    #[must_use]
    pub fn knows(&self, fingerprint: &Fingerprint) -> bool {
        self.lists.knows(fingerprint)
    }

    /// Makes a session hold every document of a known list. Returns `None`, and changes nothing, when the list is not
    /// known, or when the session is an observer, holds documents of that format, or may not hold as many: it will
    /// announce them then, and be told what is wrong.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn adopt(&mut self, id: SessionId, fingerprint: &Fingerprint) -> Result<Option<Change>, Refusal> {
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        let session = self.sessions.get(slot).ok_or(Refusal::NotRegistered)?;
        let format = fingerprint.format;
        if session.card.address.is_none() || session.documents.of(format).is_some_and(|held| !held.is_empty()) {
            return Ok(None);
        }
        let Some(list) = self.lists.get(fingerprint) else {
            return Ok(None);
        };
        // As a rule: whoever made it known is still there, or somebody who named it since.
        let is_in_place = list.documents.iter().all(|listed| self.documents.is_in_place(listed));
        let list = if is_in_place {
            if self.check_room_for(session, list.documents.len(), 0).is_err() {
                return Ok(None);
            }
            let numbers = list.documents.iter().map(|listed| listed.number);
            self.documents.hold_all(numbers, slot);
            list
        } else {
            let Some(list) = self.hold_moved(slot, &list) else {
                return Ok(None);
            };
            list
        };
        if let Some(session) = self.sessions.get_mut(slot) {
            session.documents.share(format, list.numbers);
            session.set_fingerprint(*fingerprint);
            self.lists.hold(*fingerprint);
        }
        self.change(id, list.keys).map(Some)
    }

    /// Makes the session in `slot` a holder of every document of a list, some of which are elsewhere than they were, or
    /// nowhere, and has the next one find them where they are now. `None`, and nothing is changed, without room.
    fn hold_moved(&mut self, slot: u32, list: &List) -> Option<List> {
        let session = self.sessions.get(slot)?;
        let account = session.account;
        let places: Vec<Option<u32>> = list
            .documents
            .iter()
            .map(|listed| self.documents.place_of(listed))
            .collect();
        let brought = places.iter().filter(|place| place.is_none()).count();
        self.check_room_for(session, places.len(), brought).ok()?;
        let moved = list.documents.iter().zip(places).filter_map(|(listed, place)| {
            let number = self.documents.hold_listed(&listed.document, place, slot, account);
            self.documents.listed(number)
        });
        let moved = List::made_of(list.fingerprint, moved.collect());
        self.lists.learn(moved.clone());
        Some(moved)
    }

    /// Takes all documents of these formats back.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn withdraw_formats(&mut self, id: SessionId, formats: &[Format]) -> Result<Change, Refusal> {
        let held = self.held(id, formats)?;
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        let session = self.sessions.get_mut(slot).ok_or(Refusal::NotRegistered)?;
        let mut keys = Vec::with_capacity(held.len());
        for Listed { number, document } in held {
            session.documents.remove(document.id.key.format, number);
            self.lists.move_on(session.changed(document.id.key.format));
            self.documents.release(number, slot);
            keys.push(document.id.key);
        }
        keys.sort_unstable();
        self.change(id, keys.into())
    }

    /// Refuses documents which the session does not hold, of which `brought` are new to the index, when there is no room.
    fn check_room_for(&self, session: &Session, documents: usize, brought: usize) -> Result<(), Refusal> {
        let brought_before = self.documents.brought_by(session.account);
        self.check_limits(
            session,
            session.documents.len() + documents,
            (brought_before, brought_before + brought),
            self.documents.len() + brought,
        )
    }

    /// The fingerprints of what a session holds, as far as they have been found out since it last changed.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn fingerprints(&self, id: SessionId) -> Result<Vec<Fingerprint>, Refusal> {
        let session = self.session(id).ok_or(Refusal::NotRegistered)?;
        Ok(session.fingerprints().collect())
    }

    /// What a session holds of these formats, in no particular order, to find out its fingerprints.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn held(&self, id: SessionId, formats: &[Format]) -> Result<Vec<Listed>, Refusal> {
        let session = self.session(id).ok_or(Refusal::NotRegistered)?;
        let listed = session
            .documents
            .iter()
            .filter_map(|number| self.documents.listed(number));
        Ok(listed
            .filter(|listed| formats.contains(&listed.document.id.key.format))
            .collect())
    }

    /// Notes that `list` is all that a session holds of its format; nothing may have changed since it was made. With
    /// `known`, others can name it from now on.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn note_list(&mut self, id: SessionId, list: List, known: bool) -> Result<(), Refusal> {
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        let session = self.sessions.get_mut(slot).ok_or(Refusal::NotRegistered)?;
        self.lists.move_on(session.set_fingerprint(list.fingerprint));
        self.lists.hold(list.fingerprint);
        // An empty one saves nobody anything.
        if !known || list.documents.is_empty() {
            return Ok(());
        }
        // Those who announced what others have announced share the one set, too.
        let format = list.fingerprint.format;
        let is_held = |list: &List| session.documents.of(format) == Some(&*list.numbers);
        match self.lists.get(&list.fingerprint).filter(is_held) {
            Some(same) => session.documents.share(format, same.numbers),
            None if is_held(&list) => {
                session.documents.share(format, Arc::clone(&list.numbers));
                self.lists.learn(list);
            }
            None => {}
        }
        Ok(())
    }
}
