//! Whether two folders are within each other: an export into the folder that it is made of would be shared as a part of it.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use p2p_ci::text::escaped;

use crate::error::PeerError;

/// Makes sure that `target`, which need not be there yet, is not `from`, nor in it, nor around it.
///
/// # Errors
///
/// [`PeerError::Usage`], with what to do.
pub fn check(from: &Path, target: &Path) -> Result<(), PeerError> {
    let (Ok(from), Ok(target)) = (from.canonicalize(), settled(target)) else {
        // Whoever opens them tells what is wrong.
        return Ok(());
    };
    let what = if from == target || is_same(&from, &target) {
        "is the folder that is exported"
    } else if is_within(&target, &from) {
        "lies in the folder that is exported"
    } else if is_within(&from, &target) {
        "holds the folder that is exported"
    } else {
        return Ok(());
    };
    let shown = |path: &Path| escaped(&path.to_string_lossy()).to_string();
    Err(PeerError::Usage(format!(
        "{} {what}, {}; choose a folder beside it",
        shown(&target),
        shown(&from)
    )))
}

/// Whether `inner` lies in `outer`, by its path or through whatever is mounted.
fn is_within(inner: &Path, outer: &Path) -> bool {
    inner.starts_with(outer) || inner.ancestors().any(|above| is_same(above, outer))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let one = file(one);
    one.is_some() && one == file(other)
}

/// The path without links in what is there of it.
fn settled(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for above in path.ancestors() {
        if let Ok(found) = above.canonicalize() {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            return Ok(found.join(rest).components().collect());
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn folders_within_each_other_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("rfcs/deep")).unwrap();
        fs::create_dir(at("beside")).unwrap();
        symlink(at("rfcs"), at("link")).unwrap();
        for (target, what) in [
            ("rfcs", "is the folder"),
            ("beside/../rfcs/.", "is the folder"),
            ("link", "is the folder"),
            ("rfcs/deep", "lies in"),
            ("rfcs/not/there", "lies in"),
            ("link/not", "lies in"),
            (".", "holds"),
        ] {
            let told = check(&at("rfcs"), &at(target)).unwrap_err().to_string();
            assert!(told.contains(what), "{target}: {told}");
        }
        for target in ["beside", "rfcs2", "not/there"] {
            check(&at("rfcs"), &at(target)).unwrap();
        }
        check(&at("absent"), &at("rfcs")).unwrap();
    }
}
