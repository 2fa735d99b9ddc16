//! The bytes of a document's file, opened beneath the root and unpacked where they are packed.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use flate2::read::MultiGzDecoder;
use p2p_ci::{
    digest::{Hasher, Sha256},
    limits,
};
use rustix::{
    buffer::spare_capacity,
    fs::OFlags,
    io::{Errno, retry_on_intr},
};

use super::{
    identity::{FileIdentity, Kind},
    report::SkipReason,
    walk::reason_of,
};

/// How many times its packed length a file may unpack to. Of 19,299 packed files of the series, the most is 12.7.
const MAX_UNPACK_RATIO: u64 = 20;

/// Bytes read at once while a file is hashed once more.
const BUFFER_BYTES: usize = 128 * 1024;

/// Why a path is not open.
#[derive(Debug)]
pub(super) enum OpenError {
    /// There is nothing at the path any more.
    Gone,
    /// What is there is not to be read.
    Refused(SkipReason, io::Error),
}

/// Opens a regular file beneath the root, following links that stay there. Never waits, whatever the path leads to: a
/// pipe without a writer opens at once and is then seen to be no regular file.
pub(super) fn open_file(root: &Dir, path: &Path) -> Result<(File, FileIdentity), OpenError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    // A network file system may let itself be interrupted.
    let opened = loop {
        match root.open_with(path, &options) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            opened => break opened,
        }
    };
    let file = match opened {
        Ok(file) => file.into_std(),
        Err(error) => {
            return Err(match reason_of(&error) {
                Some(reason) => OpenError::Refused(reason, error),
                None => OpenError::Gone,
            });
        }
    };
    match FileIdentity::of_file(&file) {
        Ok((Kind::File, identity)) => Ok((file, identity)),
        Ok(_) => Err(OpenError::Refused(
            SkipReason::Special,
            io::Error::other("not a regular file"),
        )),
        Err(error) => Err(OpenError::Refused(SkipReason::Unreadable, error)),
    }
}

/// Why the bytes of an open file cannot be had.
#[derive(Debug)]
pub enum ContentError {
    /// There are more of them than a document may have, or than a packed file may unpack to.
    TooLarge,
    /// The file is no sound gzip file.
    BadGzip,
    /// The operating system cannot read it.
    Io(io::Error),
}

/// A document's bytes, read from the start.
#[derive(Debug)]
pub struct Content {
    source: Source,
    left: u64,
}

#[derive(Debug)]
enum Source {
    Plain(File),
    Packed(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Content {
    /// The bytes of `file`, of which `stored_bytes` are stored.
    #[must_use]
    pub fn new(file: File, compressed: bool, stored_bytes: u64) -> Self {
        if compressed {
            let unpacked_bytes = stored_bytes.saturating_mul(MAX_UNPACK_RATIO);
            Self {
                source: Source::Packed(Box::new(MultiGzDecoder::new(BufReader::new(file)))),
                left: unpacked_bytes.min(limits::MAX_DOCUMENT_BYTES),
            }
        } else {
            Self {
                source: Source::Plain(file),
                left: limits::MAX_DOCUMENT_BYTES,
            }
        }
    }

    /// Fills `buffer` as far as there are bytes, and returns how many there were: fewer than it holds at the end only.
    ///
    /// # Errors
    ///
    /// Each [`ContentError`].
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ContentError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.classify(error)),
            }
        }
        self.count(filled)
    }

    /// The next `wanted` bytes, or fewer at the end only.
    pub(super) fn take(&mut self, wanted: usize) -> Result<Vec<u8>, ContentError> {
        let Source::Plain(file) = &self.source else {
            let mut bytes = vec![0; wanted];
            let filled = self.fill(&mut bytes)?;
            bytes.truncate(filled);
            return Ok(bytes);
        };
        // Read into memory that is not made zero first, which costs half as much as reading.
        let mut bytes = Vec::with_capacity(wanted);
        while bytes.len() < wanted {
            match rustix::io::read(file, spare_capacity(&mut bytes)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(ContentError::Io(error.into())),
            }
        }
        self.count(bytes.len())?;
        Ok(bytes)
    }

    fn count(&mut self, read: usize) -> Result<usize, ContentError> {
        let bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(bytes).ok_or(ContentError::TooLarge)?;
        Ok(read)
    }

    /// Passes over bytes without reading them. Packed files have to be unpacked from the start.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), ContentError> {
        match &mut self.source {
            Source::Plain(file) => {
                let forward = i64::try_from(bytes).unwrap_or(i64::MAX);
                file.seek(SeekFrom::Current(forward)).map_err(ContentError::Io)?;
            }
            Source::Packed(decoder) => {
                io::copy(&mut decoder.by_ref().take(bytes), &mut io::sink()).map_err(|_| ContentError::BadGzip)?;
            }
        }
        self.left = self.left.checked_sub(bytes).ok_or(ContentError::TooLarge)?;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Plain(file) => file.read(buffer),
            Source::Packed(decoder) => decoder.read(buffer),
        }
    }

    /// Tells what the operating system could not read from what the decoder could not understand: only the former
    /// has a number.
    fn classify(&self, error: io::Error) -> ContentError {
        match &self.source {
            Source::Packed(_) if error.raw_os_error().is_none() => ContentError::BadGzip,
            Source::Plain(_) | Source::Packed(_) => ContentError::Io(error),
        }
    }

    /// The file's identity as it is now.
    pub(super) fn identity(&self) -> io::Result<FileIdentity> {
        Ok(FileIdentity::of_file(self.file())?.1)
    }

    /// Whether the file has the bytes that it had when this was its identity. One that lost its name meanwhile, because
    /// another file took it, has them still, and only the time of its last change tells of it.
    pub(super) fn is_still(&self, identity: &FileIdentity) -> bool {
        let Ok(stat) = rustix::fs::fstat(self.file()) else {
            return false;
        };
        let (_, mut now) = FileIdentity::of_stat(&stat);
        if stat.st_nlink == 0 {
            now.changed_ns = identity.changed_ns;
        }
        now == *identity
    }

    /// Whether a file that is stored as it is has a digest, and is otherwise the one of that identity but for its names. Reads
    /// all of it.
    pub(super) fn has_digest(&self, identity: &FileIdentity, sha256: Sha256) -> bool {
        let is_it = |now: FileIdentity| now.is_but_for_names(identity);
        let Source::Plain(file) = &self.source else {
            return false;
        };
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = 0;
        while self.identity().is_ok_and(is_it) {
            match retry_on_intr(|| rustix::io::pread(file, &mut *buffer, at)) {
                Ok(0) => return hasher.finish() == sha256,
                Ok(count) => {
                    hasher.update(buffer.get(..count).unwrap_or_default());
                    at += u64::try_from(count).unwrap_or(u64::MAX);
                }
                Err(_) => return false,
            }
        }
        false
    }

    fn file(&self) -> &File {
        match &self.source {
            Source::Plain(file) => file,
            Source::Packed(decoder) => decoder.get_ref().get_ref(),
        }
    }
}
