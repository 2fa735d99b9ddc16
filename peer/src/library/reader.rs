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
/// All bytes are hashed, those before the offset too, and the last chunk is handed out only after the digest of the
/// whole turned out to be the announced one. So nobody ever gets a whole document of wrong bytes, and most documents
/// are one chunk.
#[derive(Debug)]
pub struct DocumentReader {
    inner: Arc<Inner>,
    header: DocumentHeader,
    identity: FileIdentity,
    content: Content,
    /// The digest of what was read so far; `None` when the end was reached and checked.
    hasher: Option<Hasher>,
    position: u64,
    offset: u64,
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
        if identity != entry.identity {
            inner.withdraw(key, &entry.identity);
            return Err(LibraryError::Changed(key));
        }
        Ok(Self {
            inner: Arc::clone(inner),
            header: DocumentHeader {
                id: entry.document.id,
                size_bytes,
                modified: entry.document.modified,
            },
            identity,
            content: Content::new(file, entry.candidate.name.compressed, identity.size),
            // Whoever has all bytes checks them itself; reading them all to send none would be dear for nothing.
            hasher: (offset < size_bytes || size_bytes == 0).then(Hasher::default),
            position: 0,
            offset,
        })
    }

    /// What is being read.
    #[must_use]
    pub fn header(&self) -> &DocumentHeader {
        &self.header
    }

    /// The next bytes from the offset on, at most [`CHUNK_BYTES`] of them and never none; `None` after the last ones.
    ///
    /// # Errors
    ///
    /// Fails with [`LibraryError::Changed`] when the bytes are not the announced ones, and with
    /// [`LibraryError::Read`] when they cannot be read. Either way the document is withdrawn, to be looked at again.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, LibraryError> {
        while self.hasher.is_some() {
            let skipping = self.position < self.offset;
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

    /// Reads and hashes the next `wanted` bytes.
    fn advance(&mut self, wanted: usize) -> Result<Bytes, LibraryError> {
        let mut buffer = vec![0; wanted];
        let count = self.fill(&mut buffer)?;
        if count < wanted {
            return Err(self.changed());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer);
        }
        self.position = self.position.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(Bytes::from(buffer))
    }

    /// Checks that the document ends here and is what was announced.
    fn check_end(&mut self) -> Result<(), LibraryError> {
        let beyond = self.fill(&mut [0])?;
        let digest = self.hasher.take().map(Hasher::finish);
        if beyond > 0 || digest != Some(self.header.id.sha256) {
            return Err(self.changed());
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, LibraryError> {
        match self.content.fill(buffer) {
            Ok(count) => Ok(count),
            Err(ContentError::TooLarge | ContentError::BadGzip) => Err(self.changed()),
            Err(ContentError::Io(source)) => {
                self.give_up();
                let key = self.header.id.key;
                Err(LibraryError::Read { key, source })
            }
        }
    }

    fn changed(&mut self) -> LibraryError {
        self.give_up();
        LibraryError::Changed(self.header.id.key)
    }

    /// Nothing is read any more, and the document is withdrawn.
    fn give_up(&mut self) {
        self.hasher = None;
        self.inner.withdraw(self.header.id.key, &self.identity);
    }
}
