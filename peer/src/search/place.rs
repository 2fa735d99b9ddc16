//! Where an index is, whether it is whole, and whose turn it is to write it.
//!
//! The folder `search-…` in the state folder holds the index itself in `index`, an empty file that whoever writes it has
//! locked, and a seal: the version, what the index was made of, and which files it had then, by name, length and time. Where
//! the files are others than the seal says, as after a process was killed that wrote, their checksums are looked at.

use std::{
    fmt::Write as _,
    fs::{self, File, TryLockError},
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use p2p_ci::digest::Sha256;
use tantivy::{Index, directory::MmapDirectory};

use super::{
    error::SearchError,
    schema::{self, Fields, VERSION},
};
use crate::state::{create_private, read_bounded};

/// The largest seal that is read; real ones have less than 200 bytes.
const MAX_SEAL_BYTES: u64 = 4096;

/// The file that names all others of an index.
const META: &str = "meta.json";

/// Digits of a folder's digest by which its index is named.
const NAME_DIGITS: usize = 16;

/// The place of one folder's index.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

/// The right to write an index, for as long as it lives.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

/// An index that can be searched.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) fields: Fields,
}

impl Place {
    /// The place in `state_dir` of the index of a folder, by its canonical path.
    #[must_use]
    pub fn of(state_dir: &Path, canonical_root: &Path) -> Self {
        let digest = Sha256::of(canonical_root.as_os_str().as_bytes()).to_string();
        let name = format!("search-{}", digest.get(..NAME_DIGITS).unwrap_or_default());
        Self {
            dir: state_dir.join(name),
        }
    }

    /// The folder of the index.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn index_dir(&self) -> PathBuf {
        self.dir.join("index")
    }

    fn seal_file(&self) -> PathBuf {
        self.dir.join("seal")
    }

    pub(super) fn unwritable(&self, source: io::Error) -> SearchError {
        SearchError::Unwritable {
            path: self.dir.clone(),
            source,
        }
    }

    /// Takes the turn to write, unless another process has it.
    ///
    /// # Errors
    ///
    /// [`SearchError::Unwritable`].
    pub(super) fn take_turn(&self) -> Result<Option<Turn>, SearchError> {
        create_private(&self.dir).map_err(|error| self.unwritable(error))?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("lock"))
            .map_err(|error| self.unwritable(error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Turn { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.unwritable(error)),
        }
    }

    /// Opens the index as it is.
    ///
    /// # Errors
    ///
    /// [`SearchError::BeingMade`] where there is none yet, [`SearchError::Unusable`].
    pub(super) fn open(&self) -> Result<Opened, SearchError> {
        if !self.index_dir().join(META).exists() {
            return Err(SearchError::BeingMade);
        }
        let index = Index::open_in_dir(self.index_dir())?;
        let (expected, fields) = schema::schema();
        if index.schema() != expected {
            return Err(SearchError::unusable("it is of another version"));
        }
        schema::prepare(&index);
        Ok(Opened { index, fields })
    }

    /// Opens the index for whoever has the turn to write it, or makes an empty one. Returns whether one that was there could
    /// not be used and is gone.
    ///
    /// # Errors
    ///
    /// [`SearchError::Unwritable`], [`SearchError::Unusable`] where even a new one is.
    pub(super) fn open_or_make(&self, _turn: &Turn) -> Result<(Opened, bool), SearchError> {
        let is_there = self.index_dir().exists();
        if is_there
            && let Ok(opened) = self.open()
            && self.is_whole(&opened.index)
        {
            return Ok((opened, false));
        }
        let removed = match fs::remove_dir_all(self.index_dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => fs::remove_file(self.index_dir()),
            Ok(()) | Err(_) => Ok(()),
        };
        removed.map_err(|error| self.unwritable(error))?;
        // What is made now is sealed once it is complete.
        let _ = fs::remove_file(self.seal_file());
        create_private(&self.index_dir()).map_err(|error| self.unwritable(error))?;
        let directory = MmapDirectory::open(self.index_dir()).map_err(SearchError::unusable)?;
        let (schema, fields) = schema::schema();
        let index = Index::create(directory, schema, tantivy::IndexSettings::default())?;
        schema::prepare(&index);
        Ok((Opened { index, fields }, is_there))
    }

    /// Has the next update make the index anew, as it turned out to be damaged.
    ///
    /// # Errors
    ///
    /// [`SearchError::Unwritable`], [`SearchError::BeingMade`] where another process writes it.
    pub fn discard(&self) -> Result<(), SearchError> {
        let _turn = self.take_turn()?.ok_or(SearchError::BeingMade)?;
        // Without this one, it is no index.
        match fs::remove_file(self.index_dir().join(META)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unwritable(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether the files of an index are as they were written.
    fn is_whole(&self, index: &Index) -> bool {
        self.sealed().is_some() || index.validate_checksum().is_ok_and(|damaged| damaged.is_empty())
    }

    /// What the index was made of when it was last complete, if its files are as they were then.
    pub(super) fn sealed(&self) -> Option<Sha256> {
        let seal = self.seal()?;
        let files = self.files().ok()?;
        (files == seal.files).then_some(seal.made_of)
    }

    /// Says what the index is made of, now that it is complete.
    pub(super) fn set_seal(&self, made_of: Sha256) -> io::Result<()> {
        let unfinished = self.dir.join("seal.new");
        let text = format!("{}\n{made_of}\n{}\n", header(), self.files()?);
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, self.seal_file())
    }

    fn seal(&self) -> Option<Seal> {
        let text = String::from_utf8(read_bounded(&self.seal_file(), MAX_SEAL_BYTES).ok()?).ok()?;
        let mut lines = text.lines();
        (lines.next()? == header()).then_some(())?;
        Some(Seal {
            made_of: lines.next()?.parse().ok()?,
            files: lines.next()?.parse().ok()?,
        })
    }

    /// The digest of the names, lengths and times of the files of the index.
    fn files(&self) -> io::Result<Sha256> {
        let mut told = Vec::new();
        for file in fs::read_dir(self.index_dir())? {
            let file = file?;
            let name = file.file_name();
            // Locks and lists of what may be removed.
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            let data = file.metadata()?;
            told.push((name, data.ino(), data.len(), data.mtime(), data.mtime_nsec()));
        }
        told.sort();
        let mut text = String::new();
        for file in told {
            writeln!(text, "{file:?}").map_err(io::Error::other)?;
        }
        Ok(Sha256::of(text.as_bytes()))
    }
}

/// The first line of a seal.
fn header() -> String {
    format!("p2p-ci search index {VERSION}")
}

struct Seal {
    made_of: Sha256,
    files: Sha256,
}
