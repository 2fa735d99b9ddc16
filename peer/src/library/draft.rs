//! Files of a target that are no documents of its own: written aside, and then named whatever tools look for.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use cap_std::fs::Dir;
use p2p_ci::{
    digest::{Hasher, Sha256},
    document::UnixSeconds,
};
use rustix::{
    fs::{AtFlags, CWD},
    io::Errno,
};

use super::{
    error::StoreError,
    original::Original,
    part,
    place::Placed,
    sweep::DRAFT_NAME,
    target::{Durability, Target, TargetInner},
};

/// A file that has no name yet. Dropping it without [`commit`](Self::commit) removes it.
#[derive(Debug)]
pub struct Draft {
    writer: File,
    hasher: Hasher,
    written: u64,
    aside: Aside,
}

/// A file in the folder for unfinished ones.
#[derive(Debug)]
struct Aside {
    target: Arc<TargetInner>,
    part_dir: Arc<Dir>,
    name: String,
    /// Locked, so that nobody sweeps the file.
    _lock: Option<OwnedFd>,
    is_placed: bool,
}

impl Target {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// When no file can be made.
    pub fn draft(&self) -> Result<Draft, StoreError> {
        let (aside, writer) = Aside::make(&self.inner, |part_dir, name| {
            let (writer, lock) = part::create(part_dir, name, true)?;
            Ok((writer, lock))
        })?;
        Ok(Draft {
            writer,
            hasher: Hasher::default(),
            written: 0,
            aside,
        })
    }

    /// The error for bytes that could not be written to a file that was to be `path` below the target.
    #[must_use]
    pub fn failed(&self, path: &Path, error: io::Error) -> StoreError {
        self.inner.failed("write", path, error)
    }

    /// Gives a document's file another name, `path` below the target; with `replace`, instead of what has it. `None` where
    /// the system does not allow that, so that a copy has to do.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] when something has that name and is not to be replaced; others when a folder on the way
    /// cannot be made.
    pub fn link(&self, original: &Original, path: &Path, replace: bool) -> Result<Option<Placed>, StoreError> {
        let (folder, name) = self.inner.folder_of(path)?;
        let linked = original.named(|itself| match replace {
            true => self.link_over(itself, &folder, &name),
            false => link(itself, &folder, &name),
        });
        match linked {
            Ok(()) => {
                self.inner.unsynced.store(true, Ordering::Release);
                Ok(Placed::at(&folder, &name))
            }
            Err(Errno::EXIST) => Err(StoreError::Exists(self.path().join(path))),
            Err(Errno::NOSPC | Errno::DQUOT) => Err(self.inner.no_space(0)),
            Err(error) => {
                // Somebody wrote to the file while it got this name.
                let is_it = || Placed::at(&folder, &name).is_some_and(|placed| placed.is(original));
                if error == Errno::AGAIN && !replace && is_it() {
                    let _stays = rustix::fs::unlinkat(&folder, &name, AtFlags::empty());
                }
                Ok(None)
            }
        }
    }

    /// Gives a file a name aside first, and then renames that: a name is never absent in between.
    fn link_over(&self, itself: &str, folder: &Dir, name: &str) -> Result<(), Errno> {
        let made = Aside::make(&self.inner, |part_dir, aside| {
            link(itself, part_dir, aside)?;
            Ok(((), None))
        });
        // What no name can be found for is copied.
        let (mut aside, ()) = made.map_err(|_| Errno::XDEV)?;
        part::rename(&aside.part_dir, &aside.name, folder, name, true)?;
        // Renaming one name of a file to another one of it does nothing, and says nothing.
        aside.is_placed = rustix::fs::statat(&*aside.part_dir, &*aside.name, AtFlags::SYMLINK_NOFOLLOW).is_err();
        Ok(())
    }
}

/// Gives the file that a link leads to another name.
fn link(itself: &str, folder: &Dir, name: &str) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, itself, folder, name, AtFlags::SYMLINK_FOLLOW)
}

impl Aside {
    /// Makes a file of a name that nothing has, and returns what `make` made.
    fn make<T>(
        target: &Arc<TargetInner>,
        make: impl FnMut(&Dir, &str) -> Result<(T, Option<OwnedFd>), Errno>,
    ) -> Result<(Self, T), StoreError> {
        let (part_dir, name, (made, lock)) = part::make_aside(target, DRAFT_NAME, 0, make)?;
        let aside = Self {
            target: Arc::clone(target),
            part_dir,
            name,
            _lock: lock,
            is_placed: false,
        };
        Ok((aside, made))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.written += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Draft {
    /// Bytes that were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The digest of what was written.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// Makes the file, to which nothing was written, a clone of a document's.
    ///
    /// # Errors
    ///
    /// Those of `FICLONE`: few file systems know it, and none between two of them. [`Errno::AGAIN`] when the document's file
    /// was changed meanwhile.
    pub fn clone_of(&self, original: &Original) -> Result<(), Errno> {
        original.clone_into(&self.writer)
    }

    /// Gives the file its name, `path` below the target, and the time `modified` unless that lies in the future. With
    /// `replace`, what has that name is replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] when something has that name and is not to be replaced; in this and all other cases nothing
    /// is left behind.
    pub fn commit(self, path: &Path, modified: Option<UnixSeconds>, replace: bool) -> Result<Placed, StoreError> {
        let Self { writer, mut aside, .. } = self;
        part::set_time(&writer, modified);
        let target = Arc::clone(&aside.target);
        if target.durability == Durability::File {
            let synced = writer.sync_all();
            synced.map_err(|error| target.failed("force to the disk", path, error))?;
        }
        drop(writer);
        let (folder, name) = target.folder_of(path)?;
        match part::rename(&aside.part_dir, &aside.name, &folder, &name, replace) {
            Ok(()) => aside.is_placed = true,
            Err(Errno::EXIST) => return Err(StoreError::Exists(target.path.join(path))),
            Err(Errno::ISDIR | Errno::NOTEMPTY) => {
                let path = target.path.join(path);
                return Err(StoreError::InTheWay { path, what: "a folder" });
            }
            Err(error) => return Err(target.failed("store", path, error.into())),
        }
        target.unsynced.store(true, Ordering::Release);
        let gone = || target.failed("find", path, io::ErrorKind::NotFound.into());
        Placed::at(&folder, &name).ok_or_else(gone)
    }
}

impl TargetInner {
    fn failed(&self, action: &'static str, path: &Path, error: io::Error) -> StoreError {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::DQUOT) => self.no_space(0),
            Some(_) | None => self.io_error(action, self.path.join(path), error),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_placed {
            // What cannot be removed is unlocked from here on, and swept by the next start.
            let _stays = rustix::fs::unlinkat(&*self.part_dir, &self.name, AtFlags::empty());
        }
    }
}
