//! `add`: a file of the user becomes a shared document.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use flate2::read::MultiGzDecoder;
use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title, UnixSeconds},
    limits::MAX_DOCUMENT_BYTES,
    text::escaped,
};
use rustix::fs::{Mode, OFlags};

use crate::{
    error::PeerError,
    library::{FileName, Stored, Target},
};

/// What came of adding a file.
#[derive(Debug)]
pub(super) struct Added {
    /// The document.
    pub(super) document: Document,
    /// Where it lies in the shared folder.
    pub(super) path: PathBuf,
    /// Whether it lay there before.
    pub(super) was_there: bool,
}

/// Copies the file at `path` into `target`, as the RFC `number` or as what it is named after. Packed files are
/// unpacked. Blocks, as all reading does.
///
/// # Errors
///
/// [`PeerError::Usage`] when nothing tells the number, [`PeerError::Kept`] when a file of other bytes is there already,
/// and others when the file cannot be read or written.
pub(super) fn add(target: &Target, path: &Path, number: Option<RfcNumber>) -> Result<Added, PeerError> {
    let path = &expanded(path);
    let (key, compressed) = named(path, number)?;
    let reading = || PeerError::system(format!("cannot read {}", escaped(&path.to_string_lossy())));
    let (bytes, modified) = read(path, compressed).map_err(reading())?;
    let document = Document {
        id: DocumentId {
            key,
            sha256: Sha256::of(&bytes),
        },
        size_bytes: bytes.len() as u64,
        title: Title::default(),
        modified,
    };
    if let Some(existing) = target.existing(key)? {
        if existing.sha256 == document.id.sha256 {
            return Ok(Added {
                document,
                path: existing.path,
                was_there: true,
            });
        }
        let shown = escaped(&existing.path.to_string_lossy()).to_string();
        return Err(PeerError::Kept(format!(
            "{shown} is there with other bytes; move it away first"
        )));
    }
    let mut part = target.begin(document.id, document.size_bytes)?;
    part.write(&bytes)?;
    let Stored { path, was_there, .. } = part.commit(modified, false)?;
    Ok(Added {
        document,
        path,
        was_there,
    })
}

/// The path with the user's home folder for a leading `~/`, as people type it.
fn expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Which document a file is, and whether it is packed.
fn named(path: &Path, number: Option<RfcNumber>) -> Result<(DocumentKey, bool), PeerError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let told = FileName::parse(&name);
    match (number, told) {
        (None, Some(told)) => Ok((told.key, told.compressed)),
        (None, None) => Err(PeerError::Usage(format!(
            "\"{}\" is not named like an RFC (rfc9110.txt); say which one it is: add PATH N",
            escaped(&name)
        ))),
        (Some(number), _) => {
            let lower = name.to_ascii_lowercase();
            let (inner, compressed) = lower
                .strip_suffix(".gz")
                .map_or((lower.as_str(), false), |inner| (inner, true));
            let extension = Path::new(inner)
                .extension()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // A file without a known extension is taken for text, which most RFCs are.
            let format = extension.parse().unwrap_or(Format::Txt);
            Ok((DocumentKey { number, format }, compressed))
        }
    }
}

/// The bytes of a regular file, unpacked, and when it was last modified.
fn read(path: &Path, compressed: bool) -> io::Result<(Vec<u8>, Option<UnixSeconds>)> {
    // Opening a pipe would wait for its writer.
    let file = File::from(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let bytes = if compressed {
        read_bounded(MultiGzDecoder::new(file))?
    } else {
        read_bounded(file)?
    };
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .map(UnixSeconds);
    Ok((bytes, modified))
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_DOCUMENT_BYTES} bytes, which no document has"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::library::Durability;

    fn folders() -> (tempfile::TempDir, Target, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let target = Target::open(&shared, Durability::None).unwrap();
        (dir, target, shared)
    }

    #[test]
    fn a_file_is_copied_under_its_canonical_name() {
        let (dir, target, shared) = folders();
        let path = dir.path().join("RFC0791.TXT");
        fs::write(&path, b"a\0\xff\x1b").unwrap();
        let added = add(&target, &path, None).unwrap();
        assert_eq!(
            added.path.canonicalize().unwrap(),
            shared.join("rfc791.txt").canonicalize().unwrap()
        );
        assert_eq!(fs::read(shared.join("rfc791.txt")).unwrap(), b"a\0\xff\x1b");
        assert_eq!(added.document.id.sha256, Sha256::of(b"a\0\xff\x1b"));
        assert!(!added.was_there && add(&target, &path, None).unwrap().was_there);
        fs::write(&path, b"other").unwrap();
        assert!(matches!(add(&target, &path, None), Err(PeerError::Kept(_))));
        assert_eq!(fs::read(shared.join("rfc791.txt")).unwrap(), b"a\0\xff\x1b");
    }

    #[test]
    fn any_file_is_what_the_user_says() {
        let (dir, target, shared) = folders();
        let draft = dir.path().join("my draft.html");
        fs::write(&draft, b"<p>").unwrap();
        assert!(matches!(add(&target, &draft, None), Err(PeerError::Usage(_))));
        add(&target, &draft, RfcNumber::new(100_000)).unwrap();
        assert_eq!(fs::read(shared.join("rfc100000.html")).unwrap(), b"<p>");
        let plain = dir.path().join("notes");
        fs::write(&plain, b"").unwrap();
        assert_eq!(
            add(&target, &plain, RfcNumber::new(7))
                .unwrap()
                .document
                .id
                .key
                .file_name(),
            "rfc7.txt"
        );
    }

    #[test]
    fn packed_files_are_unpacked() {
        let (dir, target, shared) = folders();
        let path = dir.path().join("rfc1.txt.gz");
        let mut packer = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        packer.write_all(b"Host Software").unwrap();
        packer.finish().unwrap();
        add(&target, &path, None).unwrap();
        assert_eq!(fs::read(shared.join("rfc1.txt")).unwrap(), b"Host Software");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_told() {
        let (dir, target, shared) = folders();
        let fifo = dir.path().join("rfc2.txt");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(
            add(&target, &fifo, None)
                .unwrap_err()
                .to_string()
                .ends_with("it is no regular file")
        );
        let huge = dir.path().join("rfc3.txt");
        File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        assert!(
            add(&target, &huge, None)
                .unwrap_err()
                .to_string()
                .contains("no document has")
        );
        assert!(add(&target, &dir.path().join("rfc4.txt"), None).is_err());
        assert!(add(&target, dir.path(), RfcNumber::new(5)).is_err());
        let visible = fs::read_dir(&shared)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_file());
        assert_eq!(visible.count(), 0);
    }
}
