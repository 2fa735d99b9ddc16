//! What downloaders and holders say to each other.

use bytes::Bytes;

use crate::{
    digest::Sha256,
    document::{DocumentId, DocumentKey, UnixSeconds},
    failure::Failure,
};

/// Asks a holder for one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadQuery {
    /// Which RFC in which format.
    pub key: DocumentKey,
    /// The digest that the bytes must have, or `None` for whatever the holder has.
    pub sha256: Option<Sha256>,
    /// Leading bytes to leave out.
    pub offset: u64,
}

/// Describes the document whose bytes follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentHeader {
    /// The document's identity.
    pub id: DocumentId,
    /// Length of the whole document, whatever the offset.
    pub size_bytes: u64,
    /// When the file was last modified at the holder.
    pub modified: Option<UnixSeconds>,
}

/// A piece of a document's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadPart {
    /// The first piece.
    Header(DocumentHeader),
    /// The next bytes, never empty.
    Chunk(Bytes),
}

/// How the chunks of an answer within a stream of downloads may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As pieces of the stream's zstd frame.
    Zstd,
}

/// Asks for one document within a stream of downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyQuery {
    /// The document. Streams carry whole ones: the offset is 0.
    pub document: DownloadQuery,
    /// How the answer's chunks may be compressed.
    pub compression: Compression,
}

/// A piece of a document within a stream of downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManyBody {
    /// The first piece.
    Header(DocumentHeader),
    /// The next bytes, never empty.
    Chunk(Bytes),
    /// The next bytes as the next piece of the stream's zstd frame, never empty.
    ZstdChunk(Bytes),
}

/// A piece of the answer to one request of a stream of downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyPart {
    /// The request that this answers.
    pub request_id: u64,
    /// A piece of the document, or why it ends here.
    pub part: Result<ManyBody, Failure>,
}
