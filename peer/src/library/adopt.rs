//! Taking note of documents that were just stored, without reading their files again.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use p2p_ci::document::Document;

use super::{
    Library,
    body::Body,
    digest::Digested,
    error::LibraryError,
    identity::FileIdentity,
    lock,
    name::FileName,
    part::Stored,
    source,
    state::{Changes, Selected},
    title,
    walk::{Candidate, Sighting},
};

impl Library {
    /// Takes note of a document that a [`Target`](super::Target) has just stored in this library's folder, without
    /// hashing it again. The title is what the file tells, or else the given one; the time is the file's.
    ///
    /// # Errors
    ///
    /// [`LibraryError::NotAdopted`] when there is no regular file of that length under the document's name.
    pub fn adopt(&self, document: Document) -> Result<(), LibraryError> {
        let inner = &self.inner;
        let path = PathBuf::from(document.id.key.file_name());
        let not_adopted = || LibraryError::NotAdopted(inner.path.join(&path));
        let root = inner.root().ok_or_else(not_adopted)?;
        let (file, identity) = source::open_file(&root.dir, &path).map_err(|_| not_adopted())?;
        if identity.size != document.size_bytes {
            return Err(not_adopted());
        }
        let mut head = Vec::new();
        let head_bytes = u64::try_from(title::head_bytes(document.id.key.format)).unwrap_or(0);
        // A title is worth no failure: what cannot be read tells none.
        let _unread = file.take(head_bytes).read_to_end(&mut head);
        let changes = self.note(document, identity, &head).ok_or_else(not_adopted)?;
        inner.publish(&changes);
        Ok(())
    }

    /// The same for documents whose bytes are at hand, many at once and without opening their files. Those that were
    /// there before, or were stored elsewhere, are passed over.
    pub fn adopt_all<'a>(&self, documents: impl IntoIterator<Item = (Document, &'a Stored, &'a Body)>) {
        let mut changes = Changes::default();
        for (document, stored, body) in documents {
            let is_here = stored.path.parent() == Some(Path::new(&self.inner.path));
            let Some(identity) = stored.identity.filter(|_| is_here) else {
                continue;
            };
            let head = body.head(title::head_bytes(document.id.key.format));
            if let Some(more) = self.note(document, identity, &head) {
                changes.absorb(more);
            }
        }
        self.inner.publish(&changes);
    }

    fn note(&self, document: Document, identity: FileIdentity, head: &[u8]) -> Option<Changes> {
        let key = document.id.key;
        let file_name = key.file_name();
        let candidate = Candidate {
            name: FileName::parse(&file_name)?,
            path: PathBuf::from(file_name),
        };
        let told = title::of_file(key.format, head, document.size_bytes);
        let digested = Digested {
            sha256: document.id.sha256,
            size_bytes: document.size_bytes,
            title: if told.as_str().is_empty() { document.title } else { told },
            lasting: true,
        };
        let sighting = Sighting {
            candidate,
            identity,
            link: false,
        };
        Some(lock(&self.inner.state).adopt(key, Selected { sighting, digested }))
    }
}
