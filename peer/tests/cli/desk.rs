//! A folder of RFCs and a state folder, and searches there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::support::{Ran, peer, run};

/// A folder to search, and a state folder.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
}

impl Desk {
    /// With these of the samples.
    pub(crate) fn with(numbers: &[u32]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let desk = Self { dir };
        fs::create_dir(desk.rfcs()).unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/samples");
        for number in numbers {
            for (owner, ending) in ["alice", "bob", "carol"]
                .map(|owner| [(owner, "txt"), (owner, "json")])
                .concat()
            {
                let name = format!("rfc{number}.{ending}");
                // One of the three has it.
                let _ = fs::copy(samples.join(owner).join(&name), desk.rfcs().join(&name));
            }
        }
        desk
    }

    /// Three short ones, which are read in a moment.
    pub(crate) fn small() -> Self {
        Self::with(&[768, 1149, 2549])
    }

    pub(crate) fn rfcs(&self) -> PathBuf {
        self.dir.path().join("rfcs")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = peer();
        command.env("P2PCI_STATE_DIR", self.state()).arg("search");
        command.arg("--in").arg(self.rfcs()).args(args);
        command
    }

    pub(crate) async fn search(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args)).await
    }

    /// The numbers that are found, the best first.
    pub(crate) async fn found(&self, args: &[&str]) -> Vec<u64> {
        let ran = self.search(&[args, &["--json"]].concat()).await;
        assert!(matches!(ran.code, Some(0 | 3)), "{ran:#?}");
        ran.objects()
            .iter()
            .map(|object| object["number"].as_u64().unwrap())
            .collect()
    }

    /// The folder of the index.
    pub(crate) fn place(&self) -> PathBuf {
        let entries = fs::read_dir(self.state()).unwrap().map(|entry| entry.unwrap());
        let mut named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("search-"));
        named.next().unwrap().path()
    }

    pub(crate) fn index_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.place().join("index")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
        files.sort();
        files
    }
}
