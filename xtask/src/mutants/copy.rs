//! The copy of the workspace that patches are applied to.
//!
//! It is kept between runs beside a target folder of its own: cargo knows a package by its path and a source by its time,
//! so that in a new folder it would build everything anew. It is made the same as the workspace at the beginning, whatever
//! an earlier run left behind; what is edited in the workspace meanwhile does not matter.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::patch::{self, Patch};
use crate::{process, workspace};

/// Git answers at once, unless its disk hangs.
const GIT_LIMIT: Duration = Duration::from_secs(60);

/// A copy of the workspace, for this process alone.
#[derive(Debug)]
pub struct Copy {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
    /// Locked as long as this lives.
    _lock: File,
}

impl Copy {
    /// Makes the copy, or brings an earlier one up to date.
    pub fn make(root: &Path) -> Result<Self> {
        let folder = workspace::target_dir().join("mutants");
        let tree = folder.join("tree");
        fs::create_dir_all(&tree).with_context(|| format!("cannot make {}", tree.display()))?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run is at work in {}", folder.display()),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the copy"),
        }
        let copy = Self {
            root: root.to_owned(),
            tree,
            target: folder.join("target"),
            _lock: lock,
        };
        copy.update()?;
        Ok(copy)
    }

    /// Makes the copy the same as the workspace. Files that are the same already keep their times.
    fn update(&self) -> Result<()> {
        let files = self.files()?;
        for file in &files {
            self.copy_file(file)
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
        for file in present(&self.tree)? {
            if !files.contains(&file) {
                fs::remove_file(self.tree.join(&file))?;
            }
        }
        Ok(())
    }

    /// The files of the workspace: those that git tracks, and new ones that it does not ignore.
    fn files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut command = git(&self.root);
        command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let what = "git ls-files";
        let listed = process::run(what, command, GIT_LIMIT)?.expect_code(what, 0)?;
        let files = listed
            .stdout
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from);
        // What was removed and not committed yet is listed too.
        Ok(files.filter(|file| self.root.join(file).is_file()).collect())
    }

    fn copy_file(&self, file: &Path) -> io::Result<()> {
        let (from, to) = (self.root.join(file), self.tree.join(file));
        let bytes = fs::read(&from)?;
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, bytes)?;
        fs::set_permissions(
            &to,
            fs::Permissions::from_mode(fs::metadata(&from)?.permissions().mode()),
        )
    }

    /// Applies a patch.
    pub fn apply(&self, patch: &Patch) -> Result<()> {
        apply(&self.tree, &patch::path(&self.tree, &patch.name), &[])
    }

    /// Takes a patch back.
    pub fn revert(&self, patch: &Patch) -> Result<()> {
        apply(&self.tree, &patch::path(&self.tree, &patch.name), &["--reverse"])
    }

    /// A cargo command in the copy.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = workspace::cargo(arguments);
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// Fails unless a patch applies to a tree; changes nothing.
pub fn check(tree: &Path, patch: &Patch) -> Result<()> {
    apply(tree, &patch::path(tree, &patch.name), &["--check"])
}

fn apply(tree: &Path, patch: &Path, options: &[&str]) -> Result<()> {
    let mut command = git(tree);
    command.arg("apply").args(options).arg(patch);
    // Below a checkout, paths would mean files of that one.
    if let Some(above) = tree.parent() {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    let what = "git apply";
    process::run(what, command, GIT_LIMIT)?.expect_code(what, 0)?;
    Ok(())
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder);
    // A hook's own variables name its checkout.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command
}

/// Every file below a folder.
fn present(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}
