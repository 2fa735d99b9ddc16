//! The index by fingerprints: what a session holds without having announced it, and whether it holds what it believes.

use std::sync::Arc;

use p2p_ci::{document::Format, fingerprint::Fingerprint, identity::SessionId};

use super::{
    Change, Index, Refusal,
    lists::{Known, List, ListId, Listed},
    sessions::Session,
};

impl Index {
    /// Whether a list can be named.
    #[must_use]
    pub fn knows(&self, fingerprint: &Fingerprint) -> bool {
        self.lists.find(fingerprint).is_some()
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
        let session = self.sessions.get_mut(slot).ok_or(Refusal::NotRegistered)?;
        let format = fingerprint.format;
        if session.card.address.is_none() || session.documents.of(format).is_some_and(|held| !held.is_empty()) {
            return Ok(None);
        }
        let Some(list) = self.lists.find(fingerprint) else {
            return Ok(None);
        };
        let Some(Known {
            list: named, members, ..
        }) = self.lists.get(list)
        else {
            return Ok(None);
        };
        let named = named.clone();
        let account = session.account;
        // As a rule somebody hangs on it, and then all its documents are held.
        let is_unheld = |number: &u32| self.documents.record(*number).is_some_and(|record| !record.is_held());
        let unheld: Vec<u32> = match members.is_empty() {
            true => named.numbers.iter().filter(is_unheld).collect(),
            false => Vec::new(),
        };
        if self.check_room_for(slot, named.len(), unheld.len()).is_err() {
            return Ok(None);
        }
        unheld
            .into_iter()
            .for_each(|number| self.documents.bring(number, account));
        self.hang(slot, list, &named);
        self.change(id, named.keys).map(Some)
    }

    /// Refuses documents which the session in `slot` does not hold, of which `brought` are held by nobody, when there is
    /// no room.
    fn check_room_for(&self, slot: u32, documents: usize, brought: usize) -> Result<(), Refusal> {
        let session = self.sessions.get(slot).ok_or(Refusal::NotRegistered)?;
        let brought_before = self.documents.brought_by(session.account);
        self.check_limits(
            session,
            session.documents.len() + documents,
            (brought_before, brought_before + brought),
            self.documents.len() + brought,
        )
    }

    /// Hangs the session in `slot` on a list, in whose rows it is not.
    fn hang(&mut self, slot: u32, id: ListId, list: &List) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session
                .documents
                .hang(list.fingerprint.format, id, Arc::clone(&list.numbers));
            self.lists.enter(id, slot);
        }
    }

    /// Takes the session in `slot`, which is about to hold something else of `format`, off the list on which it hangs.
    /// It holds the same as before, each document by itself. A list that only it held is of no use to others.
    pub(super) fn detach(&mut self, slot: u32, format: Format) {
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        let Some(list) = session.documents.list_of(format) else {
            return;
        };
        session.documents.unhang(format);
        if let Some(numbers) = session.documents.of(format) {
            numbers.iter().for_each(|number| self.documents.enter(number, slot));
        }
        if self.lists.quit(list, slot).is_some() {
            self.forget(list);
        }
    }

    /// Ends that the session in `slot`, which hangs on a list, holds what is on it.
    pub(super) fn quit(&mut self, slot: u32, list: ListId) {
        if let Some(unheld) = self.lists.quit(list, slot) {
            unheld
                .numbers
                .iter()
                .for_each(|number| self.documents.sweep(number, &self.lists));
        }
    }

    /// Forgets a list. Whoever hangs on it holds the same as before, each document by itself.
    fn forget(&mut self, id: ListId) {
        let Some(Known { list, members, .. }) = self.lists.forget(id) else {
            return;
        };
        for slot in members.iter() {
            if let Some(session) = self.sessions.get_mut(slot) {
                session.documents.unhang(list.fingerprint.format);
            }
        }
        for number in list.numbers.iter() {
            self.documents.unpin(number, id, &members, &self.lists);
        }
    }

    /// Takes all documents of these formats back.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn withdraw_formats(&mut self, id: SessionId, formats: &[Format]) -> Result<Change, Refusal> {
        let held = self.held(id, formats)?;
        let slot = self.sessions.slot(id).ok_or(Refusal::NotRegistered)?;
        for format in formats {
            self.detach(slot, *format);
            if let Some(session) = self.sessions.get_mut(slot) {
                session.documents.clear(*format);
            }
        }
        let mut keys = Vec::with_capacity(held.len());
        for Listed { number, claim } in held {
            self.documents.release(number, slot, &self.lists);
            keys.push(claim.id.key);
        }
        keys.sort_unstable();
        self.change(id, keys.into())
    }

    /// The fingerprints of what a session holds, as far as they have been found out since it last changed.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn fingerprints(&self, id: SessionId) -> Result<Vec<Fingerprint>, Refusal> {
        let session = self.session(id).ok_or(Refusal::NotRegistered)?;
        Ok(session.documents.fingerprints().collect())
    }

    /// What a session holds of these formats, in no particular order, to find out its fingerprints.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotRegistered`].
    pub fn held(&self, id: SessionId, formats: &[Format]) -> Result<Vec<Listed>, Refusal> {
        let session: &Session = self.session(id).ok_or(Refusal::NotRegistered)?;
        let numbers = session.documents.parts().flat_map(|(numbers, _)| numbers.iter());
        let listed = numbers.filter_map(|number| self.documents.listed(number));
        Ok(listed
            .filter(|listed| formats.contains(&listed.claim.id.key.format))
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
        let format = list.fingerprint.format;
        if session.documents.list_of(format).is_some() {
            return Ok(());
        }
        session.documents.name(list.fingerprint);
        // An empty one saves nobody anything.
        let is_held = session
            .documents
            .of(format)
            .is_some_and(|held| ***held == **list.numbers);
        if !known || list.len() == 0 || !is_held {
            return Ok(());
        }
        let id = self.lists.find(&list.fingerprint).unwrap_or_else(|| {
            let id = self.lists.learn(list.clone());
            list.numbers.iter().for_each(|number| self.documents.pin(number, id));
            id
        });
        // Those who announced what others have announced share the one set, too.
        let Some(shared) = self.lists.get(id).map(|known| known.list.clone()) else {
            return Ok(());
        };
        self.hang(slot, id, &shared);
        shared
            .numbers
            .iter()
            .for_each(|number| self.documents.strike(number, slot));
        while let Some(surplus) = self.lists.surplus() {
            self.forget(surplus);
        }
        Ok(())
    }
}
