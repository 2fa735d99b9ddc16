//! A folder to store downloads in.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use cap_std::{ambient_authority, fs::Dir};
use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey},
    limits,
};
use rustix::{
    fs::{Access, AtFlags, Mode, OFlags},
    io::{Errno, retry_on_intr},
};

use super::{
    body::Body,
    digest::{self, NoDigest},
    error::StoreError,
    lock,
    part::{MAX_TRIES, PartFile, Stored},
    report::SkipReason,
    sweep,
    walk::{Candidate, Sighting, sight_again, walk},
};

/// The folder for unfinished downloads, inside the target so that a rename puts them in place. Hidden, so that no
/// reader of RFCs lists it.
pub(super) const PART_FOLDER: &str = ".p2pci-part";

/// What is kept free on the target's file system, at most: other programs need room, too.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// What is kept free at most, as one part in so many of the file system: small ones (a tmpfs of a few megabytes) shall
/// hold RFCs as well.
const RESERVE_SHARE: u64 = 16;

/// Bytes read at once while hashing a file that is there already.
const BUFFER_BYTES: usize = 128 * 1024;

/// When stored documents are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Never: the operating system writes them in its own time. A power cut may lose them, or leave empty files.
    None,
    /// Once, by [`Target::finish`].
    #[default]
    End,
    /// Each one before it gets its name, and its name before it is reported as stored.
    File,
}

/// A document that is in the target already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// The file's path. It need not be the one under which the document would be stored.
    pub path: PathBuf,
    /// The document's length in bytes; of a packed file, unpacked.
    pub size_bytes: u64,
    /// The document's digest; of a packed file, unpacked.
    pub sha256: Sha256,
}

/// A folder to store downloads in. A handle that is cheap to clone.
///
/// Documents appear in it whole and verified, or not at all. Until then they are in a folder `.p2pci-part` inside of
/// it, each locked by its process; what a process left there when it was killed is removed by the next one.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) inner: Arc<TargetInner>,
}

#[derive(Debug)]
pub(super) struct TargetInner {
    pub(super) path: PathBuf,
    pub(super) dir: Dir,
    pub(super) durability: Durability,
    /// Whether something was stored since the last `finish`.
    pub(super) unsynced: AtomicBool,
    part_dir: Mutex<Option<Arc<Dir>>>,
    /// The files that were there at first, by document.
    names: OnceLock<HashMap<DocumentKey, Vec<Candidate>>>,
}

impl Target {
    /// Opens the folder, and makes it if only its parent exists. Removes what earlier runs left unfinished, and checks
    /// that files can be made.
    ///
    /// # Errors
    ///
    /// Fails when the folder's parent is missing, when it is no folder, or when nothing may be written into it; each
    /// with the path and what to do.
    pub fn open(dir: &Path, durability: Durability) -> Result<Self, StoreError> {
        let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let not_writable = |source| StoreError::NotWritable {
            path: path.clone(),
            source,
        };
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoParent(path)),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(StoreError::NotAFolder(path)),
            // A folder on a read-only file system, or in one that may not be written to, may still exist.
            Err(error) if !path.exists() => return Err(not_writable(error)),
            Err(_) => {}
        }
        let dir = match Dir::open_ambient_dir(&path, ambient_authority()) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(StoreError::NotAFolder(path)),
            Err(error) => return Err(not_writable(error)),
        };
        rustix::fs::accessat(&dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| not_writable(error.into()))?;
        let target = Self {
            inner: Arc::new(TargetInner {
                path,
                dir,
                durability,
                unsynced: AtomicBool::new(false),
                part_dir: Mutex::new(None),
                names: OnceLock::new(),
            }),
        };
        let part_dir = target.inner.part_dir()?;
        sweep::sweep(&part_dir);
        Ok(target)
    }

    /// Bytes that may be stored here, if the file system tells.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.inner.space().map(|(free, reserve)| free.saturating_sub(reserve))
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The document that is there already, if one is: under its own name, or as Debian's packages
    /// and other tools name and pack it; never in a folder below. Reads the whole file, but no more than a document may have.
    ///
    /// # Errors
    ///
    /// [`StoreError::InTheWay`] when something that cannot be read as a document has the very name under which it would
    /// be stored.
    pub fn existing(&self, key: DocumentKey) -> Result<Option<Existing>, StoreError> {
        let inner = &self.inner;
        let file_name = key.file_name();
        let own = Candidate::own(key);
        let mut buffer = vec![0; BUFFER_BYTES];
        match inner.digest(own.clone(), &mut buffer) {
            Ok(found) => return Ok(Some(found)),
            Err(None) => {}
            Err(Some(reason)) => {
                return Err(StoreError::InTheWay {
                    path: inner.path.join(file_name),
                    what: reason.as_str(),
                });
            }
        }
        let others = inner.names().get(&key).into_iter().flatten();
        let others = others.filter(|candidate| candidate.path != own.path);
        Ok(others.cloned().find_map(|other| inner.digest(other, &mut buffer).ok()))
    }

    /// Begins to store a document of `size_bytes`.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] beyond [`limits::MAX_DOCUMENT_BYTES`], [`StoreError::NoSpace`] when the document and a
    /// reserve (64 MiB, or a sixteenth of a small file system) do not fit, and others when no file can be made.
    pub fn begin(&self, document_id: DocumentId, size_bytes: u64) -> Result<PartFile, StoreError> {
        check_size(document_id, size_bytes)?;
        self.check_space(size_bytes)?;
        PartFile::create(&self.inner, document_id, size_bytes, true)
    }

    /// Checks that so many bytes and a reserve fit on the file system, as far as it tells.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] when they do not.
    pub fn check_space(&self, size_bytes: u64) -> Result<(), StoreError> {
        self.inner.check_space(size_bytes)
    }

    /// Stores a document whose bytes are all here, provided that they are the announced ones. Whether there is room for it
    /// is not asked here: whoever stores many asks once for some of them, by [`check_space`](Self::check_space). `modified` of `document` is
    /// the time that the file gets, unless it lies in the future. With `replace`, a file of other bytes is replaced.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin) and [`PartFile::commit`]; [`StoreError::NoSpace`] when the disk is full indeed. Bytes that are not the announced ones never reach the disk.
    pub fn store(&self, document: &Document, body: &Body, replace: bool) -> Result<Stored, StoreError> {
        check_size(document.id, document.size_bytes)?;
        PartFile::store(&self.inner, document, body, replace)
    }

    /// Ends a run of downloads: with [`Durability::End`], forces everything stored so far to the disk.
    ///
    /// # Errors
    ///
    /// Fails when the disk reports that it could not keep what was written.
    pub fn finish(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        if inner.durability == Durability::End && inner.unsynced.swap(false, Ordering::AcqRel) {
            let folder = inner.open_for_sync();
            let synced = folder.and_then(|folder| retry_on_intr(|| rustix::fs::syncfs(&folder)));
            synced.map_err(|error| inner.io_error("force to the disk", inner.path.clone(), error.into()))?;
        }
        inner.leave_tidy();
        Ok(())
    }
}

impl TargetInner {
    /// The folder for unfinished downloads, made if need be.
    pub(super) fn part_dir(&self) -> Result<Arc<Dir>, StoreError> {
        let mut known = lock(&self.part_dir);
        if let Some(dir) = known.as_ref() {
            return Ok(Arc::clone(dir));
        }
        let path = self.path.join(PART_FOLDER);
        let mut opened = self.make_part_dir();
        for _ in 1..MAX_TRIES {
            match opened {
                // Another process removed it, which found it empty.
                Err(Errno::NOENT) => opened = self.make_part_dir(),
                Ok(_) | Err(_) => break,
            }
        }
        match opened {
            // Nothing could be renamed from there.
            Ok(dir) if !self.is_beside(&dir) => Err(StoreError::PartFolder(path)),
            Ok(dir) => Ok(Arc::clone(known.insert(Arc::new(dir)))),
            Err(Errno::NOSPC | Errno::DQUOT) => Err(self.no_space(0)),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(StoreError::PartFolder(path)),
            Err(error) => Err(StoreError::NotWritable {
                path: self.path.clone(),
                source: error.into(),
            }),
        }
    }

    /// Whether an open folder lies on the target's file system, as far as its number tells.
    fn is_beside(&self, dir: &Dir) -> bool {
        let device = |dir: &Dir| rustix::fs::fstat(dir).ok().map(|stat| stat.st_dev);
        device(dir) == device(&self.dir)
    }

    fn make_part_dir(&self) -> Result<Dir, Errno> {
        match rustix::fs::mkdirat(&self.dir, PART_FOLDER, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = retry_on_intr(|| rustix::fs::openat(&self.dir, PART_FOLDER, flags, Mode::empty()))?;
        Ok(Dir::from_std_file(dir.into()))
    }

    /// Has the folder for unfinished downloads opened anew: this one turned out to be removed.
    pub(super) fn forget_part_dir(&self) {
        *lock(&self.part_dir) = None;
    }

    /// Free bytes, and the bytes of which some have to stay free; `None` where the file system does not tell.
    fn space(&self) -> Option<(u64, u64)> {
        let found = rustix::fs::fstatvfs(&self.dir).ok()?;
        let total = found.f_blocks.saturating_mul(found.f_frsize);
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        (total > 0).then_some((free, RESERVE_BYTES.min(total / RESERVE_SHARE)))
    }

    /// Whether the file system has numbered files and none of their numbers is free.
    fn has_no_inodes(&self) -> bool {
        rustix::fs::fstatvfs(&self.dir).is_ok_and(|found| found.f_files > 0 && found.f_favail == 0)
    }

    fn check_space(&self, size_bytes: u64) -> Result<(), StoreError> {
        match self.space() {
            Some((free_bytes, reserve)) if free_bytes < size_bytes.saturating_add(reserve) => {
                Err(StoreError::NoSpace {
                    path: self.path.clone(),
                    needed_bytes: size_bytes.saturating_add(reserve),
                    free_bytes,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The error for a disk that filled up although there seemed to be room for `needed_bytes`.
    pub(super) fn no_space(&self, needed_bytes: u64) -> StoreError {
        if self.has_no_inodes() {
            return StoreError::NoFiles(self.path.clone());
        }
        StoreError::NoSpace {
            path: self.path.clone(),
            needed_bytes,
            free_bytes: self.space().map_or(0, |(free, _)| free),
        }
    }

    /// The folder, opened for reading as forcing to the disk wants it; its own descriptor may be a mere path.
    pub(super) fn open_for_sync(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::openat(&self.dir, ".", flags, Mode::empty()))
    }

    pub(super) fn io_error(&self, action: &'static str, path: PathBuf, source: io::Error) -> StoreError {
        StoreError::Io { action, path, source }
    }

    /// Whether the document's file is there with the document's bytes.
    pub(super) fn holds(&self, id: DocumentId) -> bool {
        let found = self.digest(Candidate::own(id.key), &mut vec![0; BUFFER_BYTES]);
        found.is_ok_and(|found| found.sha256 == id.sha256)
    }

    /// One file that is there. `None` as error: it is not.
    fn digest(&self, candidate: Candidate, buffer: &mut [u8]) -> Result<Existing, Option<SkipReason>> {
        let path = self.path.join(&candidate.path);
        let sighting: Sighting = sight_again(&self.dir, candidate).map_err(|(reason, _)| reason)?;
        match digest::digest(&self.dir, &sighting, buffer) {
            Ok(digested) => Ok(Existing {
                path,
                size_bytes: digested.size_bytes,
                sha256: digested.sha256,
            }),
            Err(NoDigest::Skip(reason)) => Err(Some(reason)),
            Err(NoDigest::Moved) => Err(Some(SkipReason::BeingWritten)),
        }
    }

    fn names(&self) -> &HashMap<DocumentKey, Vec<Candidate>> {
        self.names.get_or_init(|| {
            let mut names: HashMap<DocumentKey, Vec<Candidate>> = HashMap::new();
            // A folder that may be written into but not listed has no names that could be known.
            let walked = walk(&self.dir, &AtomicBool::new(false)).ok().flatten();
            let sightings = walked.map(|walked| walked.sightings).unwrap_or_default();
            // What lies deeper is not where a document would be stored.
            let own = |path: &Path| path.parent() == Some(Path::new(""));
            for Sighting { candidate, .. } in sightings.into_iter().filter(|s| own(&s.candidate.path)) {
                names.entry(candidate.name.key).or_default().push(candidate);
            }
            for candidates in names.values_mut() {
                candidates.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
            }
            names
        })
    }

    /// Removes the folder for unfinished downloads unless something is in it.
    fn leave_tidy(&self) {
        let mut known = lock(&self.part_dir);
        if rustix::fs::unlinkat(&self.dir, PART_FOLDER, AtFlags::REMOVEDIR).is_ok() {
            *known = None;
        }
    }
}

fn check_size(document_id: DocumentId, size_bytes: u64) -> Result<(), StoreError> {
    if size_bytes > limits::MAX_DOCUMENT_BYTES {
        return Err(StoreError::TooLarge {
            key: document_id.key,
            size_bytes,
        });
    }
    Ok(())
}

impl Drop for TargetInner {
    fn drop(&mut self) {
        self.leave_tidy();
    }
}
