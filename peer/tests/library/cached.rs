//! Digests of earlier runs.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
};

use peer::library::Library;

use crate::support::{Folder, assert_holds, key, packed, txt};
use p2p_ci::document::Format;

fn fill(folder: &Folder) {
    folder.put("rfc1.txt", b"Request for Comments: 1\n\n   Title of One\n\nAbstract\n");
    folder.put("rfc2.txt.gz", &packed(b"two"));
    folder.put("rfc3.json", br#"{"title":"Three"}"#);
}

fn cache_file(folder: &Folder) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.state())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.pop().unwrap()
}

#[test]
fn a_second_start_hashes_nothing_and_says_the_same() {
    let folder = Folder::new();
    fill(&folder);
    let (first, report) = folder.open();
    assert_eq!((report.hashed, report.cached), (3, 0));
    let (second, report) = folder.open();
    assert_eq!((report.hashed, report.hashed_bytes, report.cached), (0, 0, 3));
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(first.snapshot(), second.snapshot());
    assert_eq!(second.get(txt(1)).unwrap().title.as_str(), "Title of One");
    assert_eq!(second.get(key(3, Format::Json)).unwrap().title.as_str(), "Three");
    assert_holds(&second, txt(2), b"two");
}

#[test]
fn only_what_changed_is_hashed_again() {
    let folder = Folder::new();
    fill(&folder);
    folder.open();
    folder.put("rfc1.txt", b"changed");
    folder.put("rfc4.txt", b"new");
    let (library, report) = folder.open();
    assert_eq!((report.hashed, report.cached), (2, 2));
    assert_holds(&library, txt(1), b"changed");
}

#[test]
fn a_file_changed_behind_its_times_is_noticed() {
    let folder = Folder::new();
    let path = folder.put("rfc1.txt", b"before");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    folder.open();
    // The same length and the same time: only the time of change, which nobody can set, tells.
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(b"after!").unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    let (library, report) = folder.open();
    assert_eq!((report.hashed, report.cached), (1, 0));
    assert_holds(&library, txt(1), b"after!");
}

#[test]
fn a_damaged_or_foreign_cache_is_ignored_and_made_anew() {
    let folder = Folder::new();
    fill(&folder);
    folder.open();
    let cache = cache_file(&folder);
    let good = fs::read(&cache).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let text = String::from_utf8(good.clone()).unwrap();
    let versioned = {
        let body = text.replace("cache 1\n", "cache 999\n");
        let body = &body[..body.trim_end().rfind('\n').unwrap() + 1];
        format!("{body}sha256 {}\n", p2p_ci::digest::Sha256::of(body.as_bytes()))
    };
    let invented = {
        let body = "p2p-ci digest cache 1\n1 2 3 not a line\n";
        format!("{body}sha256 {}\n", p2p_ci::digest::Sha256::of(body.as_bytes()))
    };
    let damaged: [&[u8]; 8] = [
        b"",
        b"\n",
        b"\xff\xfe\x00",
        b"sha256 \n",
        &flipped,
        &good[..good.len() / 2],
        versioned.as_bytes(),
        invented.as_bytes(),
    ];
    for bytes in damaged {
        fs::write(&cache, bytes).unwrap();
        let (library, report) = folder.open();
        assert_eq!(
            (report.hashed, report.cached),
            (3, 0),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        assert!(report.warnings[0].contains("made anew"), "{:?}", report.warnings);
        assert_eq!(library.snapshot().len(), 3);
        let (_, report) = folder.open();
        assert_eq!((report.hashed, report.warnings.len()), (0, 0), "it was made anew");
    }
}

#[test]
fn a_cache_of_other_files_is_no_lie() {
    let folder = Folder::new();
    let other = Folder::new();
    fill(&folder);
    folder.open();
    other.put("rfc1.txt", b"other bytes");
    other.open();
    fs::copy(cache_file(&folder), cache_file(&other)).unwrap();
    let (library, report) = other.open();
    assert_eq!((report.hashed, report.cached), (1, 0));
    assert_holds(&library, txt(1), b"other bytes");
}

#[test]
fn folders_share_a_place_for_state() {
    let one = Folder::new();
    let two = Folder::new();
    one.put("rfc1.txt", b"one");
    two.put("rfc1.txt", b"two");
    for hashed in [1, 0] {
        for folder in [&one, &two] {
            let (_, report) = Library::open(&folder.root(), &one.state(), &|_| {}).unwrap();
            assert_eq!(report.hashed, hashed);
        }
    }
    assert_eq!(fs::read_dir(one.state()).unwrap().count(), 2, "and no unfinished file");
}

#[test]
fn a_place_that_cannot_be_written_is_a_warning() {
    let folder = Folder::new();
    fill(&folder);
    crate::support::put(&folder.state(), b"a file where a folder should be");
    let (library, report) = folder.open();
    assert_eq!(library.snapshot().len(), 3);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("cannot be written")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn what_a_rescan_hashed_is_kept() {
    let folder = Folder::new();
    let (library, _) = folder.open();
    fill(&folder);
    assert_eq!(library.rescan().unwrap().hashed, 3);
    drop(library);
    assert_eq!(folder.open().1.hashed, 0);
}

#[test]
fn a_renamed_folder_is_read_again_once() {
    let folder = Folder::new();
    fill(&folder);
    folder.open();
    let elsewhere = folder.outside("elsewhere");
    fs::rename(folder.root(), &elsewhere).unwrap();
    for hashed in [3, 0] {
        let (_, report) = Library::open(&elsewhere, &folder.state(), &|_| {}).unwrap();
        assert_eq!(report.hashed, hashed);
    }
}
