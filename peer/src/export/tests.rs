//! Rounds, one after the other, and what happens in between.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use p2p_ci::document::{DocumentKey, Format, RfcNumber};
use tempfile::TempDir;

use super::*;
use crate::library::Durability;

struct Desk {
    dir: TempDir,
    library: Library,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rfcs")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join("rfcs").join(name), text).unwrap();
        }
        let (library, _) = Library::open(&dir.path().join("rfcs"), &dir.path().join("state"), &|_| {}).unwrap();
        Self { dir, library }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Another file in the place of one.
    fn replace(&self, path: &str, text: &str) {
        fs::write(self.at("aside"), text).unwrap();
        fs::rename(self.at("aside"), self.at(path)).unwrap();
    }

    fn export(&self, layout: Layout) -> Export {
        let target = Target::open(&self.at("out"), Durability::None).unwrap();
        let record = Record::of(&self.at("state"), &self.at("out"));
        Export::new(self.library.clone(), target, layout, Options::default(), record)
    }

    fn out(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("out")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name != ".p2pci-part");
        names.sort_unstable();
        names
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }
}

fn round(export: &mut Export) -> Summary {
    let summary = export.round(&AtomicBool::new(false), &|_, _| {});
    assert_eq!((&summary.failed, summary.stopped.is_some()), (&Vec::new(), false));
    summary
}

#[test]
fn what_is_gone_for_a_while_goes_and_an_empty_folder_takes_nothing_with_it() {
    let desk = Desk::new(&[("rfc1.txt", "one"), ("rfc2.txt", "two"), ("rfc3.txt", "three")]);
    let mut export = desk.export(Layout::Number);
    assert_eq!(round(&mut export).exported(), 3);
    let (now, later) = (Instant::now(), Instant::now() + GONE_FOR);
    for number in [1, 2] {
        fs::remove_file(desk.at(&format!("rfcs/rfc{number}.txt"))).unwrap();
    }
    // Somebody has put another file in its place meanwhile.
    desk.replace("out/2", "mine");
    desk.library.rescan().unwrap();
    assert_eq!((export.prune(now), export.is_pruning()), (0, true));
    desk.replace("rfcs/rfc1.txt", "one");
    desk.library.rescan().unwrap();
    assert_eq!(
        (export.prune(later), desk.out()),
        (0, ["1", "2", "3"].map(str::to_owned).to_vec())
    );
    assert!(
        !export.is_pruning(),
        "back, and the other one is no longer this program's"
    );

    for number in [1, 3] {
        fs::remove_file(desk.at(&format!("rfcs/rfc{number}.txt"))).unwrap();
    }
    desk.library.rescan().unwrap();
    assert_eq!((export.prune(now), export.is_pruning()), (0, false));
    assert_eq!((export.prune(later), desk.out().len()), (0, 3));
    desk.replace("rfcs/rfc4.txt", "four");
    desk.library.rescan().unwrap();
    assert_eq!((export.prune(now), export.prune(later)), (0, 2));
    assert_eq!(desk.out(), ["2"]);
}

#[test]
fn a_source_that_changed_since_it_was_read_is_read_again() {
    let desk = Desk::new(&[("rfc1.txt", "one"), ("rfc2.txt", "two"), ("rfc3.txt", "three")]);
    desk.replace("rfcs/rfc1.txt", "another one");
    fs::remove_file(desk.at("rfcs/rfc2.txt")).unwrap();
    let mut export = desk.export(Layout::Number);
    let summary = round(&mut export);
    assert_eq!(
        (summary.exported(), desk.out()),
        (2, vec!["1".to_owned(), "3".to_owned()])
    );
    assert_eq!(desk.read("out/1"), "another one");
}

#[test]
fn what_was_put_there_follows_its_source_however_that_changes() {
    let desk = Desk::new(&[("rfc1.txt", "one")]);
    let mut export = desk.export(Layout::Number);
    round(&mut export);
    let is_linked =
        fs::metadata(desk.at("out/1")).unwrap().ino() == fs::metadata(desk.at("rfcs/rfc1.txt")).unwrap().ino();
    // In place: by a hard link, this changes both.
    fs::write(desk.at("rfcs/rfc1.txt"), "two").unwrap();
    desk.library.rescan().unwrap();
    let summary = round(&mut export);
    assert_eq!((summary.present == 1, desk.read("out/1").as_str()), (is_linked, "two"));
    // By another file, and for another process than the one that has exported it.
    export.remember().unwrap();
    desk.replace("rfcs/rfc1.txt", "three");
    desk.library.rescan().unwrap();
    let mut export = desk.export(Layout::Number);
    let summary = round(&mut export);
    assert_eq!(
        (summary.exported(), summary.kept.len(), desk.read("out/1").as_str()),
        (1, 0, "three")
    );
    // Of the same name and length, in the target: not this program's any more.
    desk.replace("out/1", "THREE");
    let summary = round(&mut export);
    assert_eq!((summary.kept.len(), desk.read("out/1").as_str()), (1, "THREE"));
}

#[test]
fn an_export_that_is_cancelled_tells_what_is_left() {
    let desk = Desk::new(&[("rfc1.txt", "one"), ("rfc2.txt", "two")]);
    let mut export = desk.export(Layout::Flat);
    let summary = export.round(&AtomicBool::new(true), &|_, _| {});
    assert_eq!((summary.is_interrupted, summary.left, summary.exported()), (true, 3, 0));
    assert!(desk.out().is_empty());
    let told = std::sync::Mutex::new(Vec::new());
    let summary = export.round(&AtomicBool::new(false), &|done, total| {
        told.lock().unwrap().push((done, total))
    });
    assert_eq!(
        (summary.is_interrupted, summary.left, summary.exported()),
        (false, 0, 3)
    );
    assert_eq!(told.into_inner().unwrap().iter().max(), Some(&(6, 6)));
    let number = RfcNumber::new(1).unwrap();
    let format = Format::Txt;
    assert!(
        desk.library.original(DocumentKey { number, format }).is_some(),
        "linked, and still known"
    );
}
