//! Tries again what the fuzzer found: inputs that lead to different places, and inputs that failed once.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fuzz::TARGETS;

/// Files that are kept for one target, and their bytes: enough to reach what it can reach, and small beside the code.
const MOST_FILES: usize = 400;
const MOST_BYTES: u64 = 200 * 1024;

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

/// The files of a folder in order of their names; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Tries each file of each target, and tells all that fail.
fn try_again(kind: &str) {
    let mut failed = Vec::new();
    for target in TARGETS {
        for file in files(&folder(kind).join(target.name)) {
            let data = fs::read(&file).unwrap();
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&data))).is_err() {
                failed.push(format!("{} fails with {}", target.name, file.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_is_kept_holds() {
    try_again("corpus");
}

#[test]
fn what_failed_once_holds_now() {
    try_again("crashes");
}

#[test]
fn any_target_takes_nothing_and_anything() {
    for target in TARGETS {
        for data in [&[] as &[u8], &[0], &[0xff; 64], b"rfc9110.txt"] {
            (target.run)(data);
        }
    }
}

#[test]
fn what_is_kept_is_small_and_belongs_to_a_target() {
    for target in TARGETS {
        let kept = files(&folder("corpus").join(target.name));
        let bytes: u64 = kept.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(!kept.is_empty(), "nothing is kept for {}", target.name);
        assert!(kept.len() <= MOST_FILES, "{} files for {}", kept.len(), target.name);
        assert!(bytes <= MOST_BYTES, "{bytes} bytes for {}", target.name);
    }
    for kind in ["corpus", "crashes"] {
        for folder in files(&folder(kind)) {
            let name = folder.file_name().unwrap().to_str().unwrap();
            assert!(fuzz::find(name).is_some(), "{} belongs to no target", folder.display());
        }
    }
}
