//! What earlier runs have put into a target, so that files that change (indexes, records, sets) can be told from those of
//! somebody else.
//!
//! It lies in the state folder, as a list like that of `sha256sum`, and may be forgotten: then whatever has other bytes than
//! it should is left alone.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use p2p_ci::digest::Sha256;

use crate::state::{create_private, read_bounded};

/// The largest record that is read: a hundred thousand files have 10 MB.
const MAX_RECORD_BYTES: u64 = 64 * 1024 * 1024;

/// Digits of the digest by which targets are told apart.
const TARGET_DIGITS: usize = 16;

/// What lies between a digest and a path, as in the lists of `sha256sum`.
const GAP: &str = "  ";

/// The digests of files that this program has put into a target.
#[derive(Debug)]
pub struct Record {
    file: PathBuf,
    digests: HashMap<String, Sha256>,
    is_changed: bool,
}

impl Record {
    /// What was put into the folder of that canonical path.
    #[must_use]
    pub fn of(state_dir: &Path, target: &Path) -> Self {
        let digest = Sha256::of(target.as_os_str().as_bytes()).to_string();
        let name = digest.get(..TARGET_DIGITS).unwrap_or_default();
        let file = state_dir.join(format!("export-{name}.sha256"));
        let bytes = read_bounded(&file, MAX_RECORD_BYTES).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let digests = text.lines().filter_map(|line| {
            let (digest, path) = line.split_once(GAP)?;
            Some((path.to_owned(), digest.parse().ok()?))
        });
        Self {
            file,
            digests: digests.collect(),
            is_changed: false,
        }
    }

    /// Whether a file with these bytes was put there.
    #[must_use]
    pub fn is_ours(&self, path: &str, sha256: Sha256) -> bool {
        self.digests.get(path) == Some(&sha256)
    }

    /// Whether a file was put there, whatever its bytes are now.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        self.digests.contains_key(path)
    }

    /// Takes note of a file.
    pub fn put(&mut self, path: &str, sha256: Sha256) {
        self.is_changed |= self.digests.insert(path.to_owned(), sha256) != Some(sha256);
    }

    /// Forgets a file that is gone.
    pub fn forget(&mut self, path: &str) {
        self.is_changed |= self.digests.remove(path).is_some();
    }

    /// Writes it down, if it is another one than before.
    ///
    /// # Errors
    ///
    /// When the state folder cannot be written to.
    pub fn save(&mut self) -> io::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        let mut paths: Vec<&String> = self.digests.keys().collect();
        paths.sort_unstable();
        let mut text = String::new();
        for path in paths {
            if let Some(digest) = self.digests.get(path) {
                writeln!(text, "{digest}{GAP}{path}").map_err(io::Error::other)?;
            }
        }
        create_private(self.file.parent().unwrap_or(Path::new("")))?;
        // Two exports into one target may end at once: each writes a file of its own.
        let temporary = self.file.with_extension(format!("{:016x}.new", rand::random::<u64>()));
        let written = write(&temporary, text.as_bytes()).and_then(|()| fs::rename(&temporary, &self.file));
        if written.is_err() {
            let _stays = fs::remove_file(&temporary);
        }
        written?;
        self.is_changed = false;
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut File::create_new(path)?, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_known_to_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let (state, target) = (dir.path().join("a/state"), Path::new("/target"));
        let (one, other) = (Sha256::of(b"1"), Sha256::of(b"2"));
        let mut record = Record::of(&state, target);
        assert!(!record.is_ours("rfc-index.txt", one));
        record.save().unwrap();
        assert!(!state.exists(), "nothing to say");
        record.put("rfc-index.txt", one);
        record.put("in-notes/rfc-index.txt", one);
        record.put("in-notes/rfc-index.txt", other);
        record.forget("gone");
        record.save().unwrap();
        let mut record = Record::of(&state, target);
        record.put("rfc-index.txt", other);
        record.save().unwrap();
        assert!(
            Record::of(&state, target).is_ours("rfc-index.txt", other),
            "another one by now"
        );
        record.put("rfc-index.txt", one);
        record.save().unwrap();
        let record = Record::of(&state, target);
        assert!(record.is_ours("rfc-index.txt", one) && !record.is_ours("rfc-index.txt", other));
        assert!(record.is_ours("in-notes/rfc-index.txt", other));
        assert!(!Record::of(&state, Path::new("/other")).is_ours("rfc-index.txt", one));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing else is left");
        fs::write(&record.file, b"\xff\x00 rfc-index.txt\nabc  rfc-index.txt\n").unwrap();
        assert!(
            !Record::of(&state, target).is_ours("rfc-index.txt", one),
            "no sense, no trouble"
        );
    }
}
