//! That documents are on the disk when they are said to be: what a power cut would leave of them.
//!
//! A file system that gives new bytes their place on the disk only when it writes them tells of each file whether it has
//! one yet (`filefrag`, for anybody). Where it does not tell, and where no disk may be mounted, tests are left out.

use std::{fs, path::Path, process::Command};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, Title},
};
use peer::library::{Body, Durability, Stored, Target};
use tempfile::TempDir;

use crate::support::{again, bytes, is_inside, skip, txt};

/// More than a file system keeps beside the file's name, and far less than it would write at once.
const LENGTH: usize = 64 * 1024;

/// Where files lie on a disk, as in this workspace: folders for temporary files may be in memory.
fn on_disk() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Whether all bytes of a file have their place on the disk; `None` where nobody tells.
fn has_place(path: &Path) -> Option<bool> {
    let output = Command::new("filefrag").arg("-v").arg(path).output().ok()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let extents: Vec<&str> = told.lines().filter(|line| line.contains("..")).collect();
    let is_told = output.status.success() && !extents.is_empty();
    is_told.then(|| extents.iter().all(|extent| !extent.contains("delalloc")))
}

/// Whether the file system tells, by the example of a file that nobody has forced to the disk.
fn is_told(test: &str, folder: &Path) -> bool {
    let path = folder.join("lazy");
    fs::write(&path, bytes(LENGTH)).unwrap();
    let is_told = has_place(&path) == Some(false);
    if !is_told {
        skip(test, "the file system does not tell what is on the disk");
    }
    is_told
}

fn id(bytes: &[u8]) -> DocumentId {
    DocumentId {
        key: txt(1),
        sha256: Sha256::of(bytes),
    }
}

/// Stores a document piece by piece, as a download of one RFC does.
fn store_in_pieces(target: &Target) -> Stored {
    let bytes = bytes(LENGTH);
    let mut part = target.begin(id(&bytes), LENGTH as u64).unwrap();
    part.write(&bytes).unwrap();
    part.commit(None, false).unwrap()
}

/// Stores a document whose bytes are all there, as a mirror does.
fn store_whole(target: &Target) -> Stored {
    let bytes = bytes(LENGTH);
    let document = Document {
        id: id(&bytes),
        size_bytes: LENGTH as u64,
        title: Title::default(),
        modified: None,
    };
    let mut body = Body::default();
    body.push(bytes.into(), 0);
    target.store(&document, &body, false).unwrap()
}

#[test]
fn each_file_is_on_the_disk_when_it_has_its_name() {
    let folder = on_disk();
    if !is_told("each_file_is_on_the_disk_when_it_has_its_name", folder.path()) {
        return;
    }
    for (name, store) in [
        ("pieces", store_in_pieces as fn(&Target) -> Stored),
        ("whole", store_whole),
    ] {
        let target = Target::open(&folder.path().join(name), Durability::File).unwrap();
        let stored = store(&target);
        assert_eq!(
            has_place(&stored.path),
            Some(true),
            "in {name}: a power cut would leave an empty file"
        );
    }
}

#[test]
fn everything_is_on_the_disk_when_a_run_has_ended() {
    let folder = on_disk();
    if !is_told("everything_is_on_the_disk_when_a_run_has_ended", folder.path()) {
        return;
    }
    let target = Target::open(&folder.path().join("rfc"), Durability::End).unwrap();
    let stored = store_whole(&target);
    target.finish().unwrap();
    assert_eq!(
        has_place(&stored.path),
        Some(true),
        "a power cut would leave an empty file"
    );
}

/// Runs a command in a folder with a disk that is a file, `disk`, mounted at `mounted`. Its file system writes nothing by
/// itself meanwhile.
const WITH_DISK: &str = r#"
folder=$(mktemp -d "$0/XXXXXX") && cd "$folder" && truncate -s 16M disk && mkfs.ext4 -q -F disk &&
mkdir mounted && mount -o loop,commit=300 disk mounted && exec "$@"
"#;

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// What a copy of the disk holds is what a power cut would leave.
#[test]
fn a_power_cut_takes_no_name_that_was_reported() {
    const NAME: &str = "storing_durably::a_power_cut_takes_no_name_that_was_reported";
    if !is_inside() {
        let folder = on_disk();
        let path = folder.path().to_str().unwrap();
        // Only the system's own administrator may mount a disk.
        again(NAME, &["unshare", "-m", "sh", "-c", WITH_DISK, path], folder.path());
        return;
    }
    let target = Target::open(Path::new("mounted"), Durability::File).unwrap();
    let stored = store_in_pieces(&target);
    fs::write("mounted/lazy", b"what nobody forces to the disk").unwrap();
    fs::copy("disk", "copy").unwrap();
    run("umount", &["--lazy", "mounted"]);
    run("mount", &["-o", "loop", "copy", "mounted"]);
    assert!(!Path::new("mounted/lazy").exists(), "the disk was not cut off");
    let left = fs::read(&stored.path).expect("its name is gone");
    run("umount", &["mounted"]);
    assert_eq!(left, bytes(LENGTH));
}
