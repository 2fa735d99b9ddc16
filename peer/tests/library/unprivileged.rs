//! Permissions. They do not bind root, so these tests run themselves again as somebody else where root runs them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use peer::library::{Durability, Library, LibraryError, SkipReason, StoreError, Target, Watcher};

use crate::support::{PROMPTLY, again, held, inside_folder, is_inside, put, skip, txt, until};

/// Nobody's user and group id on every Linux.
const AS_NOBODY: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--",
];

/// Runs `test` in a folder of its own, as a user whom permissions bind.
fn bound(name: &str, test: impl FnOnce(&Path)) {
    if is_inside() {
        return test(&inside_folder());
    }
    let temp = tempfile::tempdir().unwrap();
    if !rustix::process::geteuid().is_root() {
        return test(temp.path());
    }
    if !is_reachable(&std::env::current_exe().unwrap()) {
        return skip(name, "run as root, and nobody else may run this binary");
    }
    fs::set_permissions(temp.path(), Permissions::from_mode(0o777)).unwrap();
    again(name, &AS_NOBODY, temp.path());
}

/// Whether others may run a program: it and all folders above it let them.
fn is_reachable(program: &Path) -> bool {
    program
        .ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_may_not_be_read_is_counted_and_shared_once_it_may() {
    bound(
        "unprivileged::what_may_not_be_read_is_counted_and_shared_once_it_may",
        |temp| {
            let root = temp.join("rfc");
            let file = put(&root.join("rfc1.txt"), b"x");
            put(&root.join("sub/rfc2.txt"), b"x");
            put(&root.join("rfc3.txt"), b"x");
            set_mode(&file, 0);
            set_mode(&root.join("sub"), 0);
            let (library, report) = Library::open(&root, &temp.join("state"), &|_| {}).unwrap();
            assert_eq!(held(&library), ["3.txt"]);
            assert_eq!(report.skipped.count(SkipReason::Unreadable), 2);
            let _watcher = Watcher::start(library.clone()).unwrap();
            set_mode(&file, 0o600);
            until(PROMPTLY, "readable", || library.get(txt(1)).is_some());
            set_mode(&root.join("sub"), 0o700);
            until(PROMPTLY, "enterable", || library.get(txt(2)).is_some());
        },
    );
}

#[test]
fn a_document_that_may_no_longer_be_read_is_withdrawn() {
    bound(
        "unprivileged::a_document_that_may_no_longer_be_read_is_withdrawn",
        |temp| {
            let root = temp.join("rfc");
            let file = put(&root.join("rfc1.txt"), b"x");
            let (library, _) = Library::open(&root, &temp.join("state"), &|_| {}).unwrap();
            set_mode(&file, 0);
            assert!(matches!(library.read(txt(1), 0), Err(LibraryError::Read { .. })));
            assert_eq!(library.get(txt(1)), None);
        },
    );
}

#[test]
fn a_folder_that_may_not_be_read_is_told() {
    bound("unprivileged::a_folder_that_may_not_be_read_is_told", |temp| {
        let root = temp.join("rfc");
        put(&root.join("rfc1.txt"), b"x");
        for mode in [0, 0o100] {
            set_mode(&root, mode);
            let error = Library::open(&root, &temp.join("state"), &|_| {}).unwrap_err();
            assert!(matches!(error, LibraryError::Unreadable { .. }), "{error}");
            assert!(error.to_string().contains("Permission denied"), "{error}");
        }
        set_mode(&root, 0o700);
    });
}

#[test]
fn a_target_that_may_not_be_written_is_told() {
    bound("unprivileged::a_target_that_may_not_be_written_is_told", |temp| {
        let root = temp.join("rfc");
        fs::create_dir(&root).unwrap();
        let told = |path: &Path| {
            let error = Target::open(path, Durability::End).unwrap_err();
            assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
            assert!(error.to_string().contains("Permission denied"), "{error}");
            assert!(error.to_string().contains("choose another folder"), "{error}");
        };
        set_mode(&root, 0o500);
        told(&root);
        told(&root.join("new"));
        // A folder for unfinished downloads of earlier days does not help.
        set_mode(&root, 0o700);
        fs::create_dir(root.join(".p2pci-part")).unwrap();
        set_mode(&root, 0o500);
        told(&root);
        set_mode(&root, 0o700);
    });
}
