//! Following a folder: files that somebody is writing.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::Duration,
};

use peer::library::{Library, Watcher};

use crate::support::{Folder, PATIENCE, PROMPTLY, assert_holds, bytes, held, never_within, txt, until};

fn watched(folder: &Folder) -> (Library, Watcher) {
    let (library, _) = folder.open();
    let watcher = Watcher::start(library.clone()).unwrap();
    (library, watcher)
}

/// Longer than any silence after which a file counts as settled.
const LONG_SILENCE: Duration = Duration::from_millis(1_600);

/// Shorter than the silence after which a closed file counts as settled.
const REOPENED_AFTER: Duration = Duration::from_millis(700);

#[test]
fn a_slow_copy_is_announced_when_it_is_whole() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    let whole = bytes(30_000);
    let mut file = File::create(folder.path("rfc1.txt")).unwrap();
    for piece in whole.chunks(10_000) {
        never_within(LONG_SILENCE, "announced while it is open", || {
            library.get(txt(1)).is_some()
        });
        file.write_all(piece).unwrap();
    }
    never_within(LONG_SILENCE, "announced while it is open", || {
        library.get(txt(1)).is_some()
    });
    drop(file);
    until(PROMPTLY, "closed", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), &whole);
}

#[test]
fn a_file_that_is_closed_between_its_pieces_is_announced_once() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    let path = folder.path("rfc1.txt");
    for _ in 0..6 {
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        file.write_all(b"a piece ").unwrap();
        drop(file);
        never_within(REOPENED_AFTER, "announced between two pieces", || {
            library.get(txt(1)).is_some()
        });
    }
    until(PROMPTLY, "settled", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), &b"a piece ".repeat(6));
}

#[test]
fn a_copy_begun_before_the_watch_is_announced_when_it_is_whole() {
    let folder = Folder::new();
    let path = folder.path("rfc1.txt");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"first ").unwrap();
    let writer = thread::spawn(move || {
        for _ in 0..40 {
            thread::sleep(Duration::from_millis(50));
            file.write_all(b"more ").unwrap();
        }
    });
    let (library, _watcher) = watched(&folder);
    while !writer.is_finished() {
        assert_eq!(library.get(txt(1)), None, "announced while it is written");
        thread::sleep(Duration::from_millis(5));
    }
    until(PROMPTLY, "closed", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), &fs::read(path).unwrap());
}

#[test]
fn a_document_that_is_rewritten_is_withdrawn_until_it_is_whole() {
    let folder = Folder::new();
    let path = folder.put("rfc1.txt", b"the old text");
    let (library, _watcher) = watched(&folder);
    let mut file = File::create(path).unwrap();
    file.write_all(b"the ").unwrap();
    until(PROMPTLY, "withdrawn", || library.get(txt(1)).is_none());
    never_within(LONG_SILENCE, "announced half-written", || library.get(txt(1)).is_some());
    file.write_all(b"new text").unwrap();
    drop(file);
    until(PROMPTLY, "announced anew", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), b"the new text");
}

#[test]
fn an_empty_file_is_announced_once_it_is_closed() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    let file = File::create(folder.path("rfc1.txt")).unwrap();
    never_within(LONG_SILENCE, "announced while its writer has only begun", || {
        library.get(txt(1)).is_some()
    });
    drop(file);
    until(PROMPTLY, "closed", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), b"");
}

#[test]
fn a_link_to_a_file_that_is_written_is_no_better() {
    let folder = Folder::new();
    fs::create_dir(folder.path("deep")).unwrap();
    let (library, _watcher) = watched(&folder);
    let mut file = File::create(folder.path("deep/rfc1.txt")).unwrap();
    file.write_all(b"half ").unwrap();
    symlink("deep/rfc1.txt", folder.path("rfc1.txt")).unwrap();
    fs::hard_link(folder.path("deep/rfc1.txt"), folder.path("deep/rfc0001.txt")).unwrap();
    never_within(LONG_SILENCE, "announced through a link", || {
        library.get(txt(1)).is_some()
    });
    file.write_all(b"and half").unwrap();
    drop(file);
    until(PROMPTLY, "closed", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), b"half and half");
}

#[test]
fn while_the_best_file_is_written_the_next_one_is_shared() {
    let folder = Folder::new();
    folder.put("rfc0791.txt", b"padded");
    let (library, _watcher) = watched(&folder);
    let mut file = File::create(folder.path("rfc791.txt")).unwrap();
    file.write_all(b"the better ").unwrap();
    never_within(LONG_SILENCE, "the half-written one", || {
        library.get(txt(791)).is_none_or(|document| document.size_bytes != 6)
    });
    file.write_all(b"name").unwrap();
    drop(file);
    until(PROMPTLY, "the better one", || {
        library.get(txt(791)).is_some_and(|document| document.size_bytes == 15)
    });
}

#[test]
fn a_file_made_whole_before_it_has_a_name_is_seen() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    // As with O_TMPFILE: the name comes last, and nobody closes a writer afterwards.
    let hidden = folder.path(".rfc1.txt.tmp");
    fs::write(&hidden, b"whole").unwrap();
    fs::hard_link(&hidden, folder.path("rfc1.txt")).unwrap();
    until(PROMPTLY, "linked", || library.get(txt(1)).is_some());
    assert_holds(&library, txt(1), b"whole");
}

#[test]
fn a_rescan_does_not_announce_what_is_being_written() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    let mut file = File::create(folder.path("rfc1.txt")).unwrap();
    file.write_all(b"half").unwrap();
    never_within(LONG_SILENCE, "announced", || library.get(txt(1)).is_some());
    library.rescan().unwrap();
    assert_eq!(library.get(txt(1)), None);
    drop(file);
    until(PROMPTLY, "closed", || library.get(txt(1)).is_some());
}

#[test]
fn many_rewrites_end_in_the_last_one() {
    let folder = Folder::new();
    let path = folder.put("rfc1.txt", b"0");
    let (library, _watcher) = watched(&folder);
    for round in 1..=500 {
        rewrite(&path, round);
    }
    let last = fs::read(&path).unwrap();
    let digest = p2p_ci::digest::Sha256::of(&last);
    until(PATIENCE, "the last one", || {
        library.get(txt(1)).is_some_and(|document| document.id.sha256 == digest)
    });
    assert_eq!(held(&library), ["1.txt"]);
}

/// Rewrites a file with as many bytes as before, so that only its times tell.
fn rewrite(path: &Path, round: u32) {
    fs::write(path, format!("{round:08}")).unwrap();
}
