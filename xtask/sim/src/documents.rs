//! The documents of a simulation: each number has its bytes, so that wrong ones are recognised wherever they are.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use p2p_ci::document::{DocumentKey, Format, RfcNumber};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

/// Numbers that there are, from 1.
pub(crate) const NUMBERS: u32 = 24;

/// The longest document: three chunks, so that one can be cut off between them.
const MAX_BYTES: usize = 600 * 1024;

/// The usual ones, so that a simulation does not spend its time on copying.
const USUAL_BYTES: usize = 8 * 1024;

/// The key of a text.
pub(crate) fn key(number: u32) -> Option<DocumentKey> {
    let number = RfcNumber::new(number)?;
    Some(DocumentKey {
        number,
        format: Format::Txt,
    })
}

/// The bytes of a number. One in eight is long.
pub(crate) fn bytes(number: u32) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(number.into());
    let longest = if number.is_multiple_of(8) {
        MAX_BYTES
    } else {
        USUAL_BYTES
    };
    let mut bytes = format!("Request for Comments: {number}\n\n   Simulated Document {number}\n\n").into_bytes();
    let length = bytes.len() + rng.random_range(0..longest);
    bytes.resize(length, 0);
    if let Some(rest) = bytes.get_mut(64..) {
        rng.fill_bytes(rest);
    }
    bytes
}

/// When all files were written, in seconds from 1970: long ago. A new one is left alone until it has settled, by the clock
/// of the wall, which does not go by the simulation; and what is said of a document must be the same each time.
pub(crate) const WRITTEN: Duration = Duration::from_secs(1_000_000_000);

/// Puts a document into a folder.
pub(crate) fn put(folder: &Path, number: u32) -> io::Result<()> {
    let Some(key) = key(number) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let path = folder.join(key.file_name());
    fs::write(&path, bytes(number))?;
    fs::File::options()
        .write(true)
        .open(&path)?
        .set_modified(SystemTime::UNIX_EPOCH + WRITTEN)
}

/// The files of a folder that are visible, with their bytes.
pub(crate) fn files(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !name.starts_with('.') {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}
