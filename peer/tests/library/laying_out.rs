//! Laying documents out under other names: links to their files, and files written aside.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use p2p_ci::digest::Sha256;
use peer::library::{Durability, Found, Placed, StoreError, Target};
use rustix::fs::{CWD, FileType, Mode};

use crate::support::{Folder, assert_holds, put, txt};

fn target(folder: &Folder) -> Target {
    Target::open(&folder.outside("out"), Durability::None).unwrap()
}

/// A folder with files that have been left alone for long enough that no change of theirs could be missed.
fn settled(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (name, text) in files {
        // Dated now, so that opening the folder waits for them.
        fs::write(folder.path(name), text).unwrap();
    }
    folder
}

/// What lies in the target, without the folder for unfinished files unless something is in it.
fn lying(folder: &Folder) -> Vec<String> {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let mut found = names(&folder.outside("out"));
    found.retain(|name| name != ".p2pci-part");
    found.extend(names(&folder.outside("out/.p2pci-part")));
    found.sort_unstable();
    found
}

fn draft(target: &Target, bytes: &[u8], path: &str, replace: bool) -> Result<Placed, StoreError> {
    let mut draft = target.draft().unwrap();
    draft.write_all(bytes).unwrap();
    assert_eq!(
        (draft.written(), draft.digest()),
        (bytes.len() as u64, Sha256::of(bytes))
    );
    draft.commit(Path::new(path), None, replace)
}

#[test]
fn a_document_whose_file_has_another_name_is_served_on_and_known_to_the_next_start() {
    let folder = settled(&[("rfc1.txt", "one")]);
    let (library, _) = folder.open();
    let (target, version) = (target(&folder), library.version());
    for name in ["1", "std/std1.txt"] {
        let original = library.original(txt(1)).unwrap();
        target
            .link(&original, Path::new(name), false)
            .unwrap()
            .expect("no link");
        assert!(matches!(
            target.link(&original, Path::new(name), false),
            Err(StoreError::Exists(path)) if path == folder.outside("out").join(name)
        ));
        // Renaming a name of a file to another one of it does nothing, so there is something to tidy up.
        target.link(&original, Path::new(name), true).unwrap().expect("no link");
    }
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(
        inode(&folder.path("rfc1.txt")),
        inode(&folder.outside("out/std/std1.txt"))
    );
    assert_holds(&library, txt(1), b"one");
    assert!(!version.has_changed().unwrap());
    drop(library);
    let (library, report) = folder.open();
    assert_eq!((report.hashed, report.cached), (0, 1));
    assert_holds(&library, txt(1), b"one");
    assert_eq!(lying(&folder), ["1", "std"]);
}

#[test]
fn two_that_link_at_a_time_do_not_mistake_each_other_for_a_change() {
    const TRIES: usize = 10_000;
    let folder = settled(&[("rfc1.txt", "one")]);
    let (library, _) = folder.open();
    let target = target(&folder);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (library, target) = (&library, &target);
            scope.spawn(move || {
                for number in 0..50 {
                    let name = format!("{thread}-{number}");
                    // Between the two somebody else may have linked it.
                    let is_linked = (0..TRIES).any(|_| {
                        let original = library.original(txt(1));
                        original
                            .is_some_and(|original| target.link(&original, Path::new(&name), false).unwrap().is_some())
                    });
                    assert!(is_linked, "{name}");
                }
            });
        }
    });
    assert_holds(&library, txt(1), b"one");
    assert_eq!(lying(&folder).len(), 200);
}

#[test]
fn a_file_that_is_not_what_was_hashed_gets_no_name() {
    let folder = settled(&[("rfc1.txt", "one"), ("rfc2.txt", "two")]);
    let (library, _) = folder.open();
    let target = target(&folder);
    assert!(library.original(txt(3)).is_none());
    let (replaced, altered) = (library.original(txt(1)).unwrap(), library.original(txt(2)).unwrap());
    fs::rename(put(&folder.outside("new"), b"new"), folder.path("rfc1.txt")).unwrap();
    folder.put("rfc2.txt", b"TWO");
    assert!(library.original(txt(1)).is_none() && library.original(txt(2)).is_none());
    for original in [replaced, altered] {
        assert_eq!(target.link(&original, Path::new("x"), false).unwrap(), None);
        assert_eq!(target.link(&original, Path::new("x"), true).unwrap(), None);
    }
    assert!(lying(&folder).is_empty());
}

#[test]
fn files_have_their_names_once_they_are_whole() {
    let folder = Folder::new();
    let target = target(&folder);
    let mut dropped = target.draft().unwrap();
    dropped.write_all(b"half").unwrap();
    assert_eq!(lying(&folder).len(), 1, "aside");
    drop(dropped);
    assert!(lying(&folder).is_empty());

    let first = draft(&target, b"first", "a/b.txt", false).unwrap();
    assert!(matches!(
        draft(&target, b"second", "a/b.txt", false),
        Err(StoreError::Exists(_))
    ));
    assert!(target.has(Path::new("a/b.txt"), &first));
    let second = draft(&target, b"second", "a/b.txt", true).unwrap();
    assert!(!target.has(Path::new("a/b.txt"), &first) && target.has(Path::new("a/b.txt"), &second));
    assert_eq!(fs::read(folder.outside("out/a/b.txt")).unwrap(), b"second");
    assert!(matches!(
        draft(&target, b"x", "a", true),
        Err(StoreError::InTheWay { what: "a folder", .. })
    ));
    assert!(matches!(
        draft(&target, b"x", "a/b.txt/c", true),
        Err(StoreError::InTheWay { .. })
    ));
    assert!(!target.remove(Path::new("a/b.txt"), &first), "another one by now");
    assert!(target.remove(Path::new("a/b.txt"), &second) && !target.remove(Path::new("a/b.txt"), &second));
    assert_eq!(lying(&folder), ["a"]);
}

#[test]
fn what_a_killed_process_left_aside_is_swept_and_nothing_else() {
    let folder = Folder::new();
    let aside = folder.outside("out/.p2pci-part");
    put(&aside.join("draft.0123456789abcdef.part"), b"half");
    put(&aside.join("draft.0123456789abcdef.part.txt"), b"mine");
    put(&aside.join("drafts.0123456789abcdef.part"), b"mine");
    let target = target(&folder);
    let kept = ["draft.0123456789abcdef.part.txt", "drafts.0123456789abcdef.part"];
    assert_eq!(lying(&folder), kept);
    let draft = target.draft().unwrap();
    let _other = Target::open(&folder.outside("out"), Durability::None).unwrap();
    draft
        .commit(Path::new("x"), None, false)
        .expect("swept although somebody writes to it");
}

#[test]
fn whatever_has_a_name_is_found_without_following_or_waiting() {
    let folder = Folder::new();
    let target = target(&folder);
    put(&folder.outside("secret/x"), b"secret");
    put(&folder.outside("out/file"), b"file");
    fs::create_dir(folder.outside("out/folder")).unwrap();
    symlink("file", folder.outside("out/link")).unwrap();
    symlink("../secret", folder.outside("out/away")).unwrap();
    let pipe = folder.outside("out/pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let found = |path: &str| target.find(Path::new(path));
    for (path, expected) in [
        ("link", ("a link", true)),
        ("pipe", ("no regular file", true)),
        ("folder", ("a folder", false)),
    ] {
        assert!(
            matches!(found(path).unwrap(), Found::Other { what, is_replaceable } if (what, is_replaceable) == expected),
            "{path}"
        );
    }
    assert!(matches!(found("absent").unwrap(), Found::Nothing));
    assert!(matches!(found("folder/absent/x").unwrap(), Found::Nothing));
    assert!(matches!(
        found("file/x"),
        Err(StoreError::InTheWay { what: "no folder", .. })
    ));
    // Nothing of a target lies elsewhere, whatever links say.
    assert!(matches!(found("away/x"), Err(StoreError::Io { .. })));
    assert!(matches!(
        draft(&target, b"x", "away/y", true),
        Err(StoreError::Io { .. })
    ));
    assert!(found("..").is_err() && found("").is_err());
    let Found::File(file) = found("file").unwrap() else {
        panic!("no file")
    };
    assert_eq!(
        (file.size_bytes(), file.digest(false).unwrap()),
        (4, Sha256::of(b"file"))
    );
    assert!(file.digest(true).is_err(), "not packed");
}
