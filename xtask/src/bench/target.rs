//! Where documents are written to: for each run a place that nothing has been deleted from.
//!
//! ext4 does not give an inode away again within a minute of its deletion, and looks for others one by one, so that a run
//! after a deletion would be several times slower than one before it. So each run gets a file system of its own, on a
//! file in memory; or, without the right to mount one, a new folder in memory, where there is no such effect.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::{process, tools, wait};

/// How long making, mounting or unmounting a file system may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What a file needs beside its bytes, in bytes: a block that is not full, and its share of inodes and folders.
const OVERHEAD_PER_FILE: u64 = 8 << 10;

/// What a file system needs for itself, in bytes: its journal and tables.
const OVERHEAD: u64 = 128 << 20;

/// The kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fresh ext4 on a file in memory.
    Ext4,
    /// A new folder in memory.
    Memory,
}

/// Makes places.
#[derive(Debug)]
pub struct Targets {
    kind: Kind,
    folder: PathBuf,
    size: u64,
    made: std::cell::Cell<u32>,
}

/// One place. It goes away with this value.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    mount: Option<Mount>,
    folder: PathBuf,
}

impl Targets {
    /// Makes places in this folder for so many files of so many bytes altogether: file systems of their own if the
    /// system grants them.
    pub fn file_systems(folder: &Path, files: usize, bytes: u64) -> Result<Self> {
        // Twice the bytes, because a mirror may be written beside what it replaces.
        let size = OVERHEAD + bytes * 2 + OVERHEAD_PER_FILE * files as u64;
        let mut targets = Self::new(Kind::Ext4, folder, size);
        let has_tools = ["mkfs.ext4", "mount", "umount"].iter().all(|name| tools::has(name));
        if !geteuid().is_root() || !has_tools {
            targets.kind = Kind::Memory;
        } else if let Err(error) = targets.fresh() {
            // A container may be granted root, but no mounts.
            wait::check_interrupt()?;
            eprintln!("no file systems of their own for the targets: {error:#}");
            targets.kind = Kind::Memory;
        }
        Ok(targets)
    }

    /// Makes new folders.
    pub fn in_memory(folder: &Path) -> Self {
        Self::new(Kind::Memory, folder, 0)
    }

    fn new(kind: Kind, folder: &Path, size: u64) -> Self {
        Self {
            kind,
            folder: folder.to_owned(),
            size,
            made: std::cell::Cell::new(0),
        }
    }

    /// What the places are, for people.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Ext4 => "each run writes to a fresh ext4 on a file in memory",
            Kind::Memory => "each run writes to a new folder in memory",
        }
    }

    /// An empty place.
    pub fn fresh(&self) -> Result<Target> {
        self.made.set(self.made.get() + 1);
        let folder = self.folder.join(format!("target-{}", self.made.get()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // Made first, so that what follows is taken back wherever it fails.
        let mut target = Target {
            path: folder.join("rfcs"),
            mount: None,
            folder,
        };
        if self.kind == Kind::Ext4 {
            let mount = Mount::make(&target.folder, self.size)?;
            target.path = mount.point.join("rfcs");
            target.mount = Some(mount);
        }
        fs::create_dir(&target.path).with_context(|| format!("cannot make {}", target.path.display()))?;
        Ok(target)
    }
}

impl Target {
    /// The folder to write to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // In this order: the folder holds the file that the file system lies on.
        drop(self.mount.take());
        // What is left lies in the folder of the whole run, which complains when it cannot be removed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A mounted file system.
#[derive(Debug)]
struct Mount {
    point: PathBuf,
}

impl Mount {
    fn make(folder: &Path, size: u64) -> Result<Self> {
        let (image, point) = (folder.join("image"), folder.join("mounted"));
        File::create(&image)?.set_len(size)?;
        fs::create_dir(&point)?;
        // The tables are not written beforehand, and, by the option of mount, not in the background either.
        let mut make = command("mkfs.ext4");
        make.args(["-q", "-F", "-E", "lazy_itable_init=1,nodiscard"])
            .arg(&image);
        run("mkfs.ext4", make)?;
        let mut mount = command("mount");
        mount
            .args(["-t", "ext4", "-o", "loop,noinit_itable"])
            .args([&image, &point]);
        run("mount", mount)?;
        Ok(Self { point })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = |options: &[&str]| {
            let mut unmount = command("umount");
            unmount.args(options).arg(&self.point);
            // Must be done although the user has interrupted.
            wait::although_interrupted(|| run("umount", unmount))
        };
        if let Err(error) = unmount(&[]).or_else(|_| unmount(&["--lazy"])) {
            eprintln!(
                "cannot unmount {}: {error:#}; do so by `umount`, then remove the folder",
                self.point.display()
            );
        }
    }
}

fn command(name: &str) -> Command {
    Command::new(tools::find(name).unwrap_or_else(|| name.into()))
}

fn run(what: &str, command: Command) -> Result<()> {
    process::run(what, command, COMMAND_LIMIT)?
        .expect_code(what, 0)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_empty_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let targets = Targets::in_memory(folder.path());
        let (one, two) = (targets.fresh().unwrap(), targets.fresh().unwrap());
        assert_ne!(one.path(), two.path());
        fs::write(one.path().join("rfc1.txt"), "x").unwrap();
        assert_eq!(fs::read_dir(two.path()).unwrap().count(), 0);
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists());
    }
}
