//! Facts out of what this peer shares: metadata records, the index of all RFCs beside them, and the texts' first pages.

use std::{
    collections::HashMap,
    io::{BufReader, Read as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentKey, Format, UnixSeconds},
    facts::{Facts, Source},
    text::escaped,
};

use tokio::task::JoinHandle;

use super::{SharedCatalogue, heading, index_xml, record};
use crate::{
    blocking::{Haste, apart},
    library::{Library, SideFile},
};

/// What the RFC Editor's index is called, beside the documents.
pub const INDEX_NAME: &str = "rfc-index.xml";

/// The largest index that is read: the real one has 14 MB.
const MAX_INDEX_BYTES: u64 = 128 * 1024 * 1024;

/// Facts that are handed over at a time, so that whoever asks meanwhile waits a moment only.
const BATCH: usize = 64;

/// How long the folder is left alone after a look, whatever changes there: nobody waits for facts.
const PAUSE: Duration = Duration::from_secs(2);

/// How often the index beside the documents is looked at, of which no event tells.
const INDEX_INTERVAL: Duration = Duration::from_secs(60);

/// Keeps a catalogue at what a library says, until it is dropped.
#[derive(Debug)]
pub struct Gathering {
    cancel: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Gathering {
    /// Reads the library now, and again whenever it changes.
    #[must_use]
    pub fn start(library: Library, catalogue: SharedCatalogue) -> Self {
        let cancel = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&cancel);
        let task = tokio::spawn(async move {
            let mut version = library.version();
            let mut gatherer = Gatherer::default();
            loop {
                version.mark_unchanged();
                let (library, catalogue, cancelled) = (library.clone(), catalogue.clone(), Arc::clone(&cancelled));
                let gathering = apart("facts", Haste::None, move || {
                    gatherer.gather(&library, &catalogue, &cancelled);
                    gatherer
                });
                gatherer = match gathering.await {
                    Some(gatherer) => gatherer,
                    // It has panicked, and said so; what this peer shares is served all the same.
                    None => return,
                };
                tokio::time::sleep(PAUSE).await;
                // An error means that the library is gone, and this task with it.
                let _ = tokio::time::timeout(INDEX_INTERVAL, version.changed()).await;
            }
        });
        Self { cancel, task }
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// Reads what a library says of RFCs, each file once.
#[derive(Debug, Default)]
pub struct Gatherer {
    seen: HashMap<DocumentKey, Sha256>,
    index: Option<(u64, UnixSeconds)>,
}

impl Gatherer {
    /// Reads what is new since the last time. Blocks: a second for the whole series. Ends before the next file once
    /// `cancel` is set.
    pub fn gather(&mut self, library: &Library, catalogue: &SharedCatalogue, cancel: &AtomicBool) {
        if let Some(index) = library.beside(INDEX_NAME) {
            self.read_index(index, catalogue);
        }
        let documents = library.snapshot();
        let of = |format| {
            documents
                .iter()
                .filter(move |document| document.id.key.format == format)
        };
        // Records first: what they describe need not be looked for in texts.
        for format in [Format::Json, Format::Txt] {
            let mut batch = Vec::new();
            for document in of(format) {
                if cancel.load(Ordering::Relaxed) {
                    return;
                }
                batch.extend(self.read(library, document, catalogue));
                if batch.len() >= BATCH {
                    catalogue.learn(batch.drain(..));
                }
            }
            catalogue.learn(batch);
        }
    }

    fn read(&mut self, library: &Library, document: &Document, catalogue: &SharedCatalogue) -> Option<Facts> {
        let DocumentKey { number, format } = document.id.key;
        let is_text = format == Format::Txt;
        let is_known = || catalogue.look(|known| known.source(number).is_some_and(|source| source != Source::Text));
        if self.seen.get(&document.id.key) == Some(&document.id.sha256) || (is_text && is_known()) {
            return None;
        }
        self.seen.insert(document.id.key, document.id.sha256);
        let most = if is_text {
            heading::HEAD_BYTES
        } else {
            record::MAX_RECORD_BYTES
        };
        let head = library.read(document.id.key, 0).and_then(|reader| reader.head(most));
        let head = head
            .inspect_err(|error| tracing::debug!(document = %document.id.key, %error, "no facts"))
            .ok()?;
        match is_text {
            true => Some(heading::parse(number, &head, document.size_bytes, document.modified)),
            false => record::parse(number, &head, document.modified),
        }
    }

    fn read_index(&mut self, index: SideFile, catalogue: &SharedCatalogue) {
        let state = (index.size_bytes, index.modified);
        if self.index.replace(state) == Some(state) {
            return;
        }
        let mut batch = Vec::new();
        let bytes = BufReader::new(index.file.take(MAX_INDEX_BYTES));
        let ended = index_xml::parse(bytes, Some(index.modified), |facts| {
            batch.push(facts);
            if batch.len() >= BATCH {
                catalogue.learn(batch.drain(..));
            }
        });
        catalogue.learn(batch);
        if let Err(error) = ended {
            let error = escaped(&error.to_string()).to_string();
            tracing::warn!("{INDEX_NAME} in the shared folder cannot be read to its end: {error}");
        }
    }
}
