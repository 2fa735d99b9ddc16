//! One document on its way to disk.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use cap_std::fs::Dir;
use p2p_ci::{
    digest::{Hasher, Sha256},
    document::{Document, DocumentId, UnixSeconds},
};
use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT},
    io::{Errno, retry_on_intr},
};

use super::{
    body::Body,
    clock,
    error::{IntegrityProblem, StoreError},
    identity::{FileIdentity, Kind, NANOS},
    sweep::PART_SUFFIX,
    target::{Durability, PART_FOLDER, TargetInner},
};

/// How often a new name is tried. Another process that sweeps may take a file away, or its folder, before it is locked or
/// has its own name; names are random, so nothing else makes a second try necessary. Many processes may start and end at
/// once, and a try costs next to nothing.
pub(super) const MAX_TRIES: usize = 100;

/// Permissions of a stored document before the user's umask: those of any file.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// A document that is being stored. Dropping it without [`commit`](Self::commit) removes what was written.
#[derive(Debug)]
pub struct PartFile {
    writer: File,
    hasher: Hasher,
    written: u64,
    pending: Pending,
}

/// A document under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its file.
    pub path: PathBuf,
    /// Whether the file had been there before, with the same bytes.
    pub was_there: bool,
    /// The file as it is now; unknown where it was there before.
    pub(super) identity: Option<FileIdentity>,
}

/// The file itself, until it has its name.
#[derive(Debug)]
struct Pending {
    target: Arc<TargetInner>,
    part_dir: Arc<Dir>,
    name: String,
    /// Locked, so that nobody sweeps the file. A descriptor of its own, as the writer is closed before the file gets its
    /// name: who watches the target would otherwise see a file that somebody still wrote to. None for a file that is
    /// written in one go: should it be swept in between, it is written again.
    _lock: Option<OwnedFd>,
    document_id: DocumentId,
    size_bytes: u64,
    is_renamed: bool,
}

/// Has `make` make a file in the folder for unfinished ones, under a name that begins with `stem` and that nothing has.
/// Returns the folder, the name, and what was made. Room is wanted for `size_bytes`, as far as an error tells.
pub(super) fn make_aside<T>(
    target: &TargetInner,
    stem: &str,
    size_bytes: u64,
    mut make: impl FnMut(&Dir, &str) -> Result<T, Errno>,
) -> Result<(Arc<Dir>, String, T), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let part_dir = target.part_dir()?;
        let token: u64 = rand::random();
        let name = format!("{stem}.{token:016x}{PART_SUFFIX}");
        match make(&part_dir, &name) {
            Ok(made) => return Ok((part_dir, name, made)),
            // Another process swept the file, or removed the folder, which it found empty.
            Err(Errno::NOENT) if tries < MAX_TRIES => target.forget_part_dir(),
            Err(Errno::EXIST) if tries < MAX_TRIES => {}
            Err(Errno::NOSPC | Errno::DQUOT) => return Err(target.no_space(size_bytes)),
            Err(error) => {
                let path = target.path.join(PART_FOLDER).join(&name);
                return Err(target.io_error("create", path, error.into()));
            }
        }
    }
}

impl PartFile {
    /// Makes an empty file for the document, locked if that is wanted.
    pub(super) fn create(
        target: &Arc<TargetInner>,
        document_id: DocumentId,
        size_bytes: u64,
        locked: bool,
    ) -> Result<Self, StoreError> {
        let stem = document_id.key.file_name();
        let (part_dir, name, (writer, lock)) = make_aside(target, &stem, size_bytes, |part_dir, name| {
            create(part_dir, name, locked)
        })?;
        let pending = Pending {
            target: Arc::clone(target),
            part_dir,
            name,
            _lock: lock,
            document_id,
            size_bytes,
            is_renamed: false,
        };
        Ok(Self {
            writer,
            hasher: Hasher::default(),
            written: 0,
            pending,
        })
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
        if written > self.pending.size_bytes {
            return Err(self.pending.wrong_length(written));
        }
        let result = self.writer.write_all(bytes);
        result.map_err(|error| self.pending.failed("write", error))?;
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

    /// Stores a document whose bytes are all here: the same as writing and committing them, but that wrong ones never
    /// reach the disk.
    pub(super) fn store(
        target: &Arc<TargetInner>,
        document: &Document,
        body: &Body,
        replace: bool,
    ) -> Result<Stored, StoreError> {
        check(document.id, document.size_bytes, body.len(), || body.digest())?;
        let mut tries = 0;
        loop {
            tries += 1;
            let Self {
                mut writer,
                mut pending,
                ..
            } = Self::create(target, document.id, document.size_bytes, false)?;
            let result = body.write_to(&mut writer);
            result.map_err(|error| pending.failed("write", error))?;
            match pending.finish(writer, document.modified, replace) {
                Err(StoreError::Io { source, .. }) if tries < MAX_TRIES && source.kind() == io::ErrorKind::NotFound => {
                    target.forget_part_dir();
                }
                finished => return finished,
            }
        }
    }

    /// Starts afresh, after a holder that lied.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when the file cannot be emptied.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        let emptied = self.writer.set_len(0).and_then(|()| self.writer.rewind());
        emptied.map_err(|error| self.pending.failed("empty", error))?;
        self.hasher = Hasher::default();
        self.written = 0;
        Ok(())
    }

    /// Gives the document its name, provided that it is whole and has the announced digest. With `modified`, the file
    /// gets that time, unless it lies in the future. With `replace`, a file of that name is replaced. One that has the
    /// document's bytes already, as when two downloads of it end at the same time, is left as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Integrity`] when the bytes are others, [`StoreError::Exists`] when there is a file of other bytes
    /// and `replace` is false; in these and all other cases nothing is left behind.
    pub fn commit(self, modified: Option<UnixSeconds>, replace: bool) -> Result<Stored, StoreError> {
        let Self {
            writer,
            hasher,
            written,
            mut pending,
        } = self;
        check(pending.document_id, pending.size_bytes, written, || hasher.finish())?;
        pending.finish(writer, modified, replace)
    }
}

impl Pending {
    /// Closes the file, whose bytes are right, and gives it its name.
    fn finish(&mut self, writer: File, modified: Option<UnixSeconds>, replace: bool) -> Result<Stored, StoreError> {
        set_time(&writer, modified);
        if self.target.durability == Durability::File {
            let synced = writer.sync_all();
            synced.map_err(|error| self.failed("force to the disk", error))?;
        }
        drop(writer);
        self.store(replace)
    }

    /// Renames the file to its own name.
    fn store(&mut self, replace: bool) -> Result<Stored, StoreError> {
        let file_name = self.document_id.key.file_name();
        let path = self.target.path.join(&file_name);
        match rename(&self.part_dir, &self.name, &self.target.dir, &file_name, replace) {
            Ok(()) => self.is_renamed = true,
            Err(Errno::EXIST) if self.target.holds(self.document_id) => {
                return Ok(Stored {
                    path,
                    was_there: true,
                    identity: None,
                });
            }
            Err(Errno::EXIST) => return Err(StoreError::Exists(path)),
            Err(Errno::ISDIR | Errno::NOTEMPTY) => {
                return Err(StoreError::InTheWay { path, what: "a folder" });
            }
            // The same file system mounted once more, or one with quotas by folder.
            Err(Errno::XDEV) => return Err(StoreError::PartFolder(self.target.path.join(PART_FOLDER))),
            Err(error) => return Err(self.failed("store", error.into())),
        }
        self.target.unsynced.store(true, Ordering::Release);
        if self.target.durability == Durability::File {
            let folder = self.target.open_for_sync();
            let synced = folder.and_then(|folder| retry_on_intr(|| rustix::fs::fsync(&folder)));
            synced.map_err(|error| self.failed("force to the disk", error.into()))?;
        }
        // The new name has changed the file's times. Links are not followed: this is the file that was just stored, or a
        // stranger's.
        let stat = rustix::fs::statat(&self.target.dir, &file_name, AtFlags::SYMLINK_NOFOLLOW);
        let identity = stat.ok().map(|stat| FileIdentity::of_stat(&stat));
        Ok(Stored {
            path,
            was_there: false,
            identity: identity.and_then(|(kind, identity)| (kind == Kind::File).then_some(identity)),
        })
    }

    fn wrong_length(&self, actual: u64) -> StoreError {
        let expected = self.size_bytes;
        wrong(self.document_id, IntegrityProblem::Length { expected, actual })
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

/// Renames `name` in `from` to `new_name` in `to`; without `replace`, nothing of that name is replaced.
pub(super) fn rename(from: &Dir, name: &str, to: &Dir, new_name: &str, replace: bool) -> Result<(), Errno> {
    if replace {
        return rustix::fs::renameat(from, name, to, new_name);
    }
    match rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
        // Some network file systems cannot do it in one step; a hard link never replaces anything either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(from, name, to, new_name, AtFlags::empty())?;
            // The file has its name; what cannot be removed is swept by the next start.
            let _stays = rustix::fs::unlinkat(from, name, AtFlags::empty());
            Ok(())
        }
        renamed => renamed,
    }
}

/// Checks bytes against what was announced of them.
fn check(id: DocumentId, size_bytes: u64, len: u64, digest: impl FnOnce() -> Sha256) -> Result<(), StoreError> {
    if len != size_bytes {
        let (expected, actual) = (size_bytes, len);
        return Err(wrong(id, IntegrityProblem::Length { expected, actual }));
    }
    match (id.sha256, digest()) {
        (expected, actual) if expected == actual => Ok(()),
        (expected, actual) => Err(wrong(id, IntegrityProblem::Digest { expected, actual })),
    }
}

fn wrong(id: DocumentId, problem: IntegrityProblem) -> StoreError {
    StoreError::Integrity { key: id.key, problem }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_renamed {
            // What cannot be removed is unlocked from here on, and swept by the next start.
            let _stays = rustix::fs::unlinkat(&*self.part_dir, &self.name, AtFlags::empty());
        }
    }
}

/// Makes a file, and locks it if that is wanted; `ENOENT` when somebody swept it in between.
pub(super) fn create(part_dir: &Dir, name: &str, locked: bool) -> Result<(File, Option<OwnedFd>), Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let writer = retry_on_intr(|| rustix::fs::openat(part_dir, name, flags, FILE_MODE))?;
    if !locked {
        return Ok((writer.into(), None));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = retry_on_intr(|| rustix::fs::openat(part_dir, name, flags, Mode::empty()))?;
    // A file system without locks has no sweeping either, so only a lock that somebody else has is a failure.
    let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
    if matches!(locked, Err(Errno::WOULDBLOCK)) {
        return Err(Errno::NOENT);
    }
    if rustix::fs::fstat(&lock)?.st_nlink == 0 {
        return Err(Errno::NOENT);
    }
    Ok((writer.into(), Some(lock)))
}

/// Sets the file's time. It is a courtesy of the holder: one that no file can have, or from the future, is left out.
pub(super) fn set_time(file: &File, modified: Option<UnixSeconds>) {
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
    if let Err(error) = rustix::fs::futimens(file, &times) {
        tracing::debug!(%error, "a stored document keeps the time of its download");
    }
}
