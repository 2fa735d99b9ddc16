//! What has a name in a target, beside the documents that lie in it.

use std::{
    fs::File,
    io,
    path::{Component, Path},
};

use cap_std::fs::Dir;
use p2p_ci::digest::{Hasher, Sha256};
use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::{Errno, retry_on_intr},
};

use super::{
    error::StoreError,
    identity::{FileIdentity, Kind},
    original::Original,
    source::{Content, ContentError},
    target::{Target, TargetInner},
};

/// Bytes read at once while hashing.
const BUFFER_BYTES: usize = 128 * 1024;

/// A file under its name, as it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    file: (u64, u64),
    size_bytes: u64,
    modified_ns: i128,
}

impl Placed {
    /// What lies there now, if it is a file.
    pub(super) fn at(folder: &Dir, name: &str) -> Option<Self> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let (kind, identity) = FileIdentity::of_stat(&stat);
        (kind == Kind::File).then(|| Self::of(&identity))
    }

    /// Whether it is a document's file itself.
    pub(super) fn is(&self, original: &Original) -> bool {
        self.file == original.file()
    }

    /// Its names may come and go, which moves the time of its last change.
    fn of(identity: &FileIdentity) -> Self {
        Self {
            file: identity.file(),
            size_bytes: identity.size,
            modified_ns: identity.modified_ns,
        }
    }
}

/// What has a name.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file.
    File(FoundFile),
    /// Something that is not to be read.
    Other {
        /// What it is.
        what: &'static str,
        /// Whether a file can take its name.
        is_replaceable: bool,
    },
}

/// A file, open for reading.
#[derive(Debug)]
pub struct FoundFile {
    file: File,
    identity: FileIdentity,
}

impl FoundFile {
    /// Its length in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.identity.size
    }

    /// Whether it is a document's file itself.
    #[must_use]
    pub fn is(&self, original: &Original) -> bool {
        self.identity.file() == original.file()
    }

    /// The file as it is.
    #[must_use]
    pub fn placed(&self) -> Placed {
        Placed::of(&self.identity)
    }

    /// The digest of its bytes; where `is_packed`, of the unpacked ones.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no sound gzip file, or is longer than any document.
    pub fn digest(&self, is_packed: bool) -> io::Result<Sha256> {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; BUFFER_BYTES];
        if !is_packed {
            let mut at = 0;
            loop {
                let count = retry_on_intr(|| rustix::io::pread(&self.file, &mut *buffer, at))?;
                hasher.update(buffer.get(..count).unwrap_or_default());
                at += u64::try_from(count).unwrap_or(0);
                if count == 0 {
                    return Ok(hasher.finish());
                }
            }
        }
        let mut content = Content::new(self.file.try_clone()?, true, self.identity.size);
        loop {
            let count = content.fill(&mut buffer).map_err(|error| match error {
                ContentError::TooLarge | ContentError::BadGzip => io::ErrorKind::InvalidData.into(),
                ContentError::Io(error) => error,
            })?;
            hasher.update(buffer.get(..count).unwrap_or_default());
            if count < buffer.len() {
                return Ok(hasher.finish());
            }
        }
    }
}

impl Target {
    /// What has the name `path` below the target. Links are not followed, and nothing is waited for.
    ///
    /// # Errors
    ///
    /// [`StoreError::InTheWay`] when a folder on the way is none.
    pub fn find(&self, path: &Path) -> Result<Found, StoreError> {
        let Some((folder, name)) = self.inner.opened(path)? else {
            return Ok(Found::Nothing);
        };
        let other = |what, is_replaceable| Ok(Found::Other { what, is_replaceable });
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file: File = match retry_on_intr(|| rustix::fs::openat(&folder, &*name, flags, Mode::empty())) {
            Ok(file) => file.into(),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(Errno::LOOP) => return other("a link", true),
            Err(_) => return other("unreadable", true),
        };
        match FileIdentity::of_file(&file) {
            Ok((Kind::File, identity)) => Ok(Found::File(FoundFile { file, identity })),
            Ok((Kind::Folder, _)) => other("a folder", false),
            Ok(_) => other("no regular file", true),
            Err(_) => other("unreadable", true),
        }
    }

    /// Whether what was placed at `path` lies there still.
    #[must_use]
    pub fn has(&self, path: &Path, placed: &Placed) -> bool {
        let opened = self.inner.opened(path).ok().flatten();
        opened.is_some_and(|(folder, name)| Placed::at(&folder, &name).as_ref() == Some(placed))
    }

    /// Removes what was placed at `path`, unless something else lies there by now. Whether it did.
    #[must_use]
    pub fn remove(&self, path: &Path, placed: &Placed) -> bool {
        let Ok(Some((folder, name))) = self.inner.opened(path) else {
            return false;
        };
        Placed::at(&folder, &name).as_ref() == Some(placed)
            && rustix::fs::unlinkat(&folder, &*name, AtFlags::empty()).is_ok()
    }
}

impl TargetInner {
    /// The folder in which a path below the target lies, made if need be, and the name there.
    pub(super) fn folder_of(&self, path: &Path) -> Result<(Dir, String), StoreError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let mut made = std::path::PathBuf::new();
        for folder in parent.components() {
            made.push(folder);
            match self.dir.create_dir(&made) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOSPC) => return Err(self.no_space(0)),
                Err(error) => return Err(self.io_error("create", self.path.join(&made), error)),
            }
        }
        let opened = self.opened(path)?;
        let gone = || self.io_error("open", self.path.join(parent), io::ErrorKind::NotFound.into());
        opened.ok_or_else(gone)
    }

    /// The same, unless there is no such folder.
    fn opened(&self, path: &Path) -> Result<Option<(Dir, String)>, StoreError> {
        let name = match path.components().next_back() {
            Some(Component::Normal(name)) => name.to_str().map(str::to_owned),
            _ => None,
        };
        let not_below = || self.io_error("use", self.path.join(path), io::ErrorKind::InvalidInput.into());
        let name = name.ok_or_else(not_below)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let opened = match parent {
            Some(parent) => self.dir.open_dir(parent),
            None => self.dir.try_clone(),
        };
        match opened {
            Ok(folder) => Ok(Some((folder, name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let path = self.path.join(parent.unwrap_or(Path::new("")));
                if error.kind() == io::ErrorKind::NotADirectory {
                    let what = "no folder";
                    return Err(StoreError::InTheWay { path, what });
                }
                Err(self.io_error("open", path, error))
            }
        }
    }
}
