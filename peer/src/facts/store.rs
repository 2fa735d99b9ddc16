//! What was learnt of RFCs, kept for the next start and for when nobody can be asked.
//!
//! One file in the state folder: a header, then one zstd frame with a checksum, which holds the length and the bytes of each
//! RFC's facts as they go over the wire. One that is damaged, foreign or of another version is ignored and made anew.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use p2p_ci::{facts::Facts, wire};
use tempfile::NamedTempFile;

use super::SharedCatalogue;
use crate::limits::{MAX_FACTS, MAX_FACTS_BYTES};

/// The first bytes. The number changes with what follows.
const HEADER: &[u8] = b"p2p-ci facts 1\n";

/// The file's name in the state folder.
const NAME: &str = "facts.zst";

/// How hard the file is compressed: 12 MB become 3 in a tenth of a second.
const LEVEL: i32 = 3;

/// The file of this state folder.
#[must_use]
pub fn file_of(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// What was kept; nothing where nothing was, or where it cannot be read whole. Blocks.
#[must_use]
pub fn load(path: &Path) -> Vec<Facts> {
    match read(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::info!(%error, "what was learnt of RFCs cannot be used, and is learnt anew");
            Vec::new()
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<Facts>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut header = [0; HEADER.len()];
    file.read_exact(&mut header)?;
    if header != HEADER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is of another version"));
    }
    let mut unpacked = zstd::stream::read::Decoder::with_buffer(file)?.take(MAX_FACTS_BYTES);
    let mut all = Vec::new();
    let mut bytes = Vec::new();
    let mut length = [0; 4];
    loop {
        // The last read is one past the end, by which the checksum is checked.
        match unpacked.read(&mut length)? {
            0 => return Ok(all),
            part => unpacked.read_exact(length.get_mut(part..).unwrap_or_default())?,
        }
        let expected = u64::from(u32::from_be_bytes(length));
        bytes.clear();
        if all.len() >= MAX_FACTS || unpacked.by_ref().take(expected).read_to_end(&mut bytes)? as u64 != expected {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        all.push(wire::facts::decode(&bytes).map_err(io::Error::other)?);
    }
}

/// Keeps what is known, whole or not at all: a reader sees the old file or the new one. Blocks.
///
/// # Errors
///
/// When the folder for state cannot be made or written into.
pub fn save(path: &Path, catalogue: &SharedCatalogue) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut unfinished = NamedTempFile::new_in(folder)?;
    unfinished.write_all(HEADER)?;
    let mut packed = zstd::stream::write::Encoder::new(BufWriter::new(unfinished.as_file_mut()), LEVEL)?;
    packed.include_checksum(true)?;
    let mut room = MAX_FACTS_BYTES;
    for number in catalogue.look(|known| known.all_numbers()).into_iter().take(MAX_FACTS) {
        for facts in catalogue.get(&[number]) {
            let bytes = wire::facts::encode(&facts);
            // No more than is read again; the real ones take a quarter of it.
            let Some(left) = room.checked_sub(4 + bytes.len() as u64) else {
                break;
            };
            room = left;
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            packed.write_all(&length.to_be_bytes())?;
            packed.write_all(&bytes)?;
        }
    }
    packed.finish()?.flush()?;
    unfinished.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        document::{RfcNumber, Title, UnixSeconds},
        facts::{Issued, Source},
    };
    use tempfile::TempDir;

    use super::*;

    fn known() -> SharedCatalogue {
        let catalogue = SharedCatalogue::default();
        catalogue.learn((1..300).map(|value| Facts {
            number: RfcNumber::new(value).unwrap(),
            source: Source::Record,
            as_of: Some(UnixSeconds(i64::from(value))),
            issued: (value != 14).then(|| {
                Box::new(Issued {
                    title: Title::from_lossy(&format!("Title {value}")),
                    ..Issued::default()
                })
            }),
        }));
        catalogue
    }

    #[test]
    fn what_was_kept_is_found_again() {
        let dir = TempDir::new().unwrap();
        let file = file_of(&dir.path().join("new"));
        assert!(load(&file).is_empty());
        let catalogue = known();
        save(&file, &catalogue).unwrap();
        save(&file, &catalogue).unwrap();
        assert_eq!(load(&file), catalogue.look(|known| known.iter().collect::<Vec<_>>()));
        assert_eq!(
            fs::read_dir(file.parent().unwrap()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn what_is_damaged_is_ignored() {
        let dir = TempDir::new().unwrap();
        let file = file_of(dir.path());
        save(&file, &known()).unwrap();
        let whole = fs::read(&file).unwrap();
        for length in [0, 5, HEADER.len(), HEADER.len() + 3, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..length]).unwrap();
            assert!(load(&file).is_empty(), "cut off after {length}");
        }
        for at in (0..whole.len()).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x40;
            fs::write(&file, &flipped).unwrap();
            let loaded = load(&file);
            assert!(
                loaded.is_empty() || loaded == known().look(|known| known.iter().collect::<Vec<_>>()),
                "flipped at {at}"
            );
        }
    }
}
