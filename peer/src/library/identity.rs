//! What tells that a file is still the one that was hashed.

use std::os::fd::AsFd;

use cap_std::fs::{Metadata, MetadataExt as _};
use p2p_ci::document::UnixSeconds;
use rustix::fs::{FileType, Stat};

/// Nanoseconds in a second.
pub(super) const NANOS: i128 = 1_000_000_000;

/// The identity of a file's bytes: while all of these stay the same, the bytes do too, as far as file systems can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileIdentity {
    /// The device that holds the file.
    pub(super) device: u64,
    /// The file's number on that device.
    pub(super) inode: u64,
    /// Length in bytes, as stored: of a packed file, packed.
    pub(super) size: u64,
    /// When the bytes were last modified, in nanoseconds since 1970.
    pub(super) modified_ns: i128,
    /// When the file was last changed in any way, in nanoseconds since 1970. No tool can set it back.
    pub(super) changed_ns: i128,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, itself.
    Link,
    /// A pipe, a socket or a device.
    Special,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Self::Special,
        }
    }
}

impl FileIdentity {
    /// Kind and identity out of what `fstat` says.
    pub(super) fn of_stat(stat: &Stat) -> (Kind, Self) {
        let identity = Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: i128::from(stat.st_mtime) * NANOS + i128::from(stat.st_mtime_nsec),
            changed_ns: i128::from(stat.st_ctime) * NANOS + i128::from(stat.st_ctime_nsec),
        };
        (FileType::from_raw_mode(stat.st_mode).into(), identity)
    }

    /// Kind and identity of an open file.
    pub(super) fn of_file(file: impl AsFd) -> std::io::Result<(Kind, Self)> {
        Ok(Self::of_stat(&rustix::fs::fstat(file)?))
    }

    /// Kind and identity out of what a look beneath a folder says.
    pub(super) fn of_metadata(metadata: &Metadata) -> (Kind, Self) {
        let identity = Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: i128::from(metadata.mtime()) * NANOS + i128::from(metadata.mtime_nsec()),
            changed_ns: i128::from(metadata.ctime()) * NANOS + i128::from(metadata.ctime_nsec()),
        };
        (FileType::from_raw_mode(metadata.mode()).into(), identity)
    }

    /// The file itself, whatever its bytes are now.
    pub(super) fn file(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether these differ at most in when the file was last changed in any way, as by another name or other permissions,
    /// or by somebody who sets the time back at which its bytes were modified.
    pub(super) fn is_but_for_names(&self, other: &Self) -> bool {
        let changed_ns = other.changed_ns;
        Self { changed_ns, ..*self } == *other
    }

    /// When the bytes were last modified.
    pub(super) fn modified(&self) -> UnixSeconds {
        UnixSeconds(i64::try_from(self.modified_ns.div_euclid(NANOS)).unwrap_or(i64::MAX))
    }
}
