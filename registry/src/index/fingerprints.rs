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
        self.lists.get(fingerprint).is_some()
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
        if session.card.address.is_none() || session.count_of(format) > 0 {
            return Ok(None);
        }
        let Some(list) = self.lists.get(fingerprint) else {
            return Ok(None);
        };
        let places: Vec<Option<u32>> = list.iter().map(|listed| self.documents.place_of(listed)).collect();
        let brought = places.iter().filter(|place| place.is_none()).count();
        if self.check_room_for(session, list.len(), brought).is_err() {
            return Ok(None);
        }
        let Some(session) = self.sessions.get_mut(slot) else {
            return Ok(None);
        };
        let mut numbers = Vec::with_capacity(list.len());
        for (listed, place) in list.iter().zip(places) {
            let number = self
                .documents
                .hold_listed(&listed.document, place, slot, session.account);
            session.documents.insert(number);
            numbers.push(number);
        }
        session.set_counted(*fingerprint);
        self.lists.hold(*fingerprint);
        if list
            .iter()
            .zip(&numbers)
            .any(|(listed, number)| listed.number != *number)
        {
            // The next one finds the documents where they are now.
            let moved = list.iter().zip(numbers).map(|(listed, number)| Listed {
                number,
                document: Arc::clone(&listed.document),
            });
            self.lists.learn(List {
                fingerprint: *fingerprint,
                documents: moved.collect(),
            });
        }
        let keys = list.iter().map(|listed| listed.document.id.key).collect();
        self.change(id, keys).map(Some)
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
            session.documents.remove(number);
            self.lists.move_on(session.count(document.id.key.format, -1));
            self.documents.release(number, slot);
            keys.push(document.id.key);
        }
        keys.sort_unstable();
        self.change(id, keys)
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
        if known && !list.documents.is_empty() {
            self.lists.learn(list);
        }
        Ok(())
    }
}
