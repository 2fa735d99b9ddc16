//! Following a folder: single files.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    time::Duration,
};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, Format, Title},
};
use peer::library::{Durability, Library, Target, Watcher};

use crate::support::{
    Folder, PATIENCE, PROMPTLY, again, assert_holds, held, inside_folder, is_inside, key, long_ago, never_within, now,
    put, txt, until,
};

/// A watched folder.
fn watched(folder: &Folder) -> (Library, Watcher) {
    let (library, _) = folder.open();
    let watcher = Watcher::start(library.clone()).unwrap();
    (library, watcher)
}

#[test]
fn files_added_changed_and_removed_are_seen() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"one");
    let (library, _watcher) = watched(&folder);
    let mut version = library.version();
    version.mark_unchanged();

    folder.put("rfc2.txt", b"two");
    until(PROMPTLY, "added", || library.get(txt(2)).is_some());
    assert_holds(&library, txt(2), b"two");
    // The set is changed before its version is.
    until(PROMPTLY, "told", || version.has_changed().unwrap());

    fs::write(folder.path("rfc1.txt"), b"one again").unwrap();
    until(PROMPTLY, "changed", || {
        library.get(txt(1)).is_some_and(|document| document.size_bytes == 9)
    });
    assert_holds(&library, txt(1), b"one again");

    fs::remove_file(folder.path("rfc1.txt")).unwrap();
    until(PROMPTLY, "removed", || library.get(txt(1)).is_none());
    assert_eq!(held(&library), ["2.txt"]);
}

#[test]
fn renames_count_at_once() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    // The fastest of some, as a busy machine may take its time now and then.
    let fastest = (0..5).map(|_| {
        let fresh = folder.outside("download.tmp");
        fs::write(&fresh, b"fresh").unwrap();
        fs::rename(&fresh, folder.path("rfc1.txt")).unwrap();
        let took = until(PROMPTLY, "renamed into place", || library.get(txt(1)).is_some());
        fs::remove_file(folder.path("rfc1.txt")).unwrap();
        until(PROMPTLY, "removed", || library.get(txt(1)).is_none());
        took
    });
    let fastest = fastest.min().unwrap();
    assert!(
        fastest < Duration::from_millis(900),
        "took {fastest:?} as if it had to settle"
    );
    folder.put("rfc1.txt", b"fresh");
    until(PROMPTLY, "put", || library.get(txt(1)).is_some());
    fs::rename(folder.path("rfc1.txt"), folder.path("rfc2.txt")).unwrap();
    until(PROMPTLY, "renamed", || held(&library) == ["2.txt"]);
    let replacement = put(&folder.outside("new"), b"new");
    fs::rename(replacement, folder.path("rfc2.txt")).unwrap();
    until(PROMPTLY, "replaced", || {
        library.get(txt(2)).is_some_and(|document| document.size_bytes == 3)
    });
    fs::rename(folder.path("rfc2.txt"), folder.path("notes.md")).unwrap();
    until(PROMPTLY, "renamed away", || library.snapshot().is_empty());
}

#[test]
fn links_are_seen() {
    let folder = Folder::new();
    folder.put("store/anything", b"linked");
    let (library, _watcher) = watched(&folder);
    symlink("store/anything", folder.path("rfc1.txt")).unwrap();
    fs::hard_link(folder.path("store/anything"), folder.path("rfc2.txt")).unwrap();
    until(PROMPTLY, "linked", || held(&library) == ["1.txt", "2.txt"]);
    fs::remove_file(folder.path("rfc1.txt")).unwrap();
    until(PROMPTLY, "unlinked", || held(&library) == ["2.txt"]);
}

#[test]
fn the_next_best_file_takes_over() {
    let folder = Folder::new();
    folder.put("rfc791.txt", b"plain");
    folder.put("rfc0791.txt", b"padded");
    let (library, _watcher) = watched(&folder);
    assert_holds(&library, txt(791), b"plain");
    fs::remove_file(folder.path("rfc791.txt")).unwrap();
    until(PROMPTLY, "the padded one", || {
        library.get(txt(791)).is_some_and(|document| document.size_bytes == 6)
    });
    folder.put("rfc791.txt", b"plain again");
    until(PROMPTLY, "the plain one", || {
        library.get(txt(791)).is_some_and(|document| document.size_bytes == 11)
    });
}

#[test]
fn a_record_that_arrives_later_names_the_text() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"some text");
    let (library, _watcher) = watched(&folder);
    assert_eq!(library.get(txt(1)).unwrap().title.as_str(), "");
    folder.put("rfc1.json", br#"{"title":"Host Software"}"#);
    until(PROMPTLY, "named", || {
        library
            .get(txt(1))
            .is_some_and(|document| document.title.as_str() == "Host Software")
    });
    assert!(library.get(key(1, Format::Json)).is_some());
}

#[test]
fn a_new_time_is_announced() {
    let folder = Folder::new();
    let path = folder.put("rfc1.txt", b"x");
    let (library, _watcher) = watched(&folder);
    let before = library.get(txt(1)).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(long_ago() - Duration::from_secs(10_000)).unwrap();
    drop(file);
    until(PROMPTLY, "another time", || {
        library
            .get(txt(1))
            .is_some_and(|after| after.modified < before.modified)
    });
}

#[test]
fn what_happened_between_opening_and_watching_is_seen() {
    let folder = Folder::new();
    let (library, _) = folder.open();
    folder.put("rfc1.txt", b"x");
    let _watcher = Watcher::start(library.clone()).unwrap();
    until(PROMPTLY, "added", || library.get(txt(1)).is_some());
}

#[test]
fn a_file_found_changed_while_served_is_looked_at_again() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"before");
    let (library, _watcher) = watched(&folder);
    folder.put("rfc1.txt", b"after!");
    let _refused_or_new = library.read(txt(1), 0);
    until(PATIENCE, "announced anew", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), b"after!");
}

#[test]
fn a_stored_document_is_not_hashed_behind_its_adoption() {
    let folder = Folder::new();
    let target = Target::open(&folder.root(), Durability::None).unwrap();
    let (library, _watcher) = watched(&folder);
    let id = |bytes| DocumentId {
        key: txt(1),
        sha256: Sha256::of(bytes),
    };
    let mut part = target.begin(id(b"stored"), 6).unwrap();
    part.write(b"stored").unwrap();
    part.commit(None, false).unwrap();
    // Adopted with a digest that it has not, so that it would show if the file was read.
    library
        .adopt(Document {
            id: id(b"adopted"),
            size_bytes: 6,
            title: Title::default(),
            modified: None,
        })
        .unwrap();
    never_within(Duration::from_millis(700), "hashed again", || {
        library.get(txt(1)).is_none_or(|document| document.id != id(b"adopted"))
    });
}

#[test]
fn thousands_of_files_at_once_are_all_seen() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    for number in 1..=2_000 {
        fs::write(folder.path(&format!("rfc{number}.txt")), format!("{number}")).unwrap();
    }
    until(PATIENCE, "all seen", || library.snapshot().len() == 2_000);
    for number in (1..=2_000).step_by(2) {
        fs::remove_file(folder.path(&format!("rfc{number}.txt"))).unwrap();
    }
    until(PATIENCE, "half gone", || library.snapshot().len() == 1_000);
}

#[test]
fn dropping_the_watcher_ends_it() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"x");
    let (library, watcher) = watched(&folder);
    let version = library.version();
    let start = now();
    drop(watcher);
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    folder.put("rfc2.txt", b"x");
    drop(library);
    // The last sender of versions is gone, so nobody holds the library any more.
    assert!(version.has_changed().is_err());
}

#[test]
fn a_folder_that_cannot_be_watched_is_looked_at_often() {
    const NAME: &str = "watching::a_folder_that_cannot_be_watched_is_looked_at_often";
    if !is_inside() {
        let folder = Folder::new();
        let script = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
        again(NAME, &["unshare", "-r", "sh", "-c", script, "sh"], &folder.root());
        return;
    }
    let root = inside_folder();
    let (library, _) = Library::open(&root, &root.join(".state"), &|_| {}).unwrap();
    let _watcher = Watcher::start(library.clone()).unwrap();
    put(&root.join("rfc1.txt"), b"dated back");
    until(PROMPTLY, "added", || library.get(txt(1)).is_some());
    fs::write(root.join("rfc2.txt"), b"fresh").unwrap();
    until(PATIENCE, "settled", || library.get(txt(2)).is_some());
    fs::remove_file(root.join("rfc1.txt")).unwrap();
    until(PROMPTLY, "removed", || library.get(txt(1)).is_none());
}

/// Ticks of the processor (hundredths of a second) that this process has used: fields 14 and 15 of `proc(5)`'s `stat`.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn waiting_costs_next_to_nothing() {
    const NAME: &str = "watching::waiting_costs_next_to_nothing";
    if !is_inside() {
        let folder = Folder::new();
        again(NAME, &["env"], &folder.root());
        return;
    }
    let root = inside_folder();
    let state = tempfile::tempdir().unwrap();
    // A file that has not settled when it is first seen, and then waits for its writer to close it.
    let mut held_open = File::create(root.join("rfc1.txt")).unwrap();
    held_open.write_all(b"half").unwrap();
    let (library, _) = Library::open(&root, state.path(), &|_| {}).unwrap();
    let _watcher = Watcher::start(library.clone()).unwrap();
    held_open.write_all(b"more").unwrap();
    // One that settles although a better one is shared.
    put(&root.join("rfc2.txt"), b"better");
    until(PATIENCE, "shared", || library.get(txt(2)).is_some());
    fs::hard_link(root.join("rfc1.txt"), root.join("rfc0002.txt")).unwrap();
    // One that goes while it settles.
    fs::write(root.join("store"), b"fresh").unwrap();
    fs::hard_link(root.join("store"), root.join("rfc3.txt")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    fs::remove_file(root.join("rfc3.txt")).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks() - before;
    assert!(
        used < 40,
        "{used} hundredths of a second of two seconds were used for nothing"
    );
    assert_eq!(held(&library), ["2.txt"]);
}
