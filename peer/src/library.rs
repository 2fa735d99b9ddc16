//! Documents on disk: which ones a folder holds, how they are read, watched and stored.
//!
//! # Which files are documents
//!
//! Files named like [`FileName`] says, in the folder itself and in two levels of folders below it, which is what
//! Debian's `doc-rfc` packages need (`links/rfc1.txt.gz`, `old/historic/rfc1.txt.gz`). Packed files are shared
//! unpacked. Symbolic links are followed as long as they stay beneath the folder: sharing `links/` alone shows nothing,
//! and the report says so. Whatever else lies there is left alone and counted ([`SkipReason`]).
//!
//! Where several files name one document, the one in the shallower folder is shared, then the one in the folder that
//! comes first by name, then `rfc791.txt` before `RFC791.TXT` before `rfc0791.txt` before `rfc791.txt.gz`. If the best
//! one cannot be read, the next one is.
//!
//! # Which bytes are served
//!
//! A file is hashed once, when it is whole: when it was renamed into place, or when it is closed, as far as events tell,
//! and was left alone for a second. It is served from one descriptor while its identity (device,
//! inode, size, times) is that of the file that was hashed, before and after it is read ([`DocumentReader`]). Where only the
//! time of its last change moved, as by another hard link, its bytes are hashed once more.
//!
//! # Modules, in reading order
//!
//! `name`, `walk`: names and folders · `identity`, `source`, `digest`, `title`: one file · `state`, `select`, `scan`: what
//! the library knows and how it learns it · `cache`: digests of earlier runs · `reader` · `events`, `watcher` · `target`,
//! `part`, `body`, `adopt`, `sweep`: storing what was downloaded · `original`, `draft`, `place`: laying documents out for
//! others to read · `report`, `error`: what people are told.
//!
//! # Non-goals
//!
//! Nothing here knows of any network. Files that this program did not write are never changed or removed.

mod adopt;
mod body;
mod cache;
mod clock;
mod digest;
mod draft;
mod error;
mod events;
mod identity;
mod name;
mod original;
mod part;
mod place;
mod reader;
mod report;
mod scan;
mod select;
mod silent;
pub mod source;
mod state;
mod sweep;
mod target;
#[cfg(test)]
mod tests;
pub mod title;
mod walk;
mod watcher;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use cap_std::{ambient_authority, fs::Dir};
use p2p_ci::document::{Document, DocumentKey, UnixSeconds};
use tokio::sync::watch;

pub use self::{
    body::Body,
    draft::Draft,
    error::{IntegrityProblem, LibraryError, StoreError},
    name::FileName,
    original::Original,
    part::{PartFile, Stored},
    place::{Found, FoundFile, Placed},
    reader::DocumentReader,
    report::{ScanProgress, ScanReport, SkipReason, Skipped},
    target::{Durability, Existing, Target},
    watcher::Watcher,
};

use self::{
    cache::Loaded,
    identity::FileIdentity,
    scan::Look,
    state::{Changes, State},
    walk::Folder,
};

/// The documents of one folder. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Library {
    inner: Arc<Inner>,
}

/// A file of the folder that is no document.
#[derive(Debug)]
pub struct SideFile {
    /// The file, open for reading from its start.
    pub file: File,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last modified.
    pub modified: UnixSeconds,
}

/// The folder as it was opened.
#[derive(Debug)]
struct Root {
    dir: Dir,
    file: (u64, u64),
}

/// What all handles share. Lock order: `looking` or `linking` before anything else; no two of the others at once.
#[derive(Debug)]
struct Inner {
    /// The folder, absolute.
    path: PathBuf,
    /// The folder, open; `None` while it is not there.
    root: Mutex<Option<Arc<Root>>>,
    /// Where digests are kept for the next start.
    cache_file: PathBuf,
    state: Mutex<State>,
    /// The folders that the last whole look went into.
    folders: Mutex<Vec<Folder>>,
    version: watch::Sender<u64>,
    /// Held while somebody looks at the folder, so that two looks do not hash the same files.
    looking: Mutex<()>,
    /// Held while a file gets another name, so that no two of them mistake each other for a stranger's change.
    linking: Mutex<()>,
}

/// Locks a mutex. A panic elsewhere leaves these values usable: each is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Library {
    /// Opens a folder and looks at all of it. Digests of earlier runs are taken from a file in `state_dir`, which is
    /// made if need be. `on_progress` is told, from several threads, how far hashing has come.
    ///
    /// Blocks for as long as hashing takes: a second or two for the whole series, next to nothing when its digests are
    /// known, and up to a second more if a file was modified within the last one.
    ///
    /// # Errors
    ///
    /// Fails when `root` is missing, no folder, or cannot be listed. Whatever is wrong with the digests of earlier runs
    /// is a warning in the report.
    pub fn open(
        root: &Path,
        state_dir: &Path,
        on_progress: &(dyn Fn(ScanProgress) + Sync),
    ) -> Result<(Self, ScanReport), LibraryError> {
        Self::open_unless(&AtomicBool::new(false), root, state_dir, on_progress)
    }

    /// The same, but ends before the next file once `cancel` is set. What was hashed by then is kept for the next start.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`LibraryError::Cancelled`].
    pub fn open_unless(
        cancel: &AtomicBool,
        root: &Path,
        state_dir: &Path,
        on_progress: &(dyn Fn(ScanProgress) + Sync),
    ) -> Result<(Self, ScanReport), LibraryError> {
        let unreadable = |source| LibraryError::Unreadable {
            path: root.to_owned(),
            source,
        };
        // Without `.` and doubled slashes, paths in events compare with this one.
        let path: PathBuf = std::path::absolute(root).map_err(unreadable)?.components().collect();
        let opened = open_folder(&path)?;
        let canonical = path.canonicalize().map_err(unreadable)?;
        let cache_file = cache::file_of(state_dir, &canonical);
        let mut state = State::default();
        let mut damaged = false;
        match cache::load(&cache_file) {
            Loaded::Known(digests) => state.digests = digests,
            Loaded::Absent => state.digests_changed = true,
            Loaded::Unusable => {
                state.digests_changed = true;
                damaged = true;
            }
        }
        let library = Self {
            inner: Arc::new(Inner {
                path,
                root: Mutex::new(Some(Arc::new(opened))),
                cache_file,
                state: Mutex::new(state),
                folders: Mutex::new(Vec::new()),
                version: watch::Sender::new(0),
                looking: Mutex::new(()),
                linking: Mutex::new(()),
            }),
        };
        let look = Look { cancel, on_progress };
        let mut report = scan::look_until_settled(&library.inner, &look)?;
        if damaged {
            report.warn(format!(
                "{} could not be used, so every file was read; it is made anew",
                error::shown(&library.inner.cache_file)
            ));
        }
        if let Err(problem) = library.inner.save_digests() {
            report.warn(format!(
                "{} cannot be written ({problem}), so the next start reads every file again",
                error::shown(&library.inner.cache_file)
            ));
        }
        Ok((library, report))
    }

    /// The documents, ascending by key.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Document> {
        let state = lock(&self.inner.state);
        state.entries.values().map(|entry| entry.document.clone()).collect()
    }

    /// How many documents there are.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.inner.state).entries.len()
    }

    /// The document with this key, if the library holds it.
    #[must_use]
    pub fn get(&self, key: DocumentKey) -> Option<Document> {
        let state = lock(&self.inner.state);
        state.entries.get(&key).map(|entry| entry.document.clone())
    }

    /// A number that grows with each change of the set of documents. Wait on it, then take a [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Opens a document for serving from byte `offset` on. Blocks, as all reading does.
    ///
    /// # Errors
    ///
    /// [`LibraryError::NotFound`] when the library does not hold it, [`LibraryError::OffsetOutOfRange`] when the offset
    /// lies beyond its end, [`LibraryError::Changed`] when the file is another one than was hashed, and
    /// [`LibraryError::Read`] when it cannot be opened. After the last two the document is withdrawn.
    pub fn read(&self, key: DocumentKey, offset: u64) -> Result<DocumentReader, LibraryError> {
        DocumentReader::open(&self.inner, key, offset)
    }

    /// Opens a file at the top of the folder that is no document, such as an index. Blocks; `None` when there is no such
    /// regular file, or it cannot be opened.
    #[must_use]
    pub fn beside(&self, name: &str) -> Option<SideFile> {
        let root = self.inner.root()?;
        let (file, identity) = source::open_file(&root.dir, Path::new(name)).ok()?;
        Some(SideFile {
            file,
            size_bytes: identity.size,
            modified: identity.modified(),
        })
    }

    /// Looks at the whole folder again and tells what changed. Blocks like [`open`](Self::open); files whose digest is
    /// known are not read.
    ///
    /// # Errors
    ///
    /// Fails when the folder is gone or cannot be listed; everything is withdrawn then, until a later look succeeds.
    pub fn rescan(&self) -> Result<ScanReport, LibraryError> {
        let look = Look {
            cancel: &AtomicBool::new(false),
            on_progress: &|_| {},
        };
        let report = scan::look_until_settled(&self.inner, &look)?;
        self.inner.keep_digests();
        Ok(report)
    }

    /// The folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.path
    }
}

impl Inner {
    /// The folder as it was last opened.
    fn root(&self) -> Option<Arc<Root>> {
        lock(&self.root).clone()
    }

    /// Opens the folder anew, as another one may have its name by now.
    fn open_root(&self) -> Result<Arc<Root>, LibraryError> {
        match open_folder(&self.path) {
            Ok(root) => {
                let root = Arc::new(root);
                *lock(&self.root) = Some(Arc::clone(&root));
                Ok(root)
            }
            Err(error) => {
                self.withdraw_all();
                Err(error)
            }
        }
    }

    /// Withdraws everything, as the folder cannot be listed.
    fn lose_root(&self, source: io::Error) -> LibraryError {
        self.withdraw_all();
        LibraryError::Unreadable {
            path: self.path.clone(),
            source,
        }
    }

    fn withdraw_all(&self) {
        *lock(&self.root) = None;
        lock(&self.folders).clear();
        let changed = lock(&self.state).withdraw_all();
        if changed {
            self.bump();
        }
    }

    /// Withdraws one document whose file turned out to be another one.
    fn withdraw(&self, key: DocumentKey, identity: &FileIdentity) {
        let changed = lock(&self.state).withdraw(key, identity);
        if changed {
            self.bump();
        }
    }

    fn publish(&self, changes: &Changes) {
        if !changes.is_empty() {
            self.bump();
        }
    }

    fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Writes the digests for the next start, if there are new ones.
    fn save_digests(&self) -> io::Result<()> {
        let digests = {
            let mut state = lock(&self.state);
            if !std::mem::take(&mut state.digests_changed) {
                return Ok(());
            }
            state.digests.clone()
        };
        cache::save(&self.cache_file, &digests).inspect_err(|_| lock(&self.state).digests_changed = true)
    }

    /// The same, where a failure was already told or nobody is left to be told.
    fn keep_digests(&self) {
        if let Err(error) = self.save_digests() {
            tracing::debug!(%error, "digests were not kept for the next start");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keep_digests();
    }
}

fn open_folder(path: &Path) -> Result<Root, LibraryError> {
    let unreadable = |source| LibraryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            LibraryError::Missing(path.to_owned())
        } else if error.kind() == io::ErrorKind::NotADirectory {
            LibraryError::NotAFolder(path.to_owned())
        } else {
            unreadable(error)
        }
    })?;
    let (_, identity) = FileIdentity::of_file(&dir).map_err(unreadable)?;
    Ok(Root {
        dir,
        file: identity.file(),
    })
}
