//! Reading documents for others.

use std::fs;

use p2p_ci::limits::CHUNK_BYTES;
use peer::library::LibraryError;

use crate::support::{Folder, bytes, read, txt};

#[test]
fn every_length_is_read_from_every_offset() {
    let folder = Folder::new();
    let lengths = [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        2 * CHUNK_BYTES,
        1_593_486,
    ];
    for (number, length) in (1_u32..).zip(lengths) {
        folder.put(&format!("rfc{number}.txt"), &bytes(length));
    }
    let (library, _) = folder.open();
    for (number, length) in (1_u32..).zip(lengths) {
        let whole = bytes(length);
        let offsets = [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            length.saturating_sub(1),
            length,
        ];
        for offset in offsets.into_iter().filter(|offset| *offset <= length) {
            let rest = read(&library, txt(number), u64::try_from(offset).unwrap()).unwrap();
            assert!(rest == whole[offset..], "{length} bytes from {offset}");
        }
    }
}

#[test]
fn chunks_are_full_but_for_the_last_and_the_header_tells_the_whole() {
    let folder = Folder::new();
    folder.put("rfc1.txt", &bytes(2 * CHUNK_BYTES + 10));
    let (library, _) = folder.open();
    let mut reader = library.read(txt(1), 5).unwrap();
    let document = library.get(txt(1)).unwrap();
    assert_eq!(reader.header().id, document.id);
    assert_eq!(reader.header().size_bytes, document.size_bytes);
    assert_eq!(reader.header().modified, document.modified);
    let mut lengths = Vec::new();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        lengths.push(chunk.len());
    }
    assert_eq!(lengths, [CHUNK_BYTES, CHUNK_BYTES, 5]);
}

#[test]
fn an_offset_beyond_the_end_is_refused() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"12345");
    let (library, _) = folder.open();
    assert_eq!(read(&library, txt(1), 5).unwrap(), b"");
    for offset in [6, u64::MAX] {
        let error = library.read(txt(1), offset).unwrap_err();
        assert!(
            matches!(error, LibraryError::OffsetOutOfRange { size_bytes: 5, .. }),
            "{error}"
        );
        assert!(error.to_string().starts_with("RFC 1 has 5 bytes"), "{error}");
    }
    assert_eq!(read(&library, txt(1), 0).unwrap(), b"12345", "nothing happened to it");
}

#[test]
fn what_is_not_held_is_not_found() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"x");
    let (library, _) = folder.open();
    let error = library.read(txt(2), 0).unwrap_err();
    assert!(matches!(error, LibraryError::NotFound(key) if key == txt(2)));
    fs::remove_file(folder.path("rfc1.txt")).unwrap();
    let version = library.version();
    assert!(matches!(library.read(txt(1), 0), Err(LibraryError::NotFound(_))));
    assert!(
        library.snapshot().is_empty() && version.has_changed().unwrap(),
        "and withdrawn"
    );
}
