//! Digests of earlier runs, so that a folder of nine thousand files is not read again at every start.
//!
//! The cache is a text file outside the shared folder: a header, a line for each file, and a last line with the digest
//! of all that precedes it. A cache that is damaged, foreign or of another version is ignored and made anew; it never
//! causes a failure.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use p2p_ci::{digest::Sha256, document::Title};

use super::{digest::Digested, identity::FileIdentity};

/// The first line. The number changes with the format, and with how titles are found.
const HEADER: &str = "p2p-ci digest cache 1";

/// What the last line starts with.
const TRAILER: &str = "sha256 ";

/// The largest cache that is read: several times a full one (40,000 lines of 250 bytes).
const MAX_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Digests by the identity of the file that they were taken of.
pub(super) type Digests = HashMap<FileIdentity, Digested>;

/// What a start finds in place of an earlier cache.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The digests of an earlier run.
    Known(Digests),
    /// There is no cache yet.
    Absent,
    /// There is one, but it cannot be used.
    Unusable,
}

/// The cache's file for the folder with this canonical path.
pub(super) fn file_of(state_dir: &Path, canonical_root: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Sha256::of(canonical_root.as_os_str().as_bytes()).to_string();
    state_dir.join(format!("digests-{}.cache", digest.get(..16).unwrap_or_default()))
}

/// Reads the cache.
pub(super) fn load(path: &Path) -> Loaded {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Absent,
        Err(_) => return Loaded::Unusable,
    };
    let mut bytes = Vec::new();
    let complete = file
        .take(MAX_CACHE_BYTES)
        .read_to_end(&mut bytes)
        .is_ok_and(|length| u64::try_from(length).is_ok_and(|length| length < MAX_CACHE_BYTES));
    match complete.then(|| String::from_utf8(bytes)) {
        Some(Ok(text)) => parse(&text).map_or(Loaded::Unusable, Loaded::Known),
        Some(Err(_)) | None => Loaded::Unusable,
    }
}

fn parse(text: &str) -> Option<Digests> {
    let body_end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (body, trailer) = text.split_at_checked(body_end)?;
    let digest: Sha256 = trailer.trim_end().strip_prefix(TRAILER)?.parse().ok()?;
    if digest != Sha256::of(body.as_bytes()) {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != HEADER {
        return None;
    }
    lines.map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(FileIdentity, Digested)> {
    let mut fields = line.splitn(8, ' ');
    let identity = FileIdentity {
        device: fields.next()?.parse().ok()?,
        inode: fields.next()?.parse().ok()?,
        size: fields.next()?.parse().ok()?,
        modified_ns: fields.next()?.parse().ok()?,
        changed_ns: fields.next()?.parse().ok()?,
    };
    let digested = Digested {
        sha256: fields.next()?.parse().ok()?,
        size_bytes: fields.next()?.parse().ok()?,
        title: Title::try_from(fields.next()?.to_owned()).ok()?,
        lasting: true,
    };
    Some((identity, digested))
}

/// Writes the cache, whole or not at all: a reader sees the old one or the new one.
///
/// # Errors
///
/// Fails when the folder for state cannot be made or written into. The next start is slower then, nothing else.
pub(super) fn save(path: &Path, digests: &Digests) -> io::Result<()> {
    let mut text = String::with_capacity(256 * digests.len());
    text.push_str(HEADER);
    text.push('\n');
    for (identity, digested) in digests.iter().filter(|(_, digested)| digested.lasting) {
        let FileIdentity {
            device,
            inode,
            size,
            modified_ns,
            changed_ns,
        } = identity;
        let Digested {
            sha256,
            size_bytes,
            title,
            ..
        } = digested;
        let title = title.as_str();
        writeln!(
            text,
            "{device} {inode} {size} {modified_ns} {changed_ns} {sha256} {size_bytes} {title}"
        )
        .map_err(io::Error::other)?;
    }
    let digest = Sha256::of(text.as_bytes());
    writeln!(text, "{TRAILER}{digest}").map_err(io::Error::other)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Two peers that share one folder may save at once. Each writes a file of its own making under this name; should
    // their steps mix, the digest in the last line tells the next start.
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(&unfinished, path)
}
