//! Downloads that cannot be stored: what is said, and that nothing is left behind.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
};

use p2p_ci::{
    digest::Sha256,
    document::DocumentId,
    limits::{MAX_DOCUMENT_BYTES, MAX_ERROR_MESSAGE_BYTES},
};
use peer::library::{Durability, IntegrityProblem, StoreError, Target};

use crate::support::{Folder, again, bytes, inside_folder, is_inside, put, txt};

fn id(bytes: &[u8]) -> DocumentId {
    DocumentId {
        key: txt(1),
        sha256: Sha256::of(bytes),
    }
}

fn open(folder: &Folder) -> Target {
    Target::open(&folder.root(), Durability::None).unwrap()
}

/// How many files lie below a folder, hidden ones too.
fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() {
                count_files(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let folder = Folder::new();
    let target = open(&folder);
    let mut part = target.begin(id(b"right"), 5).unwrap();
    part.write(b"wrong").unwrap();
    let error = part.commit(None, false).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Integrity {
                problem: IntegrityProblem::Digest { .. },
                ..
            }
        ),
        "{error}"
    );
    let text = format!(
        "SHA-256 {} instead of {}",
        Sha256::of(b"wrong").fmt_short(),
        Sha256::of(b"right").fmt_short()
    );
    assert!(error.to_string().contains(&text), "{error}");

    let mut part = target.begin(id(b"right"), 5).unwrap();
    part.write(b"rig").unwrap();
    let error = part.commit(None, true).unwrap_err();
    assert!(error.to_string().contains("3 bytes instead of 5"), "{error}");

    let mut part = target.begin(id(b"right"), 5).unwrap();
    part.write(b"right").unwrap();
    let error = part.write(b"!").unwrap_err();
    assert!(error.to_string().contains("6 bytes instead of 5"), "{error}");
    drop(part);
    assert_eq!(count_files(&folder.root()), 0);
}

#[test]
fn a_dropped_download_leaves_nothing() {
    let folder = Folder::new();
    let target = open(&folder);
    let mut part = target.begin(id(b"right"), 5).unwrap();
    part.write(b"rig").unwrap();
    assert_eq!(count_files(&folder.root()), 1);
    drop(part);
    drop(target);
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_there_is_left_alone_unless_it_is_to_be_replaced() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"the user's");
    let target = open(&folder);
    let commit = |replace| {
        let mut part = target.begin(id(b"other"), 5).unwrap();
        part.write(b"other").unwrap();
        part.commit(None, replace)
    };
    let error = commit(false).unwrap_err();
    assert!(
        matches!(&error, StoreError::Exists(path) if *path == folder.path("rfc1.txt")),
        "{error}"
    );
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"the user's");
    commit(true).unwrap();
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"other");
    assert_eq!(count_files(&folder.root()), 1);
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let folder = Folder::new();
    let elsewhere = put(&folder.outside("elsewhere"), b"not to be touched");
    symlink(&elsewhere, folder.path("rfc1.txt")).unwrap();
    let target = open(&folder);
    let commit = |replace| {
        let mut part = target.begin(id(b"mine"), 4).unwrap();
        part.write(b"mine").unwrap();
        part.commit(None, replace)
    };
    assert!(matches!(target.existing(txt(1)), Err(StoreError::InTheWay { .. })));
    assert!(matches!(commit(false), Err(StoreError::Exists(_))));
    commit(true).unwrap();
    assert_eq!(fs::read(elsewhere).unwrap(), b"not to be touched");
    assert!(folder.path("rfc1.txt").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_folder_of_that_name_is_in_the_way() {
    let folder = Folder::new();
    fs::create_dir(folder.path("rfc1.txt")).unwrap();
    let target = open(&folder);
    let error = target.existing(txt(1)).unwrap_err();
    assert!(matches!(error, StoreError::InTheWay { .. }), "{error}");
    for replace in [false, true] {
        let mut part = target.begin(id(b"x"), 1).unwrap();
        part.write(b"x").unwrap();
        let error = part.commit(None, replace).unwrap_err();
        assert!(error.to_string().contains("rfc1.txt"), "{error}");
    }
    assert!(folder.path("rfc1.txt").is_dir());
    assert_eq!(count_files(&folder.root()), 0);
}

#[test]
fn targets_that_are_none_are_told_apart() {
    let folder = Folder::new();
    let file = put(&folder.outside("file"), b"x");
    let open = |path: &Path| Target::open(path, Durability::None).unwrap_err();
    let error = open(&file);
    assert!(matches!(error, StoreError::NotAFolder(_)), "{error}");
    assert!(error.to_string().contains("file is no folder; choose"), "{error}");
    assert!(matches!(open(&file.join("below")), StoreError::NotAFolder(_)));
    let error = open(&folder.outside("absent/below"));
    assert!(matches!(error, StoreError::NoParent(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("absent/below: its parent folder does not exist"),
        "{error}"
    );
    for (number, kind) in ["file", "link"].into_iter().enumerate() {
        let root = folder.path(&number.to_string());
        fs::create_dir(&root).unwrap();
        let part_folder = root.join(".p2pci-part");
        match kind {
            "file" => drop(File::create(&part_folder).unwrap()),
            _ => symlink("/tmp", &part_folder).unwrap(),
        }
        let error = open(&root);
        assert!(matches!(error, StoreError::PartFolder(_)), "{kind}: {error}");
        assert!(error.to_string().contains(".p2pci-part is in the way"), "{error}");
        assert!(part_folder.symlink_metadata().is_ok(), "left as it was");
    }
}

#[test]
fn a_document_larger_than_any_is_refused_at_once() {
    let folder = Folder::new();
    let target = open(&folder);
    let error = target.begin(id(b"x"), MAX_DOCUMENT_BYTES + 1).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TooLarge {
                size_bytes: 16_777_217,
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        target.begin(id(b"x"), u64::MAX),
        Err(StoreError::TooLarge { .. })
    ));
    target.begin(id(b"x"), MAX_DOCUMENT_BYTES).unwrap();
}

#[test]
fn of_two_downloads_of_one_document_one_is_kept() {
    let folder = Folder::new();
    let target = open(&folder);
    let mut parts = [
        target.begin(id(b"same"), 4).unwrap(),
        target.begin(id(b"same"), 4).unwrap(),
    ];
    for part in &mut parts {
        part.write(b"same").unwrap();
    }
    let was_there = parts.map(|part| part.commit(None, false).unwrap().was_there);
    assert_eq!(
        was_there,
        [false, true],
        "the second one finds its own bytes, not others"
    );
    assert_eq!(count_files(&folder.root()), 1);
}

#[test]
fn unlocked_remains_are_swept_and_everything_else_stays() {
    let folder = Folder::new();
    let remains = ["rfc1.txt.0123456789abcdef.part", "rfc10052.html.00ff00ff00ff00ff.part"];
    let foreign = [
        "rfc1.txt",
        "notes.part",
        "rfc1.txt.part",
        "rfc1.txt.0123456789abcdeX.part",
        "x.0123456789abcdef.part",
    ];
    for name in remains.iter().chain(&foreign) {
        folder.put(&format!(".p2pci-part/{name}"), b"x");
    }
    let target = open(&folder);
    let mut left: Vec<_> = fs::read_dir(folder.path(".p2pci-part"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    let mut kept = foreign.to_vec();
    kept.sort_unstable();
    assert_eq!(left, kept);
    let mut part = target.begin(id(b"alive"), 5).unwrap();
    part.write(b"al").unwrap();
    let other = open(&folder);
    part.write(b"ive").unwrap();
    part.commit(None, false).unwrap();
    assert_eq!(
        fs::read(folder.path("rfc1.txt")).unwrap(),
        b"alive",
        "a download in progress is locked"
    );
    drop(other);
}

#[test]
fn another_target_tidying_up_does_not_disturb() {
    let folder = Folder::new();
    let target = open(&folder);
    drop(open(&folder));
    assert!(!folder.path(".p2pci-part").exists());
    let mut part = target.begin(id(b"x"), 1).unwrap();
    open(&folder).finish().unwrap();
    part.write(b"x").unwrap();
    part.commit(None, false).unwrap();
    assert_eq!(fs::read(folder.path("rfc1.txt")).unwrap(), b"x");
}

#[test]
fn a_killed_process_leaves_nothing_that_the_next_one_does_not_sweep() {
    const NAME: &str = "storing_badly::a_killed_process_leaves_nothing_that_the_next_one_does_not_sweep";
    if is_inside() {
        let target = Target::open(&inside_folder(), Durability::None).unwrap();
        let mut part = target.begin(id(b"right"), 5).unwrap();
        part.write(b"rig").unwrap();
        std::io::Write::write_all(&mut std::io::stderr(), b"EXPECTED ABORT\n").unwrap();
        std::process::abort();
    }
    let folder = Folder::new();
    again(NAME, &["env"], &folder.root());
    assert_eq!(count_files(&folder.root()), 1, "the unfinished download");
    drop(open(&folder));
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 0);
}

#[test]
fn a_full_disk_is_told_with_figures() {
    const NAME: &str = "storing_badly::a_full_disk_is_told_with_figures";
    if !is_inside() {
        let folder = Folder::new();
        again(NAME, &["unshare", "-rm"], &folder.root());
        return;
    }
    let root = inside_folder();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&root)
        .status();
    assert!(mounted.unwrap().success());
    put(&root.join("rfc2.txt"), b"mine");
    let target = Target::open(&root, Durability::End).unwrap();
    let large = bytes(1_593_486);
    // Refused before a byte is written.
    let error = target.begin(id(&large), 1_593_486).unwrap_err();
    let StoreError::NoSpace {
        needed_bytes,
        free_bytes,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        *needed_bytes,
        1_593_486 + 1_048_576 / 16,
        "a sixteenth of a small disk is kept free"
    );
    assert!(*free_bytes < 1_048_576);
    assert!(
        error
            .to_string()
            .contains(&format!("{needed_bytes} bytes needed, {free_bytes} free")),
        "{error}"
    );
    // Refused in mid-write, as another program took the space meanwhile.
    let mut part = target.begin(id(&large[..900_000]), 900_000).unwrap();
    part.write(&large[..400_000]).unwrap();
    put(&root.join("other"), &bytes(500_000));
    let error = part.write(&large[400_000..900_000]).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NoSpace {
                needed_bytes: 900_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().len() <= MAX_ERROR_MESSAGE_BYTES);
    drop(part);
    assert_eq!(count_files(&root), 2, "only what was there before");
    assert_eq!(fs::read(root.join("rfc2.txt")).unwrap(), b"mine");
    // What fits is stored.
    let mut part = target.begin(id(&large[..100_000]), 100_000).unwrap();
    part.write(&large[..100_000]).unwrap();
    part.commit(None, false).unwrap();
    target.finish().unwrap();
}

#[test]
fn a_read_only_file_system_is_told() {
    const NAME: &str = "storing_badly::a_read_only_file_system_is_told";
    if !is_inside() {
        let folder = Folder::new();
        again(NAME, &["unshare", "-rm"], &folder.root());
        return;
    }
    let root = inside_folder();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "ro", "tmpfs"])
        .arg(&root)
        .status();
    assert!(mounted.unwrap().success());
    for path in [root.clone(), root.join("new")] {
        let error = Target::open(&path, Durability::End).unwrap_err();
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
        assert!(error.to_string().contains("Read-only file system"), "{error}");
    }
}
