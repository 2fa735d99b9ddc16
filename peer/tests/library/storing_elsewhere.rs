//! Targets whose folder for unfinished downloads lies on another file system, from where nothing can be renamed.

use std::{fs, path::Path, process::Command};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, Title},
};
use peer::library::{Body, Durability, StoreError, Target};

use crate::support::{Folder, again, inside_folder, is_inside, txt};

fn run(program: &str, args: &[&str], path: &Path) {
    let ended = Command::new(program).args(args).arg(path).status();
    assert!(ended.unwrap().success(), "{program} {args:?}");
}

fn document(bytes: &[u8]) -> (Document, Body) {
    let mut body = Body::default();
    body.push(bytes.to_vec().into(), 0);
    let document = Document {
        id: DocumentId {
            key: txt(1),
            sha256: Sha256::of(bytes),
        },
        size_bytes: body.len(),
        title: Title::default(),
        modified: None,
    };
    (document, body)
}

#[track_caller]
fn assert_told(error: &StoreError) {
    assert!(matches!(error, StoreError::PartFolder(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(".p2pci-part is in the way"), "{text}");
    assert!(text.contains("same file system"), "{text}");
}

#[test]
fn unfinished_downloads_on_another_file_system_are_refused() {
    const NAME: &str = "storing_elsewhere::unfinished_downloads_on_another_file_system_are_refused";
    if !is_inside() {
        let folder = Folder::new();
        again(NAME, &["unshare", "-rm"], &folder.root());
        return;
    }
    let root = inside_folder();
    let parts = root.join(".p2pci-part");
    fs::create_dir(&parts).unwrap();
    // Refused before anything is fetched.
    run("mount", &["-t", "tmpfs", "tmpfs"], &parts);
    assert_told(&Target::open(&root, Durability::None).unwrap_err());
    run("umount", &[], &parts);
    // The same file system, mounted once more: only renaming tells.
    let other = root.join("other");
    fs::create_dir(&other).unwrap();
    run("mount", &["--bind", other.to_str().unwrap()], &parts);
    let target = Target::open(&root, Durability::None).unwrap();
    let (document, body) = document(b"some bytes");
    assert_told(&target.store(&document, &body, false).unwrap_err());
    assert_told(&target.store(&document, &body, true).unwrap_err());
    let mut part = target.begin(document.id, document.size_bytes).unwrap();
    part.write(b"some bytes").unwrap();
    assert_told(&part.commit(None, false).unwrap_err());
    assert!(!root.join("rfc1.txt").exists());
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0, "nothing is left behind");
    drop(target);
    // Once it is moved away, all is well.
    run("umount", &[], &parts);
    let target = Target::open(&root, Durability::None).unwrap();
    target.store(&document, &body, false).unwrap();
    assert_eq!(fs::read(root.join("rfc1.txt")).unwrap(), b"some bytes");
}
