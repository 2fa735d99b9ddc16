//! A document's file itself, for whoever wants another name for it, or a clone of its blocks, and no copy.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd as _},
    sync::Arc,
};

use p2p_ci::document::DocumentKey;
use rustix::io::Errno;

use super::{Inner, Library, identity::FileIdentity, lock, source::open_file};

/// The file of a document, open, and so far the one that was hashed.
#[derive(Debug)]
pub struct Original {
    inner: Arc<Inner>,
    key: DocumentKey,
    file: File,
    identity: FileIdentity,
}

impl Library {
    /// The file of a document. Blocks, as opening does. `None` where only reading tells the document's bytes: the file is
    /// packed, it is another one than was hashed, or it was hashed so soon after its last change that the next one might
    /// not show; and where the library does not hold the document, or cannot open it.
    #[must_use]
    pub fn original(&self, key: DocumentKey) -> Option<Original> {
        let entry = lock(&self.inner.state).entries.get(&key).cloned()?;
        let root = self.inner.root()?;
        if entry.candidate.name.compressed || !entry.lasting {
            return None;
        }
        let (file, identity) = open_file(&root.dir, &entry.candidate.path).ok()?;
        (identity == entry.identity).then(|| Original {
            inner: Arc::clone(&self.inner),
            key,
            file,
            identity,
        })
    }
}

impl Original {
    /// Which file this is, by device and inode.
    pub(super) fn file(&self) -> (u64, u64) {
        self.identity.file()
    }

    /// Has `give` give the file other names, for which it gets a path that leads to the file itself. The library takes note
    /// that this moves the time of the file's last change.
    ///
    /// # Errors
    ///
    /// Those of `give`; of `linkat`, many mean that a copy has to do: another file system, one without links, a file of
    /// somebody else. [`Errno::AGAIN`] when the file was another one before it got a name, or is one after.
    pub(super) fn named(&self, give: impl FnOnce(&str) -> Result<(), Errno>) -> Result<(), Errno> {
        let _alone = lock(&self.inner.linking);
        let now = || FileIdentity::of_file(&self.file).map_err(|_| Errno::AGAIN);
        let (_, before) = now()?;
        let known = lock(&self.inner.state)
            .entries
            .get(&self.key)
            .map(|entry| entry.identity);
        if known != Some(before) {
            return Err(Errno::AGAIN);
        }
        // By its descriptor: at its path there may be another file by now.
        let given = give(&format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        let (_, after) = now()?;
        let changed_ns = after.changed_ns;
        if after != (FileIdentity { changed_ns, ..before }) {
            return Err(Errno::AGAIN);
        }
        lock(&self.inner.state).relink(self.key, &before, after);
        given
    }

    /// Has `to`, which is empty, share the file's blocks until either is written to.
    ///
    /// # Errors
    ///
    /// Those of `FICLONE`, which few file systems know; [`Errno::AGAIN`] when the file was changed meanwhile.
    pub(super) fn clone_into(&self, to: impl AsFd) -> Result<(), Errno> {
        rustix::fs::ioctl_ficlone(to, &self.file)?;
        match FileIdentity::of_file(&self.file) {
            Ok((_, now)) if now == self.identity => Ok(()),
            Ok(_) | Err(_) => Err(Errno::AGAIN),
        }
    }
}
