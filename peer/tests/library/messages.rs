//! What people are told when something goes wrong: short, clean, with the path and with advice.

use std::{io, path::Path};

use p2p_ci::{digest::Sha256, limits::MAX_ERROR_MESSAGE_BYTES};
use peer::library::{IntegrityProblem, LibraryError, StoreError};

use crate::support::txt;

fn errors(path: &Path, words: &str) -> Vec<Box<dyn std::error::Error>> {
    let path = || path.to_path_buf();
    let source = || io::Error::other(words.to_owned());
    let key = txt(u32::MAX);
    let problem = IntegrityProblem::Length {
        expected: u64::MAX,
        actual: u64::MAX,
    };
    let digests = IntegrityProblem::Digest {
        expected: Sha256::of(b"a"),
        actual: Sha256::of(b"b"),
    };
    vec![
        Box::new(LibraryError::Missing(path())),
        Box::new(LibraryError::NotAFolder(path())),
        Box::new(LibraryError::Unreadable {
            path: path(),
            source: source(),
        }),
        Box::new(LibraryError::NotFound(key)),
        Box::new(LibraryError::Changed(key)),
        Box::new(LibraryError::OffsetOutOfRange {
            key,
            offset: u64::MAX,
            size_bytes: u64::MAX,
        }),
        Box::new(LibraryError::Read { key, source: source() }),
        Box::new(LibraryError::NotAdopted(path())),
        Box::new(LibraryError::Thread {
            path: path(),
            source: source(),
        }),
        Box::new(StoreError::NoParent(path())),
        Box::new(StoreError::NotAFolder(path())),
        Box::new(StoreError::NotWritable {
            path: path(),
            source: source(),
        }),
        Box::new(StoreError::PartFolder(path())),
        Box::new(StoreError::NoSpace {
            path: path(),
            needed_bytes: u64::MAX,
            free_bytes: u64::MAX,
        }),
        Box::new(StoreError::TooLarge {
            key,
            size_bytes: u64::MAX,
        }),
        Box::new(StoreError::Integrity { key, problem }),
        Box::new(StoreError::Integrity { key, problem: digests }),
        Box::new(StoreError::Exists(path())),
        Box::new(StoreError::InTheWay {
            path: path(),
            what: "with a name that is not UTF-8",
        }),
        Box::new(StoreError::Io {
            action: "force to the disk",
            path: path(),
            source: source(),
        }),
    ]
}

#[test]
fn messages_are_bounded_and_clean_whatever_paths_are_called() {
    let hostile = [
        "\u{1b}]0;x\u{7}\u{202e}é/".repeat(400),
        "a/".repeat(2_000),
        "é".repeat(1_000),
    ];
    for text in hostile {
        for error in errors(Path::new(&text), &text) {
            let message = error.to_string();
            assert!(
                message.len() <= MAX_ERROR_MESSAGE_BYTES,
                "{} bytes: {message}",
                message.len()
            );
            assert!(!message.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{message:?}");
        }
    }
}

#[test]
fn messages_name_the_path_and_what_to_do() {
    for error in errors(Path::new("/home/ann/rfc"), "Permission denied") {
        let message = error.to_string();
        assert!(
            message.contains("/home/ann/rfc") || message.contains("RFC 4294967295"),
            "{message}"
        );
    }
    let message = StoreError::NoSpace {
        path: "/home/ann/rfc".into(),
        needed_bytes: 10,
        free_bytes: 3,
    }
    .to_string();
    assert_eq!(
        message,
        "no space left in /home/ann/rfc: 10 bytes needed, 3 free; free some space or choose another folder"
    );
}
