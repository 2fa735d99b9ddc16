//! What can go wrong with folders and files, told with the path and what to do, in at most 300 bytes.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use p2p_ci::{digest::Sha256, document::DocumentKey, limits, text::escaped};
use rustix::io::Errno;

/// Bytes of a path in a message. Two paths and a sentence fit [`limits::MAX_ERROR_MESSAGE_BYTES`].
const SHOWN_PATH_BYTES: usize = 90;

/// Bytes of the operating system's own words in a message.
const SHOWN_CAUSE_BYTES: usize = 70;

/// Why a library cannot be opened, read or watched.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The folder does not exist.
    #[error("the folder {} does not exist; create it, or name another one", shown(.0))]
    Missing(PathBuf),
    /// The path leads to something else than a folder.
    #[error("{} is no folder; name the folder that holds the RFCs", shown(.0))]
    NotAFolder(PathBuf),
    /// The folder cannot be looked into.
    #[error("cannot read the folder {}: {}; {}", shown(.path), cause(.source), remedy(.source))]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The caller no longer wants the folder.
    #[error("reading {} was cancelled; start it again to share the folder", shown(.0))]
    Cancelled(PathBuf),
    /// The library holds no such document.
    #[error("this peer does not hold {0}")]
    NotFound(DocumentKey),
    /// The file no longer has the bytes that were announced.
    #[error("the file of {0} no longer has the bytes that were announced; ask again in a moment, or another holder")]
    Changed(DocumentKey),
    /// A reader asked to start beyond the end.
    #[error("{key} has {size_bytes} bytes, so no byte {offset} to start at; ask from an offset within the document")]
    OffsetOutOfRange {
        /// The document.
        key: DocumentKey,
        /// Where reading was to start.
        offset: u64,
        /// The document's length.
        size_bytes: u64,
    },
    /// The file's bytes cannot be read. The message names no path, as it goes to other peers.
    #[error("the bytes of {key} cannot be read: {}; ask another holder", cause(.source))]
    Read {
        /// The document.
        key: DocumentKey,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file that was to be taken note of is not there, or is another one.
    #[error("{} is not the file that was just stored; look at the folder again", shown(.0))]
    NotAdopted(PathBuf),
    /// No thread could be started.
    #[error("cannot start a thread to watch {}: {}; raise the limit on processes", shown(.path), cause(.source))]
    Thread {
        /// The folder that was to be watched.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// What helps where a folder cannot be read.
fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit of open files (ulimit -n)",
        _ => "check its permissions",
    }
}

/// Why a document cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder that is to hold the target does not exist.
    #[error("cannot create {}: its parent folder does not exist; create that first, or choose another folder", shown(.0))]
    NoParent(PathBuf),
    /// The target is something else than a folder.
    #[error("{} is no folder; choose a folder to store RFCs in", shown(.0))]
    NotAFolder(PathBuf),
    /// Nothing may be written into the target.
    #[error("cannot write into {}: {}; choose another folder or change its permissions", shown(.path), cause(.source))]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The name of the folder for unfinished files is taken by something else, or it lies on another file system.
    #[error(
        "{} is in the way: it should be a folder for unfinished downloads on the same file system; move it away",
        shown(.0)
    )]
    PartFolder(PathBuf),
    /// The document does not fit.
    #[error(
        "no space left in {}: {needed_bytes} bytes needed, {free_bytes} free; free some space or choose another folder",
        shown(.path)
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes of the document and of the reserve that is kept free.
        needed_bytes: u64,
        /// Bytes that were free.
        free_bytes: u64,
    },
    /// The file system has room for bytes, but for no more files.
    #[error(
        "no more files fit into {}: its file system has no inodes left; remove some files or choose another folder",
        shown(.0)
    )]
    NoFiles(PathBuf),
    /// The document is larger than any may be.
    #[error(
        "{key} is said to have {size_bytes} bytes; no document has more than {max}",
        max = limits::MAX_DOCUMENT_BYTES
    )]
    TooLarge {
        /// The document.
        key: DocumentKey,
        /// Its announced length.
        size_bytes: u64,
    },
    /// The bytes that arrived are not the document.
    #[error("the bytes of {key} are not what was announced: {problem}; try another holder")]
    Integrity {
        /// The document.
        key: DocumentKey,
        /// In what they differ.
        problem: IntegrityProblem,
    },
    /// There is a file of that name with other bytes already, and it was not to be replaced.
    #[error("{} exists with other bytes and was left as it is; --force replaces it", shown(.0))]
    Exists(PathBuf),
    /// Something that is no readable regular file has the document's name.
    #[error("{} is in the way: {what}; move it away", shown(.path))]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The operating system refused a step.
    #[error("cannot {action} {}: {}; check the disk and the folder's permissions", shown(.path), cause(.source))]
    Io {
        /// The step, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// In what received bytes differ from what was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrityProblem {
    /// There are fewer or more of them.
    Length {
        /// The announced length in bytes.
        expected: u64,
        /// The length that arrived, or would have.
        actual: u64,
    },
    /// Their digest is another one.
    Digest {
        /// The announced digest.
        expected: Sha256,
        /// The digest of what arrived.
        actual: Sha256,
    },
}

impl fmt::Display for IntegrityProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, actual } => write!(f, "{actual} bytes instead of {expected}"),
            Self::Digest { expected, actual } => {
                write!(f, "SHA-256 {} instead of {}", actual.fmt_short(), expected.fmt_short())
            }
        }
    }
}

/// A path as messages show it: escaped, and only its end when it is long.
pub(super) fn shown(path: &Path) -> String {
    let text = escaped(&path.to_string_lossy()).to_string();
    if text.len() <= SHOWN_PATH_BYTES {
        return text;
    }
    let mut start = text.len() - (SHOWN_PATH_BYTES - '…'.len_utf8());
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("…{}", text.get(start..).unwrap_or_default())
}

/// An error of the operating system as messages show it.
fn cause(source: &io::Error) -> String {
    let mut text = escaped(&source.to_string()).to_string();
    let mut end = text.len().min(SHOWN_CAUSE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
