//! One document on its way to disk.

use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use cap_std::fs::Dir;
use p2p_ci::{
    digest::{Hasher, Sha256},
    document::{DocumentId, UnixSeconds},
};
use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT},
    io::Errno,
};

use super::{
    clock,
    error::{IntegrityProblem, StoreError},
    identity::NANOS,
    target::{Durability, PART_FOLDER, PART_SUFFIX, TargetInner},
};

/// How often a new name is tried. Another process that sweeps may take a file away before it is locked; names are
/// random, so nothing else makes a second try necessary.
const MAX_TRIES: usize = 8;

/// Permissions of a stored document before the user's umask: those of any file.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// A document that is being stored. Dropping it without [`commit`](Self::commit) removes what was written.
#[derive(Debug)]
pub struct PartFile {
    target: Arc<TargetInner>,
    part_dir: Arc<Dir>,
    name: String,
    file: File,
    document_id: DocumentId,
    size_bytes: u64,
    hasher: Hasher,
    written: u64,
    is_renamed: bool,
}

impl PartFile {
    /// Makes an empty file for the document, locked.
    pub(super) fn create(
        target: &Arc<TargetInner>,
        document_id: DocumentId,
        size_bytes: u64,
    ) -> Result<Self, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let part_dir = target.part_dir()?;
            let name = format!("{}.{}{PART_SUFFIX}", document_id.key.file_name(), random_token()?);
            let failed = |error: Errno| match error {
                Errno::NOSPC | Errno::DQUOT => target.no_space(size_bytes),
                _ => target.io_error("create", target.path.join(PART_FOLDER).join(&name), error.into()),
            };
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&*part_dir, &name, flags, FILE_MODE) {
                Ok(file) => file,
                // The folder was removed by another process that found it empty.
                Err(Errno::NOENT | Errno::EXIST) if tries < MAX_TRIES => continue,
                Err(error) => return Err(failed(error)),
            };
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            let swept = matches!(locked, Err(Errno::WOULDBLOCK))
                || rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink == 0);
            if swept && tries < MAX_TRIES {
                continue;
            }
            // A file system without locks has no sweeping either, so a lock that cannot be had is no failure.
            return Ok(Self {
                target: Arc::clone(target),
                part_dir,
                name,
                file: file.into(),
                document_id,
                size_bytes,
                hasher: Hasher::default(),
                written: 0,
                is_renamed: false,
            });
        }
    }

    /// Which document it is.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        self.document_id
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Integrity`] when there are more bytes than announced, [`StoreError::NoSpace`] when the disk is
    /// full, and [`StoreError::Io`] otherwise. The file is then of no more use; drop it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let written = self.written.saturating_add(length);
        if written > self.size_bytes {
            return Err(self.wrong(IntegrityProblem::Length {
                expected: self.size_bytes,
                actual: written,
            }));
        }
        self.file
            .write_all(bytes)
            .map_err(|error| self.failed("write", error))?;
        self.hasher.update(bytes);
        self.written = written;
        Ok(())
    }

    /// Bytes written so far: where another holder of the same digest can go on.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The digest of what was written so far.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// Starts afresh, after a holder that lied.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when the file cannot be emptied.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        let emptied = self.file.set_len(0).and_then(|()| io::Seek::rewind(&mut self.file));
        emptied.map_err(|error| self.failed("empty", error))?;
        self.hasher = Hasher::default();
        self.written = 0;
        Ok(())
    }

    /// Gives the document its name, provided that it is whole and has the announced digest, and returns its path. With
    /// `modified`, the file gets that time, unless it lies in the future. With `replace`, a file of that name is
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Integrity`] when the bytes are others, [`StoreError::Exists`] when there is such a file and
    /// `replace` is false; in these and all other cases nothing is left behind.
    pub fn commit(mut self, modified: Option<UnixSeconds>, replace: bool) -> Result<PathBuf, StoreError> {
        self.check()?;
        self.set_time(modified);
        if self.target.durability == Durability::File {
            self.file
                .sync_all()
                .map_err(|error| self.failed("force to the disk", error))?;
        }
        let file_name = self.document_id.key.file_name();
        let path = self.target.path.join(&file_name);
        match self.rename(&file_name, replace) {
            Ok(()) => self.is_renamed = true,
            Err(Errno::EXIST) => return Err(StoreError::Exists(path)),
            Err(Errno::ISDIR | Errno::NOTEMPTY) => {
                return Err(StoreError::InTheWay { path, what: "a folder" });
            }
            Err(error) => return Err(self.failed("store", error.into())),
        }
        self.target.unsynced.store(true, Ordering::Release);
        if self.target.durability == Durability::File {
            let folder = rustix::fs::openat(
                &self.target.dir,
                ".",
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            );
            let synced = folder.and_then(rustix::fs::fsync);
            synced.map_err(|error| self.failed("force to the disk", error.into()))?;
        }
        Ok(path)
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.written != self.size_bytes {
            return Err(self.wrong(IntegrityProblem::Length {
                expected: self.size_bytes,
                actual: self.written,
            }));
        }
        let actual = self.digest();
        if actual != self.document_id.sha256 {
            return Err(self.wrong(IntegrityProblem::Digest {
                expected: self.document_id.sha256,
                actual,
            }));
        }
        Ok(())
    }

    /// A time is a courtesy of the holder: one that no file can have, or from the future, is left out.
    fn set_time(&self, modified: Option<UnixSeconds>) {
        let now = i64::try_from(clock::wall_ns() / NANOS).unwrap_or(i64::MAX);
        let Some(UnixSeconds(seconds)) = modified.filter(|time| (0..=now).contains(&time.0)) else {
            return;
        };
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: seconds,
                tv_nsec: 0,
            },
        };
        if let Err(error) = rustix::fs::futimens(&self.file, &times) {
            tracing::debug!(%error, "a stored document keeps the time of its download");
        }
    }

    fn rename(&self, file_name: &str, replace: bool) -> Result<(), Errno> {
        let (from, to) = (&*self.part_dir, &self.target.dir);
        if replace {
            return rustix::fs::renameat(from, &self.name, to, file_name);
        }
        match rustix::fs::renameat_with(from, &self.name, to, file_name, RenameFlags::NOREPLACE) {
            // Some network file systems cannot do it in one step; a hard link never replaces anything either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(from, &self.name, to, file_name, AtFlags::empty())?;
                rustix::fs::unlinkat(from, &self.name, AtFlags::empty())
            }
            renamed => renamed,
        }
    }

    fn wrong(&self, problem: IntegrityProblem) -> StoreError {
        StoreError::Integrity {
            key: self.document_id.key,
            problem,
        }
    }

    fn failed(&self, action: &'static str, error: io::Error) -> StoreError {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::DQUOT) => self.target.no_space(self.size_bytes),
            Some(_) | None => {
                let path = self.target.path.join(self.document_id.key.file_name());
                self.target.io_error(action, path, error)
            }
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_renamed {
            // What cannot be removed is unlocked from here on, and swept by the next start.
            let _stays = rustix::fs::unlinkat(&*self.part_dir, &self.name, AtFlags::empty());
        }
    }
}

/// Sixteen hexadecimal digits that no other file has.
fn random_token() -> Result<String, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Io {
        action: "choose a name in",
        path: PathBuf::from(PART_FOLDER),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
