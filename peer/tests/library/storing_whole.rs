//! Documents that are stored in one go.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, Title},
};
use peer::library::{Body, Durability, IntegrityProblem, StoreError, Target};

use crate::support::{Folder, txt};

fn open(folder: &Folder) -> Target {
    Target::open(&folder.root(), Durability::None).unwrap()
}

fn document(number: u32, bytes: &[u8]) -> Document {
    Document {
        id: DocumentId {
            key: txt(number),
            sha256: Sha256::of(bytes),
        },
        size_bytes: bytes.len() as u64,
        title: Title::default(),
        modified: None,
    }
}

fn body(bytes: &[u8]) -> Body {
    let mut body = Body::default();
    body.push(bytes.to_vec().into(), 0);
    body
}

#[test]
fn wrong_bytes_leave_nothing_at_all() {
    let folder = Folder::new();
    let target = open(&folder);
    let wanted = document(1, b"right");
    let wrong = target.store(&wanted, &body(b"wrong"), false).unwrap_err();
    let short = target.store(&wanted, &body(b"righ"), false).unwrap_err();
    assert!(
        matches!(
            wrong,
            StoreError::Integrity {
                problem: IntegrityProblem::Digest { .. },
                ..
            }
        ),
        "{wrong}"
    );
    assert!(
        matches!(
            short,
            StoreError::Integrity {
                problem: IntegrityProblem::Length { .. },
                ..
            }
        ),
        "{short}"
    );
    drop(target);
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_there_is_told_from_a_strangers() {
    let folder = Folder::new();
    let target = open(&folder);
    let store = |bytes: &[u8], replace| target.store(&document(1, bytes), &body(bytes), replace);
    assert!(!store(b"one", false).unwrap().was_there);
    assert!(store(b"one", false).unwrap().was_there);
    assert!(matches!(store(b"two", false), Err(StoreError::Exists(_))));
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"one");
    store(b"two", true).unwrap();
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"two");
}

#[test]
fn what_somebody_sweeps_meanwhile_is_written_again() {
    /// Ends the sweeping, however the test ends.
    struct Ends<'a>(&'a AtomicBool);

    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let folder = Folder::new();
    let target = open(&folder);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                drop(open(&folder));
            }
        });
        for number in 1..=300 {
            let bytes = number.to_string().into_bytes();
            let stored = target.store(&document(number, &bytes), &body(&bytes), false).unwrap();
            assert_eq!(fs::read(stored.path).unwrap(), bytes);
        }
    });
}
