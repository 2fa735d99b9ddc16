//! The inputs that are kept: few and short ones that together lead wherever any known input leads.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{engine::Engine, scratch};
use crate::{process, workspace};

/// Inputs that are kept for one target, and their bytes: what can be reviewed, and is no burden to those who clone.
const MOST_FILES: usize = 400;
const MOST_BYTES: u64 = 200 * 1024;

/// Choosing among a hundred thousand inputs takes less.
const CHOOSING_LIMIT: Duration = Duration::from_secs(3600);

/// Where inputs are kept, in a folder for each target.
pub fn folder() -> PathBuf {
    workspace::root().join("xtask/fuzz/corpus")
}

/// What is kept for a target.
pub fn of(target: &str) -> PathBuf {
    folder().join(target)
}

/// What was found to lead to new places, but is not kept.
pub fn new_of(target: &str) -> PathBuf {
    scratch().join("new").join(target)
}

/// Keeps what was found, as far as it leads where nothing else does; tells how much that is.
pub fn keep(engine: &Engine, target: &str) -> Result<String> {
    let chosen = tempfile::tempdir()?;
    let mut command = engine.command(target);
    // A set that covers the same edges; how often each is passed does not count, which would take many times as many.
    command.args(["-set_cover_merge=1", "-use_counters=0", "-use_value_profile=0"]);
    command.arg(chosen.path()).arg(of(target)).arg(new_of(target));
    let what = format!("choosing inputs for {target}");
    process::run(&what, command, CHOOSING_LIMIT)?.expect_code(&what, 0)?;
    let files = largest(chosen.path())?;
    let bytes: u64 = files.iter().map(|(bytes, _)| bytes).sum();
    let kept = of(target);
    fs::remove_dir_all(&kept).with_context(|| format!("cannot empty {}", kept.display()))?;
    fs::create_dir_all(&kept)?;
    for (_, file) in &files {
        fs::copy(file, kept.join(file.file_name().context("a file has a name")?))?;
    }
    Ok(format!("{target}: {} inputs of {bytes} bytes are kept", files.len()))
}

/// The largest files of a folder, as many as may be kept, with their lengths. Long inputs lead to more places than short ones.
fn largest(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.path()));
    }
    files.sort_by(|a, b| b.cmp(a));
    let mut bytes = 0;
    files.truncate(MOST_FILES);
    files.retain(|(length, _)| {
        bytes += length;
        bytes <= MOST_BYTES
    });
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..MOST_FILES + 10 {
            fs::write(folder.path().join(index.to_string()), vec![0; index]).unwrap();
        }
        let files = largest(folder.path()).unwrap();
        assert_eq!(files.len(), MOST_FILES);
        assert_eq!(files.first().unwrap().0, MOST_FILES as u64 + 9);
        assert_eq!(files.last().unwrap().0, 10);
        let one = tempfile::tempdir().unwrap();
        fs::write(one.path().join("large"), vec![0; 300 * 1024]).unwrap();
        assert!(largest(one.path()).unwrap().is_empty());
    }
}
