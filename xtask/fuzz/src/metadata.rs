//! What files tell about themselves: titles, packed bytes, digests of earlier runs, and what a peer tells of itself.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
};

use flate2::read::MultiGzDecoder;
use p2p_ci::{
    digest::Sha256,
    document::{Format, Title},
    limits::MAX_DOCUMENT_BYTES,
};
use peer::{
    library::{
        Library,
        source::{Content, ContentError},
        title,
    },
    state::PeerState,
};
use tempfile::{TempDir, tempfile};

use crate::{input, plain::assert_folded_title};

/// How many times its packed length a file may unpack to.
const MOST_RATIO: u64 = 20;

pub(crate) fn run(data: &[u8]) {
    let (choice, bytes) = input::choice(data, 6);
    match choice {
        0 | 1 => text(bytes),
        2 => record(bytes),
        3 => packed(bytes),
        4 => digests(bytes),
        _ => state(bytes),
    }
}

/// A text tells a title, or none; a longer text tells the same, as only its first page is looked at.
fn text(bytes: &[u8]) {
    let head = &bytes[..bytes.len().min(title::head_bytes(Format::Txt))];
    let told = title::of_file(Format::Txt, head, bytes.len() as u64);
    assert_folded_title(told.as_str());
    let with_mark = [b"\xef\xbb\xbf", head].concat();
    if !head.starts_with(b"\xef\xbb\xbf") {
        assert_eq!(
            title::of_file(Format::Txt, &with_mark, 0),
            told,
            "a byte order mark is no text"
        );
    }
    for format in [Format::Html, Format::Pdf, Format::Xml] {
        assert_eq!(title::of_file(format, head, head.len() as u64), Title::default());
    }
}

/// A metadata record tells what its `title` is, if it is one string.
fn record(bytes: &[u8]) {
    let told = title::of_file(Format::Json, bytes, bytes.len() as u64);
    assert_folded_title(told.as_str());
    assert_eq!(
        title::of_file(Format::Json, bytes, bytes.len() as u64 + 1),
        Title::default(),
        "it is not whole"
    );
    let wanted = match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(serde_json::Value::Object(record)) => record
            .get("title")
            .and_then(|title| title.as_str().map(Title::from_lossy)),
        Ok(_) => None,
        // What is nested deeper than that is passed over where it is not asked for.
        Err(_) => return,
    };
    // A repeated field is no title, but one of them to the general reader.
    let is_repeated = bytes
        .windows(5)
        .filter(|window| *window == b"title" || window.contains(&b'\\'))
        .count()
        > 1;
    if !is_repeated {
        assert_eq!(told, wanted.unwrap_or_default());
    }
}

/// A packed file is the bytes that were packed, as long as they are not too many.
fn packed(bytes: &[u8]) {
    let mut file = tempfile().expect("a file in memory");
    file.write_all(bytes)
        .and_then(|()| file.rewind())
        .expect("a file in memory");
    let most = MAX_DOCUMENT_BYTES.min(MOST_RATIO * bytes.len() as u64);
    let mut wanted = Vec::new();
    let unpacked = MultiGzDecoder::new(bytes).take(most + 1).read_to_end(&mut wanted);
    match (read(file, bytes.len() as u64), unpacked) {
        (Ok(told), Ok(_)) => assert_eq!(told, wanted),
        (Err(ContentError::TooLarge), _) => assert!(wanted.len() as u64 > most, "it is not too large"),
        (Err(ContentError::BadGzip), unpacked) => {
            assert!(unpacked.is_err() || wanted.len() as u64 > most, "it is sound");
        }
        (Err(ContentError::Io(error)), _) => panic!("a file in memory: {error}"),
        (Ok(told), Err(error)) => panic!("{} bytes, although: {error}", told.len()),
    }
}

fn read(file: File, stored_bytes: u64) -> Result<Vec<u8>, ContentError> {
    let mut content = Content::new(file, true, stored_bytes);
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = content.fill(&mut buffer)?;
        all.extend_from_slice(&buffer[..count]);
        if count < buffer.len() {
            return Ok(all);
        }
    }
}

/// Digests of earlier runs that are damaged are told once, and made anew.
fn digests(bytes: &[u8]) {
    let (is_sealed, bytes) = input::choice(bytes, 2);
    let mut text = bytes.to_vec();
    if is_sealed == 1 {
        text = [b"p2p-ci digest cache 1\n", bytes, b"\n"].concat();
        let digest = Sha256::of(&text);
        text.extend(format!("sha256 {digest}\n").bytes());
    }
    let folder = TempDir::new().expect("a folder");
    let (shared, state) = (folder.path().join("shared"), folder.path().join("state"));
    for folder in [&shared, &state] {
        fs::create_dir(folder).expect("a folder");
    }
    let canonical = shared.canonicalize().expect("a folder");
    let digest = Sha256::of(canonical.as_os_str().as_encoded_bytes()).to_string();
    fs::write(state.join(format!("digests-{}.cache", &digest[..16])), text).expect("a file");
    let warnings = || {
        let (library, report) = Library::open(&shared, &state, &|_| {}).expect("the folder is there");
        assert!(library.snapshot().is_empty(), "digests alone are no documents");
        report.warnings.len()
    };
    let first = warnings();
    assert!(first <= 1 && (is_sealed == 1 || first == 1));
    assert_eq!(warnings(), 0, "it was made anew");
}

/// What a peer tells of itself is written as it is read.
fn state(bytes: &[u8]) {
    let Ok(state) = serde_json::from_slice::<PeerState>(bytes) else {
        return;
    };
    let local = state.local_address();
    assert!(!local.ip().is_unspecified());
    assert_eq!(local.port(), state.address.port());
    let written = serde_json::to_vec(&state).expect("it can be written");
    assert_eq!(serde_json::from_slice::<PeerState>(&written).ok(), Some(state));
}
