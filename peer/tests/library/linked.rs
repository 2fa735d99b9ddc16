//! Symbolic links: followed beneath the folder, never out of it.

use std::{fs, os::unix::fs::symlink};

use peer::library::{Library, SkipReason};

use crate::support::{Folder, assert_holds, held, put, txt};

#[test]
fn links_that_stay_inside_are_followed() {
    let folder = Folder::new();
    folder.put("store/rfc1.txt", b"by its name");
    folder.put("store/anything", b"by a link only");
    fs::create_dir(folder.path("links")).unwrap();
    symlink("../store/rfc1.txt", folder.path("links/rfc1.txt")).unwrap();
    symlink("../store/anything", folder.path("links/rfc2.txt")).unwrap();
    symlink("rfc2.txt", folder.path("links/rfc3.txt")).unwrap();
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["1.txt", "2.txt", "3.txt"]);
    assert_holds(&library, txt(1), b"by its name");
    assert_holds(&library, txt(3), b"by a link only");
    assert_eq!(report.shadowed, 0, "a link and its file are one");
}

#[test]
fn links_that_leave_are_ignored_and_counted() {
    let folder = Folder::new();
    let secret = put(&folder.outside("secret"), b"secret");
    symlink("/etc/passwd", folder.path("rfc1.txt")).unwrap();
    symlink("../secret", folder.path("rfc2.txt")).unwrap();
    symlink(&secret, folder.path("rfc3.txt")).unwrap();
    symlink("/proc/self/environ", folder.path("rfc4.txt")).unwrap();
    symlink("/dev/zero", folder.path("rfc5.txt")).unwrap();
    folder.put("rfc6.txt", b"x");
    // Even when it leads back in: whether it does depends on what others call this folder.
    symlink(folder.path("rfc6.txt"), folder.path("rfc7.txt")).unwrap();
    symlink("../rfc/rfc6.txt", folder.path("rfc8.txt")).unwrap();
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["6.txt"]);
    assert_eq!(report.skipped.count(SkipReason::OutsideLink), 7);
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_counted() {
    let folder = Folder::new();
    symlink("absent", folder.path("rfc1.txt")).unwrap();
    symlink("rfc3.txt", folder.path("rfc2.txt")).unwrap();
    symlink("rfc2.txt", folder.path("rfc3.txt")).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    symlink("sub", folder.path("rfc4.txt")).unwrap();
    symlink("..", folder.path("sub/up")).unwrap();
    let (library, report) = folder.open();
    assert!(library.snapshot().is_empty());
    assert_eq!(report.skipped.count(SkipReason::BrokenLink), 3);
    assert_eq!(report.skipped.count(SkipReason::FolderLink), 1);
    assert_eq!(
        report.skipped.count(SkipReason::OtherName),
        1,
        "a link to a folder is not entered"
    );
}

#[test]
fn a_folder_of_links_alone_says_what_to_share() {
    let folder = Folder::new();
    folder.put("unclassified/rfc1.txt", b"x");
    fs::create_dir(folder.path("links")).unwrap();
    symlink("../unclassified/rfc1.txt", folder.path("links/rfc1.txt")).unwrap();
    let (library, report) = Library::open(&folder.path("links"), &folder.state(), &|_| {}).unwrap();
    assert!(library.snapshot().is_empty());
    let hint = report.hint.unwrap();
    assert!(hint.starts_with("1 links in "), "{hint}");
    assert!(
        hint.contains(&format!("share {} to", folder.root().display())),
        "{hint}"
    );
}

#[test]
fn the_folder_itself_may_be_given_by_a_link() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"x");
    let link = folder.outside("link");
    symlink(folder.root(), &link).unwrap();
    let (library, _) = Library::open(&link, &folder.state(), &|_| {}).unwrap();
    assert_holds(&library, txt(1), b"x");
}
