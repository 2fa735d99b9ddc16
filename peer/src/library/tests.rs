//! What can only be tried from within: races that no test can win by waiting for them.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
    sync::{atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use p2p_ci::{
    digest::Sha256,
    document::{DocumentKey, Format, RfcNumber, Title},
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::{
    Library, clock,
    digest::Digested,
    identity::FileIdentity,
    lock,
    name::FileName,
    report::SkipReason,
    scan::{Look, News, look_at_news},
    source::{OpenError, open_file},
    state::{Scope, Selected, State},
    walk::{Candidate, Sighting},
};

fn key(number: u32) -> DocumentKey {
    let number = RfcNumber::new(number).unwrap();
    DocumentKey {
        number,
        format: Format::Txt,
    }
}

/// A file that was selected for a document, which it holds as `bytes`.
fn selected(number: u32, bytes: &[u8]) -> Selected {
    let name = key(number).file_name();
    let candidate = Candidate {
        name: FileName::parse(&name).unwrap(),
        path: PathBuf::from(name),
    };
    let size = u64::try_from(bytes.len()).unwrap();
    let identity = FileIdentity {
        device: 1,
        inode: u64::from(number),
        size,
        modified_ns: 0,
        changed_ns: 0,
    };
    Selected {
        sighting: Sighting {
            candidate,
            identity,
            link: false,
        },
        digested: digested(bytes),
    }
}

fn digested(bytes: &[u8]) -> Digested {
    Digested {
        sha256: Sha256::of(bytes),
        size_bytes: u64::try_from(bytes.len()).unwrap(),
        title: Title::default(),
        lasting: true,
    }
}

/// An open library of one file.
fn library(bytes: &[u8]) -> (TempDir, Library) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("rfc");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("rfc1.txt"), bytes).unwrap();
    let (library, _) = Library::open(&root, &temp.path().join("state"), &|_| {}).unwrap();
    (temp, library)
}

#[test]
fn a_look_that_began_before_an_adoption_does_not_undo_it() {
    let mut state = State::default();
    state.adopt(key(1), selected(1, b"old"));
    let since = state.begin(clock::now());
    // While the look goes on, one document is stored anew and one is new.
    state.adopt(key(1), selected(1, b"new"));
    state.adopt(key(2), selected(2, b"two"));
    state.remember(&[selected(1, b"old").sighting], since);
    let changes = state.apply(BTreeMap::from([(key(1), selected(1, b"old"))]), Scope::All, since);
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(state.entries[&key(1)].document.id.sha256, Sha256::of(b"new"));
    assert!(
        state.candidates.contains_key(&key(2).number),
        "later looks at this number find its file"
    );
    // A look that began afterwards has the last word.
    let since = state.begin(clock::now());
    let changes = state.apply(BTreeMap::new(), Scope::All, since);
    assert_eq!(changes.removed, [key(1), key(2)]);
}

#[test]
fn a_document_is_withdrawn_only_for_the_file_that_was_found_changed() {
    let mut state = State::default();
    state.adopt(key(1), selected(1, b"old"));
    let old = state.entries[&key(1)].identity;
    state.adopt(key(1), selected(1, b"newer"));
    assert!(
        !state.withdraw(key(1), &old),
        "the document comes from another file by now"
    );
    let new = state.entries[&key(1)].identity;
    assert!(state.withdraw(key(1), &new));
    assert!(state.entries.is_empty() && !state.digests.contains_key(&new));
    assert!(state.suspects.contains(&key(1).number), "and is looked at again");
}

#[test]
fn a_file_that_was_written_is_hashed_although_nothing_else_tells() {
    let (_temp, library) = library(b"the bytes");
    let inner = &library.inner;
    let path = PathBuf::from("rfc1.txt");
    // As after a rewrite within one tick of the clock: the identity is known, with the digest of what was there before.
    let identity = lock(&inner.state).entries[&key(1)].identity;
    lock(&inner.state).digests.insert(identity, digested(b"as before"));
    let news = News {
        numbers: [key(1).number].into(),
        whole: HashSet::from([path.clone()]),
        written: HashSet::from([path]),
        ..News::default()
    };
    let look = Look {
        cancel: &AtomicBool::new(false),
        on_progress: &|_| {},
    };
    look_at_news(inner, &news, &look).unwrap();
    assert_eq!(library.get(key(1)).unwrap().id.sha256, Sha256::of(b"the bytes"));
}

#[test]
fn a_cancelled_look_changes_nothing() {
    let (temp, library) = library(b"one");
    fs::write(temp.path().join("rfc/rfc2.txt"), b"two").unwrap();
    fs::remove_file(temp.path().join("rfc/rfc1.txt")).unwrap();
    let look = Look {
        cancel: &AtomicBool::new(true),
        on_progress: &|_| {},
    };
    assert!(super::scan::look_at_all(&library.inner, &look).unwrap().is_none());
    assert_eq!(library.snapshot().len(), 1);
}

#[test]
fn opening_a_pipe_does_not_wait_for_its_writer() {
    let (temp, library) = library(b"one");
    // As if the file was swapped between the look at its kind and the opening.
    mknodat(CWD, temp.path().join("rfc/rfc2.txt"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let root = library.inner.root().unwrap();
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(open_file(&root.dir, &PathBuf::from("rfc2.txt"))));
    let opened = is_done.recv_timeout(Duration::from_secs(10)).expect("it waits");
    assert!(
        matches!(opened, Err(OpenError::Refused(SkipReason::Special, _))),
        "{opened:?}"
    );
}
