//! Storing downloads.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, Format, Title, UnixSeconds},
};
use peer::library::{Durability, Library, LibraryError, Target};
use proptest::prelude::*;

use crate::support::{Folder, assert_holds, bytes, key, packed, txt};

fn id(number: u32, bytes: &[u8]) -> DocumentId {
    DocumentId {
        key: txt(number),
        sha256: Sha256::of(bytes),
    }
}

fn store(target: &Target, number: u32, bytes: &[u8], modified: Option<UnixSeconds>) {
    let mut part = target
        .begin(id(number, bytes), u64::try_from(bytes.len()).unwrap())
        .unwrap();
    part.write(bytes).unwrap();
    let path = part.commit(modified, false).unwrap().path;
    assert_eq!(path, target.path().join(format!("rfc{number}.txt")));
}

/// What lies in a folder, unfinished downloads apart.
fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_document_appears_whole_with_its_time_and_nothing_else() {
    for durability in [Durability::None, Durability::End, Durability::File] {
        let folder = Folder::new();
        let target = Target::open(&folder.root(), durability).unwrap();
        let modified = UnixSeconds(1_000_000_000);
        let mut part = target.begin(id(791, b"INTERNET PROTOCOL"), 17).unwrap();
        for piece in [b"INTERNET ".as_slice(), b"", b"PROTOCOL"] {
            part.write(piece).unwrap();
        }
        assert_eq!(part.written(), 17);
        assert_eq!(part.digest(), id(791, b"INTERNET PROTOCOL").sha256);
        assert!(!folder.path("rfc791.txt").exists(), "not before it is committed");
        part.commit(Some(modified), false).unwrap();
        target.finish().unwrap();
        assert_eq!(fs::read(folder.path("rfc791.txt")).unwrap(), b"INTERNET PROTOCOL");
        let metadata = fs::metadata(folder.path("rfc791.txt")).unwrap();
        assert_eq!(metadata.mtime(), modified.0);
        assert_eq!(metadata.permissions().mode() & 0o700, 0o600, "an ordinary file");
        assert_eq!(metadata.nlink(), 1);
        assert_eq!(
            listing(&folder.root()),
            ["rfc791.txt"],
            "no trace of unfinished downloads"
        );
    }
}

#[test]
fn a_folder_is_made_if_only_it_is_missing() {
    let folder = Folder::new();
    let path = folder.path("new");
    let target = Target::open(&path, Durability::default()).unwrap();
    store(&target, 1, b"x", None);
    assert_eq!(target.path(), path);
    drop(target);
    assert_eq!(listing(&path), ["rfc1.txt"]);
}

#[test]
fn times_that_no_file_should_have_are_left_out() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let future = SystemTime::now() + Duration::from_secs(1_000_000);
    let future = i64::try_from(future.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    for (number, seconds) in [(1, -1), (2, i64::MIN), (3, i64::MAX), (4, future)] {
        store(&target, number, b"x", Some(UnixSeconds(seconds)));
        let modified = fs::metadata(folder.path(&format!("rfc{number}.txt")))
            .unwrap()
            .modified()
            .unwrap();
        let age = SystemTime::now().duration_since(modified).unwrap();
        assert!(age < Duration::from_secs(60), "{seconds}: {age:?}");
    }
    store(&target, 5, b"x", Some(UnixSeconds(0)));
    assert_eq!(fs::metadata(folder.path("rfc5.txt")).unwrap().mtime(), 0);
}

#[test]
fn a_download_can_start_afresh() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let mut part = target.begin(id(1, b"right"), 5).unwrap();
    part.write(b"lie").unwrap();
    part.restart().unwrap();
    assert_eq!((part.written(), part.digest()), (0, Sha256::of(b"")));
    part.write(b"right").unwrap();
    part.commit(None, false).unwrap();
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"right");
}

#[test]
fn an_empty_document_is_stored() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    target.begin(id(1, b""), 0).unwrap().commit(None, false).unwrap();
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"");
}

#[test]
fn what_is_there_already_is_found_under_all_its_names() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"own name");
    folder.put("rfc0002.txt", b"padded");
    folder.put("RFC3.TXT", b"upper case");
    folder.put("rfc4.txt.gz", &packed(b"packed"));
    folder.put("old/rfc5.txt.gz", &packed(b"in a folder below"));
    folder.put("rfc6.txt.gz", b"damaged");
    folder.put("rfc06.txt", b"the next best");
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let cases: [(u32, &str, &[u8]); 5] = [
        (1, "rfc1.txt", b"own name"),
        (2, "rfc0002.txt", b"padded"),
        (3, "RFC3.TXT", b"upper case"),
        (4, "rfc4.txt.gz", b"packed"),
        (6, "rfc06.txt", b"the next best"),
    ];
    for (number, name, bytes) in cases {
        let existing = target.existing(txt(number)).unwrap().unwrap();
        assert_eq!(existing.path, folder.path(name));
        assert_eq!(existing.size_bytes, u64::try_from(bytes.len()).unwrap());
        assert_eq!(existing.sha256, Sha256::of(bytes));
    }
    assert_eq!(
        target.existing(txt(5)).unwrap(),
        None,
        "what lies deeper is another folder's"
    );
    assert_eq!(target.existing(txt(7)).unwrap(), None);
    assert_eq!(target.existing(key(1, Format::Html)).unwrap(), None);
    store(&target, 7, b"just stored", None);
    assert_eq!(target.existing(txt(7)).unwrap().unwrap().size_bytes, 11);
}

#[test]
fn a_stored_document_is_adopted_without_hashing() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let (library, _) = folder.open();
    let version = library.version();
    let content = bytes(70_000);
    store(&target, 1, &content, Some(UnixSeconds(1_000_000_000)));
    let document = Document {
        id: id(1, &content),
        size_bytes: 70_000,
        title: Title::from_lossy("as claimed"),
        modified: None,
    };
    library.adopt(document.clone()).unwrap();
    assert!(version.has_changed().unwrap());
    assert_holds(&library, txt(1), &content);
    let adopted = library.get(txt(1)).unwrap();
    assert_eq!(adopted.title.as_str(), "as claimed");
    assert_eq!(adopted.modified, Some(UnixSeconds(1_000_000_000)));
    let report = library.rescan().unwrap();
    assert_eq!((report.hashed, report.cached, report.is_changed()), (0, 1, false));
    library.adopt(document).unwrap();
    assert_eq!(library.snapshot().len(), 1);
    drop(library);
    let (_, report) = folder.open();
    assert_eq!((report.hashed, report.cached), (0, 1), "not even at the next start");
}

#[test]
fn what_the_file_tells_beats_what_was_claimed() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let (library, _) = folder.open();
    let text = b"Request for Comments: 1\n\n     Told by the Text\n\nAbstract\n";
    store(&target, 1, text, None);
    let title = Title::from_lossy("claimed");
    let size_bytes = u64::try_from(text.len()).unwrap();
    library
        .adopt(Document {
            id: id(1, text),
            size_bytes,
            title,
            modified: None,
        })
        .unwrap();
    assert_eq!(library.get(txt(1)).unwrap().title.as_str(), "Told by the Text");
}

#[test]
fn only_the_file_that_was_stored_is_adopted() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"12345");
    fs::create_dir(folder.path("rfc2.txt")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path("rfc3.txt")).unwrap();
    let (library, _) = folder.open();
    let before = library.snapshot();
    for number in 1..=4 {
        let document = Document {
            id: id(number, b"x"),
            size_bytes: 4,
            title: Title::default(),
            modified: None,
        };
        let error = library.adopt(document).unwrap_err();
        assert!(matches!(error, LibraryError::NotAdopted(_)), "{error}");
        assert!(error.to_string().contains(&format!("rfc{number}.txt")), "{error}");
    }
    assert_eq!(library.snapshot(), before);
}

#[test]
fn a_look_at_the_folder_does_not_undo_an_adoption() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let (library, _) = folder.open();
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            for _ in 0..60 {
                library.rescan().unwrap();
            }
        });
        let mut number = 0;
        while !looker.is_finished() {
            number += 1;
            let content = number.to_string().into_bytes();
            store(&target, number, &content, Some(UnixSeconds(1)));
            let size_bytes = u64::try_from(content.len()).unwrap();
            let document = Document {
                id: id(number, &content),
                size_bytes,
                title: Title::default(),
                modified: None,
            };
            library.adopt(document).unwrap();
            for held in (1..=number).rev().take(20) {
                assert!(library.get(txt(held)).is_some(), "RFC {held} was lost at {number}");
            }
        }
    });
}

/// A library over the target's folder, as a mirror has it.
#[test]
fn unfinished_downloads_are_no_documents() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let mut part = target.begin(id(1, b"unfinished"), 10).unwrap();
    part.write(b"unfin").unwrap();
    let (library, report): (Library, _) = folder.open();
    assert!(library.snapshot().is_empty());
    assert_eq!(report.skipped.total(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_any_size_make_the_document(content in prop::collection::vec(any::<u8>(), 0..2_000), cut in 1..700_usize) {
        let folder = Folder::new();
        let target = Target::open(&folder.root(), Durability::None).unwrap();
        let mut part = target.begin(id(1, &content), u64::try_from(content.len()).unwrap()).unwrap();
        for piece in content.chunks(cut) {
            part.write(piece).unwrap();
        }
        part.commit(None, false).unwrap();
        prop_assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), content);
    }
}
