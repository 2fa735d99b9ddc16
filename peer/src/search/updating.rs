//! Brings an index up to date with a folder: what is new is added, what has changed is replaced, what is gone is removed.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::UNIX_EPOCH,
};

use p2p_ci::{
    digest::{Hasher, Sha256},
    document::{Document, DocumentKey, Format, RfcNumber},
    facts::Facts,
    text::escaped,
};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

use super::{
    error::SearchError,
    place::{Opened, Place},
    schema::{entry, made_of, origin},
    text::Text,
};
use crate::{
    facts::{SharedCatalogue, gathering::INDEX_NAME},
    library::Library,
};

/// Memory in which each thread collects what it has read before it writes that down: less makes more pieces to be put
/// together later, more is not faster.
const THREAD_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Threads that read words at most: more than one reader of files keeps busy.
const MAX_THREADS: usize = 4;

/// Bytes of texts after which what was read is committed: an update that is interrupted goes on there, some seconds back.
const COMMIT_BYTES: u64 = 128 * 1024 * 1024;

/// How much of the machine an update may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Somebody waits.
    Hurried,
    /// Nobody does.
    Leisurely,
}

impl Pace {
    fn threads(self) -> usize {
        match self {
            Self::Hurried => thread::available_parallelism().map_or(1, |threads| threads.get().min(MAX_THREADS)),
            Self::Leisurely => 1,
        }
    }
}

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Updated {
    /// RFCs that were read.
    pub added: usize,
    /// RFCs that are gone.
    pub removed: usize,
    /// Whether the index that was there could not be used, and was made anew.
    pub is_remade: bool,
    /// Whether another process is at it, so that nothing was done.
    pub is_busy: bool,
}

/// Names what an index of a folder would be made of now: its documents, the index of all RFCs beside them, and the file in
/// which facts are kept that were `learnt`.
#[must_use]
pub fn fingerprint(library: &Library, learnt: &Path) -> Sha256 {
    let mut hasher = Hasher::default();
    let mut tell = |text: String| hasher.update(text.as_bytes());
    for document in library.snapshot().iter().filter(|document| is_read(document)) {
        tell(format!("{} {}\n", document.id.key, document.id.sha256));
    }
    if let Some(index) = library.beside(INDEX_NAME) {
        tell(format!("index {} {}\n", index.size_bytes, index.modified.0));
    }
    if let Ok(data) = learnt.metadata() {
        let modified = data.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        tell(format!("learnt {} {modified:?}\n", data.len()));
    }
    hasher.finish()
}

/// Whether the index of `place` is complete, and made of what is named.
#[must_use]
pub fn is_fresh(place: &Place, fingerprint: Sha256) -> bool {
    place.sealed() == Some(fingerprint)
}

/// Brings the index up to date with `library` and what `catalogue` knows, all of which `fingerprint` names. `on_progress` is
/// told how many bytes of how many were read. Blocks: a minute for the whole series, less than a second where little is new.
///
/// Ends before the next RFC once `cancel` is set; the index is then as it was at the last commit.
///
/// # Errors
///
/// [`SearchError::Unwritable`], [`SearchError::Unusable`] where writing fails, as on a full disk, and
/// [`SearchError::Cancelled`].
pub fn update(
    place: &Place,
    library: &Library,
    catalogue: &SharedCatalogue,
    fingerprint: Sha256,
    pace: Pace,
    on_progress: &dyn Fn(u64, u64),
    cancel: &AtomicBool,
) -> Result<Updated, SearchError> {
    let Some(turn) = place.take_turn()? else {
        return Ok(Updated {
            is_busy: true,
            ..Updated::default()
        });
    };
    let (opened, is_remade) = place.open_or_make(&turn)?;
    let mut known = known(&opened)?;
    let mut wanted = wanted(library, catalogue);
    wanted.retain(|number, wanted| {
        let is_new = known.get(number) != Some(&wanted.made_of);
        if !is_new {
            known.remove(number);
        }
        is_new
    });
    let removed = known.keys().filter(|number| !wanted.contains_key(number)).count();
    let mut updated = Updated {
        removed,
        is_remade,
        ..Updated::default()
    };
    let mut is_complete = true;
    if !known.is_empty() || !wanted.is_empty() {
        let threads = pace.threads();
        let writer = opened
            .index
            .writer_with_num_threads(threads, threads * THREAD_MEMORY_BYTES)?;
        known.keys().for_each(|number| remove(&writer, &opened, *number));
        let mut adding = Adding {
            library,
            catalogue,
            opened: &opened,
            writer,
        };
        updated.added = adding.add_all(&wanted, on_progress, cancel)?;
        is_complete = updated.added == wanted.len();
        adding.writer.commit()?;
        adding.writer.wait_merging_threads()?;
    }
    if is_complete {
        place.set_seal(fingerprint).map_err(|error| place.unwritable(error))?;
    }
    Ok(updated)
}

/// A document whose content is indexed: a text, or a record of facts.
pub(super) fn is_read(document: &Document) -> bool {
    matches!(document.id.key.format, Format::Txt | Format::Json)
}

/// What an entry is to be made of.
#[derive(Debug)]
struct Wanted {
    text: Option<Document>,
    made_of: Sha256,
}

/// The entries that there should be.
fn wanted(library: &Library, catalogue: &SharedCatalogue) -> BTreeMap<RfcNumber, Wanted> {
    let mut texts: BTreeMap<RfcNumber, Option<Document>> = BTreeMap::new();
    for document in library.snapshot().into_iter().filter(is_read) {
        let DocumentKey { number, format } = document.id.key;
        let text = texts.entry(number).or_default();
        if format == Format::Txt {
            *text = Some(document);
        }
    }
    let wanted = texts.into_iter().map(|(number, text)| {
        let (facts, current) = described(catalogue, number);
        let digest = text.as_ref().map(|document| document.id.sha256);
        let made_of = made_of(digest, facts.as_ref(), &current);
        (number, Wanted { text, made_of })
    });
    wanted.collect()
}

fn described(catalogue: &SharedCatalogue, number: RfcNumber) -> (Option<Facts>, Vec<RfcNumber>) {
    catalogue.look(|known| (known.get(number), known.chain(number).current))
}

/// The entries that there are, with what each was made of.
fn known(opened: &Opened) -> Result<BTreeMap<RfcNumber, Sha256>, SearchError> {
    let mut known = BTreeMap::new();
    for segment in reader(opened)?.searcher().segment_readers() {
        let store = segment.get_store_reader(1).map_err(SearchError::unusable)?;
        for entry in store.iter::<TantivyDocument>(segment.alive_bitset()) {
            known.extend(origin(&opened.fields, &entry?));
        }
    }
    Ok(known)
}

/// Reads an index as it is now.
pub(super) fn reader(opened: &Opened) -> Result<IndexReader, SearchError> {
    let builder = opened.index.reader_builder().reload_policy(ReloadPolicy::Manual);
    Ok(builder.try_into()?)
}

fn remove(writer: &IndexWriter, opened: &Opened, number: RfcNumber) {
    writer.delete_term(Term::from_field_u64(opened.fields.number, number.get().into()));
}

struct Adding<'a> {
    library: &'a Library,
    catalogue: &'a SharedCatalogue,
    opened: &'a Opened,
    writer: IndexWriter,
}

impl Adding<'_> {
    /// Adds entries; returns how many of them could be made.
    fn add_all(
        &mut self,
        wanted: &BTreeMap<RfcNumber, Wanted>,
        on_progress: &dyn Fn(u64, u64),
        cancel: &AtomicBool,
    ) -> Result<usize, SearchError> {
        let size = |wanted: &Wanted| wanted.text.as_ref().map_or(0, |document| document.size_bytes);
        let total = wanted.values().map(size).sum();
        let (mut added, mut done, mut uncommitted) = (0, 0, 0);
        for (number, wanted) in wanted {
            if cancel.load(Ordering::Relaxed) {
                return Err(SearchError::Cancelled);
            }
            on_progress(done, total);
            added += usize::from(self.add(*number, wanted)?);
            done += size(wanted);
            uncommitted += size(wanted);
            if uncommitted >= COMMIT_BYTES {
                self.writer.commit()?;
                uncommitted = 0;
            }
        }
        on_progress(done, total);
        Ok(added)
    }

    fn add(&self, number: RfcNumber, wanted: &Wanted) -> Result<bool, SearchError> {
        let text = match &wanted.text {
            Some(document) => match bytes_of(self.library, document) {
                Some(bytes) => Text::of(&bytes),
                None => return Ok(false),
            },
            None => Text::default(),
        };
        let (facts, current) = described(self.catalogue, number);
        let entry = entry(
            &self.opened.fields,
            number,
            facts.as_ref(),
            &current,
            &text,
            wanted.made_of,
        );
        self.writer.add_document(entry)?;
        Ok(true)
    }
}

/// All bytes of a document, if they are still those that it was announced with.
pub(super) fn bytes_of(library: &Library, document: &Document) -> Option<Vec<u8>> {
    let read = || {
        let mut reader = library.read(document.id.key, 0)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next_chunk()? {
            bytes.extend_from_slice(&chunk);
        }
        Ok::<_, crate::library::LibraryError>((reader.header().id.sha256, bytes))
    };
    match read() {
        Ok((sha256, bytes)) => (sha256 == document.id.sha256).then_some(bytes),
        Err(error) => {
            let error = escaped(&error.to_string()).to_string();
            tracing::debug!(document = %document.id.key, %error, "not read for the search index");
            None
        }
    }
}
