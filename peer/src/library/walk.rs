//! Which files of a folder are named like documents, and which folders they lie in. Looks at names and kinds only; no
//! file is opened.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use cap_std::fs::{Dir, DirEntry};
use p2p_ci::{document::DocumentKey, limits};
use rustix::fs::AtFlags;

use super::{
    identity::{FileIdentity, Kind},
    name::FileName,
    report::{SkipReason, Skipped},
};

/// Folders entered below each other: Debian's layout needs two (`old/historic/rfc1.txt.gz`). A home folder given by
/// mistake is not searched through.
const MAX_FOLDER_DEPTH: usize = 2;

/// Folders entered in all: Debian's layout has 20. Each one costs a watch, of which a user has a few thousand.
const MAX_FOLDERS: usize = 1_000;

/// Names looked at in all: ten times a folder with a hundred thousand foreign files.
const MAX_NAMES: usize = 1_000_000;

/// Files named like documents: every document that a peer may announce, plain, packed, linked and padded.
const MAX_CANDIDATES: usize = 4 * limits::MAX_SESSION_DOCUMENTS;

/// A file that is named like a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The path below the root.
    pub(super) path: PathBuf,
    /// What its name says.
    pub(super) name: FileName,
}

/// What orders the files that name one document: the shallower folder, then the folder's name, then
/// [`FileName::rank`], then the file's name.
pub(super) type Precedence<'a> = (usize, Option<&'a Path>, (bool, bool, bool), &'a Path);

impl Candidate {
    /// The file that a document is stored as.
    pub(super) fn own(key: DocumentKey) -> Self {
        Self {
            path: PathBuf::from(key.file_name()),
            name: FileName {
                key,
                compressed: false,
                padded: false,
                lower_case: true,
            },
        }
    }

    /// Orders the files that name one document: the least is shared.
    pub(super) fn precedence(&self) -> Precedence<'_> {
        (
            self.path.components().count(),
            self.path.parent(),
            self.name.rank(),
            &self.path,
        )
    }
}

/// A candidate that is a regular file of a bearable size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    /// The file.
    pub(super) candidate: Candidate,
    /// The file's identity; of a link, of what it leads to.
    pub(super) identity: FileIdentity,
    /// Whether the path itself is a link.
    pub(super) link: bool,
}

/// A folder that was looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// The path below the root; empty for the root itself.
    pub(super) path: PathBuf,
    /// Which folder it is, by device and inode.
    pub(super) file: (u64, u64),
}

/// What a walk through a folder found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Files named like documents.
    pub(super) sightings: Vec<Sighting>,
    /// Folders that were looked into.
    pub(super) folders: Vec<Folder>,
    /// What was left out.
    pub(super) skipped: Skipped,
    /// Whether there was more than may be looked at.
    pub(super) truncated: bool,
    names: usize,
}

/// Walks through the root and its folders. `None` when cancelled.
///
/// # Errors
///
/// Fails when the root itself cannot be listed. Whatever else cannot be looked into is counted.
pub(super) fn walk(root: &Dir, cancel: &AtomicBool) -> io::Result<Option<Walked>> {
    let mut walked = Walked::default();
    let mut queue = VecDeque::from([(PathBuf::new(), 0)]);
    while let Some((path, depth)) = queue.pop_front() {
        match walked.look_into(root, &path, cancel) {
            Ok(folders) if depth < MAX_FOLDER_DEPTH => {
                queue.extend(folders.into_iter().map(|folder| (folder, depth + 1)));
            }
            Ok(folders) => folders
                .iter()
                .for_each(|folder| walked.skipped.add(SkipReason::TooDeep, folder)),
            Err(error) if depth == 0 => return Err(error),
            Err(_) => walked.skipped.add(SkipReason::Unreadable, &path),
        }
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    Ok(Some(walked))
}

impl Walked {
    /// Looks into one folder and returns the folders therein, ascending.
    fn look_into(&mut self, root: &Dir, path: &Path, cancel: &AtomicBool) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        if self.folders.len() >= MAX_FOLDERS {
            self.truncated = true;
            self.skipped.add(SkipReason::TooDeep, path);
            return Ok(folders);
        }
        let folder = if path.as_os_str().is_empty() {
            root.try_clone()?
        } else {
            root.open_dir(path)?
        };
        let (_, identity) = FileIdentity::of_file(&folder)?;
        self.folders.push(Folder {
            path: path.to_owned(),
            file: identity.file(),
        });
        for entry in folder.entries()? {
            if cancel.load(Ordering::Relaxed) {
                break;
            }
            if self.names >= MAX_NAMES || self.sightings.len() >= MAX_CANDIDATES {
                self.truncated = true;
                break;
            }
            self.names += 1;
            self.look_at(root, &folder, path, &entry?, &mut folders);
        }
        folders.sort();
        Ok(folders)
    }

    fn look_at(&mut self, root: &Dir, folder: &Dir, parent: &Path, entry: &DirEntry, folders: &mut Vec<PathBuf>) {
        let name = entry.file_name();
        let path = parent.join(&name);
        let Some(name) = name.to_str() else {
            self.skipped.add(SkipReason::NotUtf8, &path);
            return;
        };
        if name.starts_with('.') {
            // The folder for unfinished downloads is this program's own, so it is no news to anybody.
            if name != super::target::PART_FOLDER {
                self.skipped.add(SkipReason::Hidden, &path);
            }
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(path);
            return;
        }
        let Some(file_name) = FileName::parse(name) else {
            self.skipped.add(SkipReason::OtherName, &path);
            return;
        };
        let candidate = Candidate { path, name: file_name };
        match sight(root, folder, name, candidate) {
            Ok(sighting) => self.sightings.push(sighting),
            Err((Some(reason), path)) => self.skipped.add(reason, &path),
            Err((None, _)) => {}
        }
    }
}

/// Why a candidate is none after all, and its path. `None` as reason: it vanished meanwhile.
type NoSighting = (Option<SkipReason>, PathBuf);

/// Looks at one candidate within its open folder.
fn sight(root: &Dir, folder: &Dir, name: &str, candidate: Candidate) -> Result<Sighting, NoSighting> {
    // A name without a slash cannot lead out of the open folder as long as links are not followed.
    let (kind, identity) = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => FileIdentity::of_stat(&stat),
        Err(error) => return Err((reason_of(&error.into()), candidate.path)),
    };
    finish_sighting(root, candidate, kind, identity)
}

/// Looks at one candidate anew, by its path below the root.
pub(super) fn sight_again(root: &Dir, candidate: Candidate) -> Result<Sighting, NoSighting> {
    match root.symlink_metadata(&candidate.path) {
        Ok(metadata) => {
            let (kind, identity) = FileIdentity::of_metadata(&metadata);
            finish_sighting(root, candidate, kind, identity)
        }
        Err(error) => Err((reason_of(&error), candidate.path)),
    }
}

fn finish_sighting(
    root: &Dir,
    candidate: Candidate,
    kind: Kind,
    identity: FileIdentity,
) -> Result<Sighting, NoSighting> {
    let link = kind == Kind::Link;
    let (kind, identity) = if link {
        match root.metadata(&candidate.path) {
            Ok(metadata) => FileIdentity::of_metadata(&metadata),
            Err(error) => {
                let reason = reason_of(&error).unwrap_or(SkipReason::BrokenLink);
                return Err((Some(reason), candidate.path));
            }
        }
    } else {
        (kind, identity)
    };
    match kind {
        Kind::File if identity.size > limits::MAX_DOCUMENT_BYTES => Err((Some(SkipReason::TooLarge), candidate.path)),
        Kind::File => Ok(Sighting {
            candidate,
            identity,
            link,
        }),
        Kind::Folder if link => Err((Some(SkipReason::FolderLink), candidate.path)),
        Kind::Folder | Kind::Link | Kind::Special => Err((Some(SkipReason::Special), candidate.path)),
    }
}

/// Why a path beneath the root cannot be looked at or opened; `None` when there is nothing at it.
pub(super) fn reason_of(error: &io::Error) -> Option<SkipReason> {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => None,
        // cap-std reports a path that would leave its folder as an error of its own, which has no number.
        (io::ErrorKind::PermissionDenied, None) => Some(SkipReason::OutsideLink),
        (_, Some(number)) if number == rustix::io::Errno::LOOP.raw_os_error() => Some(SkipReason::BrokenLink),
        _ => Some(SkipReason::Unreadable),
    }
}
