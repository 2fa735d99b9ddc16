//! Many documents for one downloader, read off the async threads, some at a time.
//!
//! RFCs are small: a hop to another thread and back for each of them would cost more than reading it. So a batch of
//! them is read in one go, while the one before is on its way.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, io};

use bytes::Bytes;
use p2p_ci::{
    document::Format,
    failure::{Failure, Reason},
    limits::CHUNK_BYTES,
    message::{Compression, DownloadQuery, ManyBody, ManyPart, ManyQuery},
};

use super::failed;
use crate::{
    library::{DocumentReader, Library},
    packing::{Packer, Packers},
};

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
    asked: VecDeque<(u64, Result<ManyQuery, Failure>)>,
    open: Option<Open>,
    packers: Packers,
    packing: Packing,
    piece_bytes: usize,
}

/// A document that is being read.
#[derive(Debug)]
struct Open {
    request_id: u64,
    reader: DocumentReader,
    packs: bool,
}

/// The compressed frame of a stream: one for its whole life, and memory for it only once it is asked for.
#[derive(Debug)]
enum Packing {
    Unused,
    Begun(Packer),
    /// zstd failed; a second frame would be none that the downloader knows of.
    Failed,
}

impl Packing {
    /// A chunk as the next piece of the frame, or as it is where that cannot be. A piece that was made must be sent: the
    /// next one may refer to it.
    fn pack(&mut self, packers: &Packers, chunk: Bytes) -> ManyBody {
        match self.try_pack(packers, &chunk) {
            Ok(Some(piece)) => ManyBody::ZstdChunk(piece),
            Ok(None) => ManyBody::Chunk(chunk),
            Err(error) => {
                tracing::warn!(%error, "cannot compress; sending plain bytes");
                *self = Self::Failed;
                ManyBody::Chunk(chunk)
            }
        }
    }

    fn try_pack(&mut self, packers: &Packers, chunk: &[u8]) -> io::Result<Option<Bytes>> {
        if matches!(self, Self::Unused) {
            *self = Self::Begun(packers.begin()?);
        }
        match self {
            Self::Begun(packer) => packer.pack(chunk).map(Some),
            Self::Unused | Self::Failed => Ok(None),
        }
    }
}

/// Whether documents of a format get shorter. What is inside a PDF is compressed already, and would only push texts out
/// of the window.
const fn packs(format: Format) -> bool {
    match format {
        Format::Txt | Format::Html | Format::Xml | Format::Json => true,
        Format::Pdf => false,
    }
}

impl Bulk {
    /// Nothing is asked for yet. Documents will come in pieces of at most `piece_bytes`.
    pub(super) fn new(library: Library, packers: Packers, piece_bytes: usize) -> Self {
        Self {
            library,
            packers,
            asked: VecDeque::new(),
            open: None,
            packing: Packing::Unused,
            piece_bytes,
        }
    }

    /// Takes a request, or what is wrong with it, which is its answer.
    pub(crate) fn ask(&mut self, request_id: u64, query: Result<ManyQuery, Failure>) {
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
            if let Some(mut open) = self.open.take() {
                let request_id = open.request_id;
                match open.reader.next_chunk() {
                    Ok(chunk) => {
                        let chunk = chunk.unwrap_or_default();
                        bytes += chunk.len();
                        for piece in pieces(chunk, self.piece_bytes) {
                            let part = Ok(if open.packs {
                                self.packing.pack(&self.packers, piece)
                            } else {
                                ManyBody::Chunk(piece)
                            });
                            batch.parts.push(ManyPart { request_id, part });
                        }
                    }
                    Err(error) => batch.parts.push(ManyPart {
                        request_id,
                        part: Err(failed(&error)),
                    }),
                }
                if open.reader.is_finished() {
                    batch.answered += 1;
                } else {
                    self.open = Some(open);
                }
                continue;
            }
            let Some((request_id, query)) = self.asked.pop_front() else {
                break;
            };
            let part = match query.and_then(|query| self.open(request_id, query)) {
                Ok(header) => Ok(header),
                Err(failure) => {
                    batch.answered += 1;
                    Err(failure)
                }
            };
            batch.parts.push(ManyPart { request_id, part });
        }
        batch
    }

    /// Opens the next document; returns its header.
    fn open(&mut self, request_id: u64, query: ManyQuery) -> Result<ManyBody, Failure> {
        let packs = query.compression == Compression::Zstd && packs(query.document.key.format);
        let reader = open(&self.library, query.document)?;
        let header = ManyBody::Header(reader.header().clone());
        self.open = Some(Open {
            request_id,
            reader,
            packs,
        });
        Ok(header)
    }
}

/// The same bytes in pieces of at most `piece_bytes`, none of them empty.
pub(super) fn pieces(mut bytes: Bytes, piece_bytes: usize) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = bytes.len().min(piece_bytes);
        (length > 0).then(|| bytes.split_to(length))
    })
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
