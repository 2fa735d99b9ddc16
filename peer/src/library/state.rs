//! What the library knows: documents, the files that name them, and what is being written. Pure bookkeeping, no I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    time::Instant,
};

use p2p_ci::{
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title},
    limits,
};

use super::{
    cache::Digests,
    digest::Digested,
    identity::FileIdentity,
    name::FileName,
    report::SkipReason,
    walk::{Candidate, Sighting},
};

/// A document and the file that provides it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// What is announced.
    pub(super) document: Document,
    /// Where the file lies and what its name says.
    pub(super) candidate: Candidate,
    /// The file that was hashed.
    pub(super) identity: FileIdentity,
    /// The title that this file itself tells.
    own_title: Title,
    /// Whether a change of the bytes since they were hashed is sure to show in the identity.
    pub(super) lasting: bool,
    /// When the entry was made, by [`State::clock`].
    made: u64,
}

/// A file that may still be written to, without events that would tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsettled {
    /// The file as it was seen.
    pub(super) identity: FileIdentity,
    /// When it counts as whole, provided that it is the same then.
    pub(super) due: Instant,
    /// Whether a look has been asked for since it is due. One is enough: if the file is still here afterwards, it waits
    /// for something else.
    pub(super) is_asked: bool,
}

/// The file that was chosen for a document.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    /// The file.
    pub(super) sighting: Sighting,
    /// What its bytes are.
    pub(super) digested: Digested,
}

/// When a look at the folder began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// In time.
    instant: Instant,
    /// Among the entries as they were made.
    moment: u64,
}

/// Which part of the library a look at the folder was about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// Everything.
    All,
    /// These RFCs.
    Numbers(&'a BTreeSet<RfcNumber>),
}

/// Documents that came, changed and went, ascending.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// New ones.
    pub(super) added: Vec<DocumentKey>,
    /// Those that are announced differently now.
    pub(super) changed: Vec<DocumentKey>,
    /// Those that are gone.
    pub(super) removed: Vec<DocumentKey>,
    /// Those that there was no room for.
    pub(super) excess: Vec<PathBuf>,
}

impl Changes {
    /// Adds those of another document.
    pub(super) fn absorb(&mut self, other: Self) {
        self.added.extend(other.added);
        self.changed.extend(other.changed);
        self.removed.extend(other.removed);
        self.excess.extend(other.excess);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// What the library knows. Guarded by one mutex, which is never held during I/O.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The documents.
    pub(super) entries: BTreeMap<DocumentKey, Entry>,
    /// The files that name documents, whether they are shared or not.
    pub(super) candidates: BTreeMap<RfcNumber, Vec<Candidate>>,
    /// Digests by file.
    pub(super) digests: Digests,
    /// Whether `digests` has something that the cache on disk has not.
    pub(super) digests_changed: bool,
    /// Files whose bytes are no document, and why.
    pub(super) refused: HashMap<FileIdentity, SkipReason>,
    /// RFCs of which a file turned out to be another one while it was served.
    pub(super) suspects: BTreeSet<RfcNumber>,
    /// Files that a writer is known to have open, with the time of its last sign of life.
    pub(super) writers: HashMap<PathBuf, Instant>,
    /// Files that have to be left alone for a while before they count as whole.
    pub(super) unsettled: HashMap<PathBuf, Unsettled>,
    /// Counts entries as they are made, so that a look at the folder does not undo what happened since it began.
    clock: u64,
}

impl State {
    /// Marks the beginning of a look at the folder.
    pub(super) fn begin(&self, instant: Instant) -> Since {
        Since {
            instant,
            moment: self.clock,
        }
    }

    /// Puts what was selected in the place of what was there, except for entries made after `since`.
    pub(super) fn apply(
        &mut self,
        mut selected: BTreeMap<DocumentKey, Selected>,
        scope: Scope<'_>,
        since: Since,
    ) -> Changes {
        let before = self.documents(scope);
        let mut excess = Vec::new();
        for key in before.keys() {
            let stale = self.entries.get(key).is_some_and(|entry| entry.made <= since.moment);
            if stale && !selected.contains_key(key) {
                self.entries.remove(key);
            }
        }
        let numbers: BTreeSet<RfcNumber> = before.keys().chain(selected.keys()).map(|key| key.number).collect();
        while let Some((key, chosen)) = selected.pop_first() {
            match self.entries.get(&key) {
                Some(entry) if entry.made > since.moment => {}
                None if self.entries.len() >= limits::MAX_SESSION_DOCUMENTS => {
                    excess.push(chosen.sighting.candidate.path);
                }
                Some(_) | None => self.put(key, chosen),
            }
        }
        numbers.into_iter().for_each(|number| self.name_by_titles(number));
        let mut changes = compare(&before, &self.documents(scope));
        changes.excess = excess;
        changes
    }

    /// Puts one document, whatever was there.
    pub(super) fn adopt(&mut self, key: DocumentKey, chosen: Selected) -> Changes {
        let scope = BTreeSet::from([key.number]);
        let before = self.documents(Scope::Numbers(&scope));
        self.digests.insert(chosen.sighting.identity, chosen.digested.clone());
        self.digests_changed = true;
        self.note(&chosen.sighting.candidate);
        self.writers.remove(&chosen.sighting.candidate.path);
        self.unsettled.remove(&chosen.sighting.candidate.path);
        self.put(key, chosen);
        self.name_by_titles(key.number);
        compare(&before, &self.documents(Scope::Numbers(&scope)))
    }

    /// Takes a document back of which the file turned out to be another one than was hashed, and forgets its digest.
    /// Does nothing when the document comes from another file by now.
    pub(super) fn withdraw(&mut self, key: DocumentKey, identity: &FileIdentity) -> bool {
        self.digests.remove(identity);
        self.suspects.insert(key.number);
        let current = self.entries.get(&key).is_some_and(|entry| entry.identity == *identity);
        current && self.entries.remove(&key).is_some()
    }

    /// Takes note that a file got another name, by which nothing of it but the time of its last change is another one.
    pub(super) fn relink(&mut self, key: DocumentKey, before: &FileIdentity, now: FileIdentity) {
        if let Some(digested) = self.digests.remove(before) {
            self.digests.insert(now, digested);
            self.digests_changed = true;
        }
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.identity == *before) {
            entry.identity = now;
        }
    }

    /// Takes everything back, as when the folder is gone.
    pub(super) fn withdraw_all(&mut self) -> bool {
        self.candidates.clear();
        self.writers.clear();
        self.unsettled.clear();
        !std::mem::take(&mut self.entries).is_empty()
    }

    /// Replaces what is known about files by what a whole look found that began at `since`.
    pub(super) fn remember(&mut self, sightings: &[Sighting], since: Since) {
        let later = self.entries.values().filter(|entry| entry.made > since.moment);
        let later: Vec<Candidate> = later.map(|entry| entry.candidate.clone()).collect();
        self.candidates.clear();
        for candidate in sightings.iter().map(|sighting| &sighting.candidate).chain(&later) {
            self.note(candidate);
        }
        let mut seen: HashSet<FileIdentity> = sightings.iter().map(|sighting| sighting.identity).collect();
        seen.extend(self.entries.values().map(|entry| entry.identity));
        let known = self.digests.len();
        self.digests.retain(|identity, _| seen.contains(identity));
        self.digests_changed |= self.digests.len() != known;
        self.refused.retain(|identity, _| seen.contains(identity));
        let paths: HashSet<&Path> = sightings
            .iter()
            .map(|sighting| sighting.candidate.path.as_path())
            .collect();
        self.writers
            .retain(|path, last_sign| *last_sign >= since.instant || paths.contains(path.as_path()));
        self.unsettled.retain(|path, _| paths.contains(path.as_path()));
    }

    /// Takes note of a file that names a document.
    pub(super) fn note(&mut self, candidate: &Candidate) {
        let candidates = self.candidates.entry(candidate.name.key.number).or_default();
        if !candidates.contains(candidate) {
            candidates.push(candidate.clone());
        }
    }

    /// The numbers of RFCs of which a file must have settled by `now`; each is told once.
    pub(super) fn take_due(&mut self, now: Instant) -> BTreeSet<RfcNumber> {
        let due = self
            .unsettled
            .iter_mut()
            .filter(|(_, file)| !file.is_asked && file.due <= now);
        due.filter_map(|(path, file)| {
            file.is_asked = true;
            FileName::parse(path.file_name()?.to_str()?).map(|name| name.key.number)
        })
        .collect()
    }

    /// When the files that have to be left alone for a while will have been.
    pub(super) fn dues(&self) -> impl Iterator<Item = Instant> {
        self.unsettled
            .values()
            .filter(|file| !file.is_asked)
            .map(|file| file.due)
    }

    /// Which of the sighted files a writer has open, by device and inode: a link to such a file is no better.
    pub(super) fn files_being_written(&self, sightings: &[Sighting]) -> HashSet<(u64, u64)> {
        if self.writers.is_empty() {
            return HashSet::new();
        }
        sightings
            .iter()
            .filter(|sighting| self.writers.contains_key(&sighting.candidate.path))
            .map(|sighting| sighting.identity.file())
            .collect()
    }

    fn put(&mut self, key: DocumentKey, chosen: Selected) {
        let Selected { sighting, digested } = chosen;
        self.clock += 1;
        let document = Document {
            id: DocumentId {
                key,
                sha256: digested.sha256,
            },
            size_bytes: digested.size_bytes,
            title: digested.title.clone(),
            modified: Some(sighting.identity.modified()),
        };
        let entry = Entry {
            document,
            candidate: sighting.candidate,
            identity: sighting.identity,
            own_title: digested.title,
            lasting: digested.lasting,
            made: self.clock,
        };
        self.entries.insert(key, entry);
    }

    /// Gives all documents of a number the title that the best of them tells: the metadata record, then the text.
    fn name_by_titles(&mut self, number: RfcNumber) {
        let told = |format| {
            let entry = self.entries.get(&DocumentKey { number, format })?;
            (!entry.own_title.as_str().is_empty()).then(|| entry.own_title.clone())
        };
        let title = told(Format::Json).or_else(|| told(Format::Txt));
        for format in Format::ALL {
            if let Some(entry) = self.entries.get_mut(&DocumentKey { number, format }) {
                entry.document.title = title.as_ref().unwrap_or(&entry.own_title).clone();
            }
        }
    }

    /// The documents, by key.
    pub(super) fn documents(&self, scope: Scope<'_>) -> BTreeMap<DocumentKey, Document> {
        let of_entry = |(key, entry): (&DocumentKey, &Entry)| (*key, entry.document.clone());
        match scope {
            Scope::All => self.entries.iter().map(of_entry).collect(),
            Scope::Numbers(numbers) => numbers
                .iter()
                .flat_map(|number| {
                    Format::ALL.map(|format| DocumentKey {
                        number: *number,
                        format,
                    })
                })
                .filter_map(|key| self.entries.get_key_value(&key))
                .map(of_entry)
                .collect(),
        }
    }
}

/// What makes `after` out of `before`.
pub(super) fn compare(before: &BTreeMap<DocumentKey, Document>, after: &BTreeMap<DocumentKey, Document>) -> Changes {
    let mut changes = Changes::default();
    for (key, document) in after {
        match before.get(key) {
            None => changes.added.push(*key),
            Some(old) if old != document => changes.changed.push(*key),
            Some(_) => {}
        }
    }
    changes.removed = before.keys().filter(|key| !after.contains_key(key)).copied().collect();
    changes
}
