//! `export`: folders as readers of RFCs look for them, whatever lies there already, and kept as the source changes.

mod following;
mod layouts;
mod meddling;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Ran, peer, run};

/// A folder with RFCs, one to fill, and a home, all below one.
pub(super) struct Desk {
    dir: TempDir,
}

impl Desk {
    /// With these RFCs: the name of a file and its text each.
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rfcs")).unwrap();
        let desk = Self { dir };
        for (name, text) in files {
            desk.put(name, text);
        }
        desk
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A file among the RFCs, made at once.
    pub(super) fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let aside = self.at("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.at("rfcs").join(name)).unwrap();
    }

    /// The program, at home here.
    pub(super) fn export(&self, args: &str) -> Command {
        let mut command = peer();
        command
            .arg("export")
            .args(args.split_whitespace())
            .current_dir(self.at("rfcs"))
            .env("HOME", self.at("home"))
            .env("P2PCI_STATE_DIR", self.at("state"))
            .env_remove("XDG_CACHE_HOME")
            .env_remove("RFC_DIR");
        command
    }

    pub(super) async fn run(&self, args: &str) -> Ran {
        run(&mut self.export(args)).await
    }

    /// What an export into `out` with these options says of itself, and what then lies there.
    pub(super) async fn out(&self, args: &str, code: i32) -> (Value, BTreeMap<String, Vec<u8>>) {
        let ran = self.run(&format!("{args} --json ../out")).await.exits(code);
        (ran.objects()[0]["summary"].clone(), files(&self.at("out")))
    }
}

/// The files of a folder and of those below it, by their paths.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// Lines of numbers that follow no pattern that could be packed, of eighteen bytes each, always the same ones for a seed.
pub(super) fn numbers(seed: u64, lines: usize) -> String {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        format!("{:017}\n", state >> 8)
    };
    (0..lines).map(|_| next()).collect()
}

/// A metadata record with what a test needs of one.
pub(super) fn record(number: u32, title: &str, see_also: &[&str]) -> String {
    json!({
        "doc_id": format!("RFC{number:04}"), "title": title, "authors": ["A. Author", "B. Other, Ed."],
        "pub_date": "June 2014", "status": "PROPOSED STANDARD", "pub_status": "PROPOSED STANDARD", "source": "HTTP",
        "format": ["HTML", "ASCII"], "page_count": "12", "abstract": "", "keywords": [], "doi": "", "errata_url": null,
        "obsoletes": [], "obsoleted_by": [], "updates": [], "updated_by": [], "see_also": see_also,
    })
    .to_string()
}

/// The entries of a `rfc-index.txt` as rfc-mode of Emacs finds them: from `^[0-9]+ ` to the first line that ends with a
/// space, of which the title goes up to the first period before a space, or at the end. Numbers that were never issued are
/// passed over.
#[track_caller]
pub(super) fn entries_of_rfc_mode(index: &[u8]) -> Vec<(u32, String)> {
    let index = std::str::from_utf8(index).unwrap();
    let mut entries = Vec::new();
    let mut lines = index.split('\n');
    while let Some(first) = lines.next() {
        let number = first.split(' ').next().unwrap();
        let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number || number == first {
            continue;
        }
        let (mut entry, mut line) = (first.to_owned(), first);
        while !line.ends_with(' ') {
            line = lines.next().expect("an entry that does not end: rfc-mode fails here");
            entry = format!("{entry} {line}");
        }
        let entry = entry.split_whitespace().collect::<Vec<_>>().join(" ");
        let rest = entry.split_once(' ').unwrap().1;
        let title = rest.split(". ").next().unwrap().trim_end_matches('.').to_owned();
        if title != "Not Issued" {
            entries.push((number.parse().unwrap(), title));
        }
    }
    entries
}
