//! Following a folder: folders that come and go.

use std::{fs, os::unix::fs::symlink};

use peer::library::{Library, Watcher};

use crate::support::{
    Folder, PATIENCE, PROMPTLY, again, assert_holds, held, inside_folder, is_inside, put, txt, until,
};

fn watched(folder: &Folder) -> (Library, Watcher) {
    let (library, _) = folder.open();
    let watcher = Watcher::start(library.clone()).unwrap();
    (library, watcher)
}

#[test]
fn a_folder_moved_in_brings_its_documents_and_takes_them_along() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    put(&folder.outside("sub/rfc1.txt"), b"one");
    put(&folder.outside("sub/below/rfc2.txt"), b"two");
    fs::rename(folder.outside("sub"), folder.path("sub")).unwrap();
    until(PATIENCE, "moved in", || held(&library) == ["1.txt", "2.txt"]);
    folder.put("sub/below/rfc3.txt", b"three");
    until(PATIENCE, "followed into it", || {
        held(&library) == ["1.txt", "2.txt", "3.txt"]
    });
    fs::rename(folder.path("sub"), folder.outside("away")).unwrap();
    until(PATIENCE, "moved out", || library.snapshot().is_empty());
}

#[test]
fn files_in_a_new_folder_are_seen_however_soon_they_come() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    for round in 1..=20 {
        folder.put(&format!("sub{round}/rfc{round}.txt"), b"x");
    }
    until(PATIENCE, "all seen", || library.snapshot().len() == 20);
    for round in 1..=20 {
        fs::remove_dir_all(folder.path(&format!("sub{round}"))).unwrap();
    }
    until(PATIENCE, "all gone", || library.snapshot().is_empty());
}

#[test]
fn a_folder_that_is_made_again_is_followed_again() {
    let folder = Folder::new();
    let (library, _watcher) = watched(&folder);
    for round in 0..3 {
        folder.put("sub/rfc1.txt", b"x");
        until(PATIENCE, "there", || library.get(txt(1)).is_some());
        folder.put("sub/rfc2.txt", b"x");
        until(PATIENCE, "followed", || library.get(txt(2)).is_some());
        fs::remove_dir_all(folder.path("sub")).unwrap();
        until(PATIENCE, &format!("gone in round {round}"), || {
            library.snapshot().is_empty()
        });
    }
}

#[test]
fn a_folder_that_is_back_before_anybody_looked_is_still_followed() {
    for swapped in ["sub", "sub/below", ""] {
        let folder = Folder::new();
        folder.put("sub/below/rfc1.txt", b"one");
        folder.put("sub/below/rfc2.txt", b"two");
        let (library, _watcher) = watched(&folder);
        let away = folder.outside("away");
        fs::rename(folder.path(swapped), &away).unwrap();
        fs::rename(&away, folder.path(swapped)).unwrap();
        // Whatever the swap had looked at has been looked at by then: this is seen by the folder above or below it alone.
        folder.put("sub/below/rfc3.txt", b"three");
        until(PROMPTLY, &format!("written into {swapped:?}"), || {
            library.get(txt(3)).is_some()
        });
        fs::remove_file(folder.path("sub/below/rfc2.txt")).unwrap();
        until(PROMPTLY, &format!("removed from {swapped:?}"), || {
            library.get(txt(2)).is_none()
        });
    }
}

#[test]
fn a_root_that_goes_withdraws_everything_until_it_is_back() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"one");
    let (library, _watcher) = watched(&folder);
    fs::rename(folder.root(), folder.outside("away")).unwrap();
    until(PATIENCE, "withdrawn", || library.snapshot().is_empty());
    put(&folder.outside("away/rfc2.txt"), b"two");
    fs::rename(folder.outside("away"), folder.root()).unwrap();
    until(PATIENCE, "back", || held(&library) == ["1.txt", "2.txt"]);
    folder.put("rfc3.txt", b"three");
    until(PATIENCE, "followed", || library.get(txt(3)).is_some());

    fs::remove_dir_all(folder.root()).unwrap();
    until(PATIENCE, "removed", || library.snapshot().is_empty());
    folder.put("rfc4.txt", b"four");
    until(PATIENCE, "made anew", || held(&library) == ["4.txt"]);
    folder.put("rfc5.txt", b"five");
    until(PATIENCE, "followed", || library.get(txt(5)).is_some());
}

#[test]
fn a_root_replaced_by_another_folder_is_followed() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"one");
    let (library, _watcher) = watched(&folder);
    put(&folder.outside("other/rfc2.txt"), b"two");
    fs::rename(folder.root(), folder.outside("away")).unwrap();
    fs::rename(folder.outside("other"), folder.root()).unwrap();
    until(PATIENCE, "the other one's", || held(&library) == ["2.txt"]);
    assert_holds(&library, txt(2), b"two");
    folder.put("rfc3.txt", b"three");
    until(PATIENCE, "followed", || library.get(txt(3)).is_some());
}

#[test]
fn a_root_given_by_a_link_follows_the_link() {
    let folder = Folder::new();
    put(&folder.outside("one/rfc1.txt"), b"one");
    put(&folder.outside("two/rfc2.txt"), b"two");
    let link = folder.outside("link");
    symlink("one", &link).unwrap();
    let (library, _) = Library::open(&link, &folder.state(), &|_| {}).unwrap();
    let _watcher = Watcher::start(library.clone()).unwrap();
    put(&folder.outside("one/rfc3.txt"), b"three");
    until(PATIENCE, "seen through the link", || {
        held(&library) == ["1.txt", "3.txt"]
    });
    fs::remove_file(&link).unwrap();
    symlink("two", &link).unwrap();
    until(PATIENCE, "led elsewhere", || held(&library) == ["2.txt"]);
}

#[test]
fn a_file_system_that_is_unmounted_and_mounted_again_is_followed() {
    const NAME: &str = "watching_folders::a_file_system_that_is_unmounted_and_mounted_again_is_followed";
    if !is_inside() {
        let folder = Folder::new();
        again(NAME, &["unshare", "-rm"], &folder.root());
        return;
    }
    let root = inside_folder();
    let mount = |arguments: &[&str]| {
        let status = std::process::Command::new("mount").args(arguments).arg(&root).status();
        assert!(status.unwrap().success());
    };
    mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    put(&root.join("rfc1.txt"), b"one");
    let state = tempfile::tempdir().unwrap();
    let (library, _) = Library::open(&root, state.path(), &|_| {}).unwrap();
    let _watcher = Watcher::start(library.clone()).unwrap();
    assert_eq!(held(&library), ["1.txt"]);
    let unmounted = std::process::Command::new("umount").args(["-l"]).arg(&root).status();
    assert!(unmounted.unwrap().success());
    until(PATIENCE, "withdrawn", || library.snapshot().is_empty());
    mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    put(&root.join("rfc2.txt"), b"two");
    until(PATIENCE, "found on the new one", || held(&library) == ["2.txt"]);
    put(&root.join("rfc3.txt"), b"three");
    until(PATIENCE, "followed", || library.get(txt(3)).is_some());
}
