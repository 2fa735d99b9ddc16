//! Many documents for one downloader, read off the async threads, some at a time.
//!
//! RFCs are small: a hop to another thread and back for each of them would cost more than reading it. So a batch of
//! them is read in one go, while the one before is on its way.

use std::collections::VecDeque;

use p2p_ci::{
    failure::{Failure, Reason},
    limits::CHUNK_BYTES,
    message::{DownloadPart, DownloadQuery, ManyPart},
};

use super::failed;
use crate::library::{DocumentReader, Library};

/// Bytes of documents in a batch, and one document more: about a dozen RFCs. A busy downloader has three batches in
/// memory: one being read, one waiting and one being sent.
const BATCH_BYTES: usize = 2 * CHUNK_BYTES;

/// Parts in a batch however short the documents are.
const BATCH_PARTS: usize = 64;

/// What was read in one go.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Headers, chunks and failures, in the order of the requests.
    pub(crate) parts: Vec<ManyPart>,
    /// How many requests are answered by the end of it.
    pub(crate) answered: usize,
}

/// The requests of one downloader, and the document that is being read for it.
#[derive(Debug)]
pub(crate) struct Bulk {
    library: Library,
    asked: VecDeque<(u64, Result<DownloadQuery, Failure>)>,
    open: Option<(u64, DocumentReader)>,
}

impl Bulk {
    pub(super) fn new(library: Library) -> Self {
        Self {
            library,
            asked: VecDeque::new(),
            open: None,
        }
    }

    /// Takes a request, or what is wrong with it, which is its answer.
    pub(crate) fn ask(&mut self, request_id: u64, query: Result<DownloadQuery, Failure>) {
        self.asked.push_back((request_id, query));
    }

    /// Whether there is nothing to read.
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.open.is_none()
    }

    /// Reads the next batch. Blocks, as all reading does.
    pub(super) fn read(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && batch.parts.len() < BATCH_PARTS {
            if let Some((request_id, mut reader)) = self.open.take() {
                let chunk = reader.next_chunk();
                let is_last = reader.is_finished();
                let part = match chunk {
                    Ok(Some(chunk)) => {
                        bytes += chunk.len();
                        Some(Ok(DownloadPart::Chunk(chunk)))
                    }
                    Ok(None) => None,
                    Err(error) => Some(Err(failed(&error))),
                };
                batch.parts.extend(part.map(|part| ManyPart { request_id, part }));
                if is_last {
                    batch.answered += 1;
                } else {
                    self.open = Some((request_id, reader));
                }
                continue;
            }
            let Some((request_id, query)) = self.asked.pop_front() else {
                break;
            };
            let part = match query.and_then(|query| open(&self.library, query)) {
                Ok(reader) => {
                    let header = DownloadPart::Header(reader.header().clone());
                    self.open = Some((request_id, reader));
                    Ok(header)
                }
                Err(failure) => {
                    batch.answered += 1;
                    Err(failure)
                }
            };
            batch.parts.push(ManyPart { request_id, part });
        }
        batch
    }
}

/// Opens a document as it was asked for.
pub(super) fn open(library: &Library, query: DownloadQuery) -> Result<DocumentReader, Failure> {
    let key = query.key;
    let reader = library.read(key, query.offset).map_err(|error| failed(&error))?;
    let held = reader.header().id.sha256;
    if query.sha256.is_some_and(|wanted| wanted != held) {
        let message = format!("this peer holds {key} with another digest: {held}");
        return Err(Failure::new(Reason::DocumentNotFound, message));
    }
    Ok(reader)
}
