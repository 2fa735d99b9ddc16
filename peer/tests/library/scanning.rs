//! What a look at a folder finds.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use p2p_ci::{
    digest::Sha256,
    document::{Format, UnixSeconds},
    limits,
};
use peer::library::{Library, LibraryError, ScanProgress, SkipReason, Watcher};

use crate::support::{Folder, PATIENCE, assert_holds, held, key, now, packed, txt, until};

#[test]
fn documents_of_every_spelling_are_found() {
    let folder = Folder::new();
    let names = [
        "rfc791.txt",
        "rfc0768.txt",
        "RFC1.TXT",
        "rfc10052.txt",
        "rfc100000.html",
        "rfc9.pdf",
        "rfc9.xml",
    ];
    for name in names {
        folder.put(name, name.as_bytes());
    }
    folder.put("rfc2.txt.gz", &packed(b"packed"));
    let (library, report) = folder.open();
    assert_eq!(
        held(&library),
        [
            "1.txt",
            "2.txt",
            "9.pdf",
            "9.xml",
            "768.txt",
            "791.txt",
            "10052.txt",
            "100000.html"
        ]
    );
    assert_eq!((report.documents, report.hashed, report.cached), (8, 8, 0));
    assert_eq!(report.added.len(), 8);
    assert_eq!(report.skipped.total(), 0);
    assert!(report.warnings.is_empty() && report.hint.is_none(), "{report:?}");
    assert_holds(&library, txt(2), b"packed");
    assert_holds(&library, key(100_000, Format::Html), b"rfc100000.html");
}

#[test]
fn a_document_says_what_its_file_is() {
    let folder = Folder::new();
    let path = folder.put("rfc791.txt", b"INTERNET PROTOCOL");
    let (library, _) = folder.open();
    let document = library.get(txt(791)).unwrap();
    assert_eq!(document.id.sha256, Sha256::of(b"INTERNET PROTOCOL"));
    assert_eq!(document.size_bytes, 17);
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(document.modified, Some(UnixSeconds(i64::try_from(seconds).unwrap())));
    assert_eq!(library.get(txt(792)), None);
    assert_eq!(library.get(key(791, Format::Html)), None);
    assert_eq!(library.root(), folder.root());
}

#[test]
fn what_is_no_document_is_ignored_and_counted() {
    let folder = Folder::new();
    for name in [
        "rfc-index.txt",
        "rfc791(1).txt",
        "rfc791.txt~",
        "rfc8650-8659-range.txt",
        "rfc17a.txt",
        "notes.md",
    ] {
        folder.put(name, b"x");
    }
    for name in [
        ".rfc1.txt.part",
        ".hidden/rfc2.txt",
        ".p2pci-part/rfc3.txt.0123456789abcdef.part",
    ] {
        folder.put(name, b"x");
    }
    folder.put("rfc4.txt", b"x");
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["4.txt"]);
    assert_eq!(report.skipped.count(SkipReason::OtherName), 6);
    assert_eq!(report.skipped.count(SkipReason::Hidden), 2);
    assert_eq!(report.skipped.total(), 8);
    assert_eq!(report.skipped.to_string(), "6 with another name, 2 hidden");
}

#[test]
fn the_plainest_name_of_a_folder_wins_with_a_warning() {
    let folder = Folder::new();
    folder.put("rfc791.txt.gz", &packed(b"third"));
    folder.put("rfc0791.txt", b"second");
    folder.put("rfc791.txt", b"first");
    let (library, report) = folder.open();
    assert_holds(&library, txt(791), b"first");
    assert_eq!(report.shadowed, 2);
    assert_eq!(
        report.warnings,
        [
            "rfc791.txt and rfc0791.txt name the same document; rfc791.txt is shared",
            "rfc791.txt and rfc791.txt.gz name the same document; rfc791.txt is shared"
        ]
    );
    fs::remove_file(folder.path("rfc791.txt")).unwrap();
    library.rescan().unwrap();
    assert_holds(&library, txt(791), b"second");
    fs::remove_file(folder.path("rfc0791.txt")).unwrap();
    let report = library.rescan().unwrap();
    assert_holds(&library, txt(791), b"third");
    assert_eq!((report.changed, report.warnings.len()), (vec![txt(791)], 0));
}

#[test]
fn the_shallower_folder_wins_and_two_levels_are_looked_at() {
    let folder = Folder::new();
    folder.put("a/b/rfc1.txt", b"two down");
    folder.put("z/rfc1.txt", b"one down");
    folder.put("a/b/rfc2.txt", b"two down");
    folder.put("a/b/c/rfc3.txt", b"three down");
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["1.txt", "2.txt"]);
    assert_holds(&library, txt(1), b"one down");
    assert_eq!(report.skipped.count(SkipReason::TooDeep), 1);
    assert_eq!(report.shadowed, 1);
}

#[test]
fn a_hard_link_is_no_competitor() {
    let folder = Folder::new();
    let path = folder.put("rfc791.txt", b"same");
    fs::hard_link(&path, folder.path("rfc0791.txt")).unwrap();
    let (_, report) = folder.open();
    assert_eq!((report.documents, report.hashed, report.shadowed), (1, 1, 0));
    assert!(report.warnings.is_empty());
}

#[test]
fn if_the_best_file_cannot_be_read_the_next_one_is_shared() {
    let folder = Folder::new();
    fs::File::create(folder.path("rfc791.txt"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    folder.put("rfc0791.txt", b"the next one");
    let (library, report) = folder.open();
    assert_holds(&library, txt(791), b"the next one");
    assert_eq!(report.skipped.count(SkipReason::TooLarge), 1);
}

#[test]
fn a_hundred_thousand_foreign_files_are_skipped() {
    let folder = Folder::in_memory();
    for number in 0..100_000 {
        fs::File::create(folder.path(&format!("note-{number}"))).unwrap();
    }
    folder.put("rfc1.txt", b"x");
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["1.txt"]);
    assert_eq!(report.skipped.count(SkipReason::OtherName), 100_000);
    assert!(report.warnings.is_empty());
    // Nor do they keep others from being seen, however many change.
    let _watcher = Watcher::start(library.clone()).unwrap();
    for number in 0..20_000 {
        fs::remove_file(folder.path(&format!("note-{number}"))).unwrap();
    }
    folder.put("rfc2.txt", b"y");
    until(PATIENCE, "a document among them", || library.get(txt(2)).is_some());
}

#[test]
fn of_a_thousand_folders_and_more_the_first_are_looked_into_and_that_is_said() {
    /// Folders that are looked into, of which the shared one is the first.
    const LOOKED_INTO: usize = 1000;
    let folder = Folder::in_memory();
    for number in 1..=LOOKED_INTO + 1 {
        folder.put(&format!("folder-{number:04}/rfc{number}.txt"), b"x");
    }
    folder.put("rfc5000.txt", b"beside them");
    let (library, report) = folder.open();
    assert_eq!(
        report.documents, LOOKED_INTO,
        "one in each of 999 folders, and one in the shared one"
    );
    assert!(library.get(txt(5000)).is_some() && library.get(txt(999)).is_some());
    assert!(library.get(txt(1000)).is_none() && library.get(txt(1001)).is_none());
    assert_eq!(report.skipped.count(SkipReason::TooDeep), 2);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("more files or folders than are looked at")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn more_documents_than_can_be_announced_are_left_out() {
    let folder = Folder::in_memory();
    for number in 1..=limits::MAX_SESSION_DOCUMENTS + 2 {
        folder.put(&format!("rfc{number}.txt"), b"");
    }
    let (library, report) = folder.open();
    assert_eq!(report.documents, limits::MAX_SESSION_DOCUMENTS);
    assert_eq!(report.skipped.count(SkipReason::Excess), 2);
    assert!(library.get(txt(40_000)).is_some() && library.get(txt(40_001)).is_none());
    assert!(
        report.skipped.to_string().contains("2 beyond what a peer can announce"),
        "{}",
        report.skipped
    );
}

#[test]
fn progress_is_told_until_all_is_done() {
    let folder = Folder::new();
    for number in 1..=20 {
        folder.put(&format!("rfc{number}.txt"), &[0; 100]);
    }
    let told = Mutex::new(Vec::new());
    let on_progress = |progress: ScanProgress| told.lock().unwrap().push(progress);
    Library::open(&folder.root(), &folder.state(), &on_progress).unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), 20, "once for each file");
    // Files within the file system's tick are hashed in a second go, which counts anew.
    let complete = told
        .iter()
        .filter(|progress| progress.files_done == progress.files_total);
    let complete: Vec<_> = complete.collect();
    assert_eq!(complete.iter().map(|progress| progress.files_total).sum::<u64>(), 20);
    assert_eq!(complete.iter().map(|progress| progress.bytes_done).sum::<u64>(), 2_000);
    assert!(
        complete
            .iter()
            .all(|progress| progress.bytes_done == progress.bytes_total)
    );
}

/// Opens the folder and cancels that when the first of its files is hashed, or else after `delay`; tells how many were
/// hashed and how long it took to end from then on.
fn cancelled(folder: &Folder, delay: Option<Duration>) -> (usize, Duration) {
    let cancel = AtomicBool::new(false);
    let (hashed, when) = (AtomicUsize::new(0), Mutex::new(None));
    let set = || {
        when.lock().unwrap().get_or_insert_with(now);
        cancel.store(true, Ordering::Relaxed);
    };
    let on_progress = |_: ScanProgress| {
        hashed.fetch_add(1, Ordering::Relaxed);
        if delay.is_none() {
            set();
        }
    };
    let error = thread::scope(|scope| {
        if let Some(delay) = delay {
            scope.spawn(move || {
                thread::sleep(delay);
                set();
            });
        }
        Library::open_unless(&cancel, &folder.root(), &folder.state(), &on_progress).unwrap_err()
    });
    assert!(matches!(error, LibraryError::Cancelled(_)), "{error}");
    let when = when.into_inner().unwrap().expect("it ended before it was cancelled");
    (hashed.into_inner(), when.elapsed())
}

#[test]
fn opening_ends_between_two_files_when_cancelled() {
    let folder = Folder::new();
    for number in 1..=500 {
        folder.put(&format!("rfc{number}.txt"), &[0; 100]);
    }
    // The change of the files' times counts until the clock has ticked, and what has not settled is not hashed.
    thread::sleep(Duration::from_millis(100));
    let (hashed, _) = cancelled(&folder, None);
    // Each thread may have been at work on one file.
    assert!((1..=32).contains(&hashed), "{hashed} of 500 files were hashed");
    let report = folder.open().1;
    assert_eq!(report.documents, 500, "nothing is left that hinders the next start");
    let left = 500 - hashed as u64;
    assert_eq!(
        (report.hashed, report.cached),
        (left, hashed as u64),
        "nothing is hashed twice"
    );
}

#[test]
fn waiting_for_files_to_settle_ends_when_cancelled() {
    let folder = Folder::new();
    // From the future, so that it is left alone for a whole second from when it is seen.
    let file = fs::File::create(folder.path("rfc1.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3600))
        .unwrap();
    let (hashed, took) = cancelled(&folder, Some(Duration::from_millis(200)));
    assert_eq!(hashed, 0);
    assert!(took < Duration::from_millis(500), "{took:?} after it was cancelled");
}

#[test]
fn a_rescan_tells_what_changed() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"stays");
    folder.put("rfc2.txt", b"changes");
    folder.put("rfc3.txt", b"goes");
    let (library, _) = folder.open();
    let version = library.version();
    assert!(!library.rescan().unwrap().is_changed());
    assert!(!version.has_changed().unwrap(), "nothing happened");
    folder.put("rfc2.txt", b"has changed");
    fs::remove_file(folder.path("rfc3.txt")).unwrap();
    folder.put("rfc4.txt", b"comes");
    let report = library.rescan().unwrap();
    assert_eq!(
        (report.added, report.changed, report.removed),
        (vec![txt(4)], vec![txt(2)], vec![txt(3)])
    );
    assert_eq!((report.hashed, report.cached), (2, 1));
    assert!(version.has_changed().unwrap());
    assert_holds(&library, txt(2), b"has changed");
}

#[test]
fn a_folder_that_is_none_is_told_apart() {
    let folder = Folder::new();
    let open = |name: &str| Library::open(&folder.outside(name), &folder.state(), &|_| {}).unwrap_err();
    let missing = open("absent");
    assert!(matches!(missing, LibraryError::Missing(_)));
    assert!(missing.to_string().contains("absent does not exist"), "{missing}");
    crate::support::put(&folder.outside("file"), b"x");
    let file = open("file");
    assert!(matches!(file, LibraryError::NotAFolder(_)));
    assert!(file.to_string().contains("file is no folder"), "{file}");
    assert!(matches!(open("file/below"), LibraryError::NotAFolder(_)));
}

#[test]
fn a_folder_that_goes_takes_its_documents_along_and_brings_them_back() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"x");
    let (library, _) = folder.open();
    fs::rename(folder.root(), folder.outside("elsewhere")).unwrap();
    assert!(matches!(library.rescan(), Err(LibraryError::Missing(_))));
    assert!(library.snapshot().is_empty());
    assert!(matches!(library.read(txt(1), 0), Err(LibraryError::NotFound(_))));
    fs::rename(folder.outside("elsewhere"), folder.root()).unwrap();
    assert_eq!(library.rescan().unwrap().added, [txt(1)]);
    assert_holds(&library, txt(1), b"x");
}
