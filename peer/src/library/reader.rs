//! Reading a document for somebody else, and checking on the way that it is what was announced.

use std::sync::Arc;

use bytes::Bytes;
use p2p_ci::{digest::Hasher, document::DocumentKey, limits::CHUNK_BYTES, message::DocumentHeader};

use super::{
    Inner,
    error::LibraryError,
    identity::FileIdentity,
    lock,
    source::{Content, ContentError, OpenError, open_file},
};

/// A document that is being read.
///
/// The last chunk is handed out only after it is known that all bytes were the announced ones, and most documents are
/// one chunk. So nobody ever gets a whole document of wrong bytes.
#[derive(Debug)]
pub struct DocumentReader {
    inner: Arc<Inner>,
    header: DocumentHeader,
    /// The file that was hashed.
    identity: FileIdentity,
    content: Content,
    /// `None` when the end was reached and checked, or reading has failed.
    proof: Option<Proof>,
    position: u64,
    offset: u64,
}

/// What shows at the end that the bytes were the announced ones.
#[derive(Debug)]
enum Proof {
    /// The file is the one that was hashed, before and after it is read: a change would have moved its times by a tick at
    /// least, since it was hashed more than a tick after its last one.
    Identity,
    /// The digest of what was read so far, those bytes included that were not asked for: of files that were hashed right
    /// after a change, of those of which only the time of the last change moved since, as when they get another name or
    /// other permissions, and of packed ones, whose bytes are made here.
    Digest(Hasher),
}

impl DocumentReader {
    /// Opens the document's file; see [`Library::read`](super::Library::read).
    pub(super) fn open(inner: &Arc<Inner>, key: DocumentKey, offset: u64) -> Result<Self, LibraryError> {
        let entry = lock(&inner.state).entries.get(&key).cloned();
        let (Some(entry), Some(root)) = (entry, inner.root()) else {
            return Err(LibraryError::NotFound(key));
        };
        let size_bytes = entry.document.size_bytes;
        if offset > size_bytes {
            return Err(LibraryError::OffsetOutOfRange {
                key,
                offset,
                size_bytes,
            });
        }
        let (file, identity) = match open_file(&root.dir, &entry.candidate.path) {
            Ok(opened) => opened,
            Err(problem) => {
                inner.withdraw(key, &entry.identity);
                return Err(match problem {
                    OpenError::Gone => LibraryError::NotFound(key),
                    OpenError::Refused(_, source) => LibraryError::Read { key, source },
                });
            }
        };
        if !identity.is_but_for_names(&entry.identity) {
            inner.withdraw(key, &entry.identity);
            return Err(LibraryError::Changed(key));
        }
        let compressed = entry.candidate.name.compressed;
        let proof = if identity == entry.identity && entry.lasting && !compressed {
            Proof::Identity
        } else {
            Proof::Digest(Hasher::default())
        };
        Ok(Self {
            inner: Arc::clone(inner),
            header: DocumentHeader {
                id: entry.document.id,
                size_bytes,
                modified: entry.document.modified,
            },
            identity: entry.identity,
            content: Content::new(file, compressed, identity.size),
            // Whoever has all bytes checks them itself; reading them all to send none would be dear for nothing.
            proof: (offset < size_bytes || size_bytes == 0).then_some(proof),
            position: 0,
            offset,
        })
    }

    /// What is being read.
    #[must_use]
    pub fn header(&self) -> &DocumentHeader {
        &self.header
    }

    /// Whether all was read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.proof.is_none()
    }

    /// The first bytes, `most` at most and fewer only where the document has fewer, without a check that they are the
    /// announced ones: for a look at what a file claims of itself.
    ///
    /// # Errors
    ///
    /// As [`next_chunk`](Self::next_chunk).
    pub fn head(mut self, most: usize) -> Result<Vec<u8>, LibraryError> {
        let wanted = usize::try_from(self.header.size_bytes).map_or(most, |size| size.min(most));
        let head = self.content.take(wanted).map_err(|error| self.failed(error))?;
        if head.len() == wanted {
            Ok(head)
        } else {
            Err(self.changed())
        }
    }

    /// The next bytes from the offset on, at most [`CHUNK_BYTES`] of them and never none; `None` after the last ones.
    ///
    /// # Errors
    ///
    /// Fails with [`LibraryError::Changed`] when the bytes are not the announced ones, and with
    /// [`LibraryError::Read`] when they cannot be read. Either way the document is withdrawn, to be looked at again.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, LibraryError> {
        while let Some(proof) = &self.proof {
            let skipping = self.position < self.offset;
            if skipping && matches!(proof, Proof::Identity) {
                let skipped = self.content.skip(self.offset);
                skipped.map_err(|error| self.failed(error))?;
                self.position = self.offset;
                continue;
            }
            let end = if skipping { self.offset } else { self.header.size_bytes };
            let wanted =
                usize::try_from(end.saturating_sub(self.position)).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let bytes = self.advance(wanted)?;
            if self.position == self.header.size_bytes {
                self.check_end()?;
            }
            if !skipping && !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads the next `wanted` bytes.
    fn advance(&mut self, wanted: usize) -> Result<Bytes, LibraryError> {
        let buffer = self.content.take(wanted).map_err(|error| self.failed(error))?;
        if buffer.len() != wanted {
            return Err(self.changed());
        }
        if let Some(Proof::Digest(hasher)) = &mut self.proof {
            hasher.update(&buffer);
        }
        self.position = self.position.saturating_add(u64::try_from(wanted).unwrap_or(u64::MAX));
        Ok(Bytes::from(buffer))
    }

    /// Checks that the document ends here and is what was announced.
    fn check_end(&mut self) -> Result<(), LibraryError> {
        let holds = match self.proof.take() {
            // Its length is a part of a file's identity.
            Some(Proof::Identity) => {
                self.content.is_still(&self.identity) || self.content.has_digest(&self.identity, self.header.id.sha256)
            }
            Some(Proof::Digest(hasher)) => self.fill(&mut [0])? == 0 && hasher.finish() == self.header.id.sha256,
            None => true,
        };
        if holds { Ok(()) } else { Err(self.changed()) }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, LibraryError> {
        self.content.fill(buffer).map_err(|error| self.failed(error))
    }

    fn failed(&mut self, error: ContentError) -> LibraryError {
        match error {
            ContentError::TooLarge | ContentError::BadGzip => self.changed(),
            ContentError::Io(source) => {
                self.give_up();
                let key = self.header.id.key;
                LibraryError::Read { key, source }
            }
        }
    }

    fn changed(&mut self) -> LibraryError {
        self.give_up();
        LibraryError::Changed(self.header.id.key)
    }

    /// Nothing is read any more, and the document is withdrawn.
    fn give_up(&mut self) {
        self.proof = None;
        self.inner.withdraw(self.header.id.key, &self.identity);
    }
}
