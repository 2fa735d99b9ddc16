//! Targets that hold other things, tools' own places, and sources that claim odd things.

use std::{fs, os::unix::fs::symlink, process::Stdio};

use rustix::process::Signal;
use serde_json::json;

use super::{Desk, entries_of_rfc_mode, files, numbers, record};
use crate::{
    full::mounts,
    support::{assert_harmless, send, within},
};

fn desk() -> Desk {
    Desk::with(&[
        ("rfc1.txt", "one"),
        ("rfc2.txt", "two"),
        ("rfc3.txt", "three"),
        ("rfc4.txt", "four"),
    ])
}

#[tokio::test]
async fn files_of_others_are_left_and_told() {
    let desk = desk();
    fs::create_dir_all(desk.at("out/rfc4.txt/deep")).unwrap();
    fs::write(desk.at("out/rfc1.txt"), "mine").unwrap();
    fs::write(desk.at("out/rfc2.txt"), "two").unwrap();
    fs::write(desk.at("out/diary"), "mine too").unwrap();
    fs::write(desk.at("elsewhere"), "elsewhere").unwrap();
    symlink(desk.at("elsewhere"), desk.at("out/rfc3.txt")).unwrap();
    let ran = desk.run("--layout flat ../out").await.exits(6);
    assert!(
        ran.stdout
            .ends_with(" s (1 made, 1 already there, 3 left alone with other bytes)\n"),
        "{ran:#?}"
    );
    for (line, told) in ran.stderr.lines().zip([
        "/rfc1.txt exists with other bytes and was left as it is; --force replaces it",
        "/rfc3.txt is in the way: a link; move it away",
        "/rfc4.txt is in the way: a folder; move it away",
    ]) {
        assert!(line.ends_with(told), "{ran:#?}");
    }
    let (_, found) = desk.out("--layout flat", 6).await;
    let of = |name: &str| String::from_utf8(found[name].clone()).unwrap();
    assert_eq!(
        [of("rfc1.txt"), of("rfc2.txt"), of("diary")],
        ["mine", "two", "mine too"]
    );

    // A folder stays even so.
    let (summary, found) = desk.out("--layout flat --force", 6).await;
    assert_eq!((&summary["exported"], &summary["kept"]), (&2.into(), &1.into()));
    assert_eq!((&*found["rfc1.txt"], &*found["rfc3.txt"]), (&b"one"[..], &b"three"[..]));
    assert!(!desk.at("out/rfc3.txt").is_symlink() && desk.at("out/rfc4.txt/deep").is_dir());
    assert_eq!(fs::read(desk.at("elsewhere")).unwrap(), b"elsewhere");
    let leftovers = files(&desk.at("out")).into_keys().filter(|name| name.contains("part"));
    assert_eq!(leftovers.count(), 0);
}

#[tokio::test]
async fn what_was_exported_before_is_brought_up_to_date_and_what_was_altered_since_is_not() {
    let desk = desk();
    desk.put("rfc1.json", record(1, "Before", &[]));
    desk.out("--layout flat", 0).await;
    desk.put("rfc1.json", record(1, "After", &[]));
    desk.put("rfc5.txt", "five");
    let (summary, found) = desk.out("--layout flat", 0).await;
    let exported = summary["exported"].as_u64().unwrap();
    assert_eq!((exported, &summary["made"]), (3, &1.into()), "{summary}");
    assert!(entries_of_rfc_mode(&found["rfc-index.txt"]).contains(&(1, "After".to_owned())));
    assert_eq!(found["rfc1.json"], record(1, "After", &[]).as_bytes());

    fs::remove_file(desk.at("out/rfc-index.txt")).unwrap();
    fs::write(desk.at("out/rfc-index.txt"), "my own").unwrap();
    desk.put("rfc1.json", record(1, "Later", &[]));
    let (summary, found) = desk.out("--layout flat", 6).await;
    assert_eq!(
        (&summary["kept"], &*found["rfc-index.txt"]),
        (&1.into(), &b"my own"[..])
    );
    // What nobody remembers is nobody's.
    fs::remove_dir_all(desk.at("state")).unwrap();
    desk.put("rfc1.json", record(1, "Last", &[]));
    let (summary, _) = desk.out("--layout flat", 6).await;
    assert_eq!(summary["kept"], json!(2));
    desk.out("--layout flat --force", 0).await;
}

#[tokio::test]
async fn copies_are_files_of_their_own() {
    use std::os::unix::fs::MetadataExt as _;
    let desk = desk();
    fs::create_dir(desk.at("out")).unwrap();
    fs::hard_link(desk.at("rfcs/rfc4.txt"), desk.at("out/rfc4.txt")).unwrap();
    let (linked, _) = desk.out("--layout flat", 0).await;
    let (summary, _) = desk.out("--layout flat --copy", 0).await;
    assert_eq!(
        (&summary["linked"], &summary["exported"]),
        (&json!(0), &linked["linked"])
    );
    assert_eq!(
        summary["present"],
        json!(5 - linked["linked"].as_u64().unwrap()),
        "{summary}"
    );
    let inode = |path: &str| fs::metadata(desk.at(path)).unwrap().ino();
    assert_ne!(inode("rfcs/rfc1.txt"), inode("out/rfc1.txt"));
    let time = |path: &str| fs::metadata(desk.at(path)).unwrap().mtime();
    assert_eq!(time("rfcs/rfc1.txt"), time("out/rfc1.txt"));
    fs::write(desk.at("out/rfc1.txt"), "altered").unwrap();
    assert_eq!(fs::read(desk.at("rfcs/rfc1.txt")).unwrap(), b"one");
}

#[tokio::test]
async fn tools_find_their_places() {
    let desk = desk();
    for (tool, places, file) in [
        ("rfc-mode", [].as_slice(), "home/rfc/rfc1.txt"),
        ("rfc-mode", &[], "home/rfc/rfc-index.txt"),
        ("ietf", &[], "home/rfc/1"),
        ("ietf", &[], "home/rfc/INDEX"),
        ("irfc", &[], "home/.emacs.d/RFC/rfc1.txt"),
        ("rfc", &[], "home/.cache/RFCs/1"),
        ("rfc", &[("RFC_DIR", "mine/rfcs")], "mine/rfcs/1"),
        (
            "rfc_reader",
            &[("XDG_CACHE_HOME", "cache")],
            "cache/rfc_reader/rfc-index.txt",
        ),
        ("ietf-tools", &[("XDG_CACHE_HOME", "cache")], "cache/ietf-tools"),
        ("vim-rfc", &[("XDG_CACHE_HOME", "cache")], "cache/rfc/INDEX"),
    ] {
        let mut command = desk.export(&format!("--for {tool}"));
        for (name, value) in places {
            command.env(name, desk.at(value));
        }
        let ran = crate::support::run(&mut command).await.exits(0);
        assert!(desk.at(file).exists(), "{tool}: {ran:#?}");
        assert_eq!(ran.stderr, "", "it looks there by itself");
    }
    let ran = desk.run("--for ffap ../out").await.exits(0);
    let told = format!(
        "(setq ffap-rfc-directories '(\"{}\"))\n",
        desk.at("rfcs/../out").display()
    );
    assert!(
        ran.stderr.starts_with("tell ffap to look there: ") && ran.stderr.ends_with(&told),
        "{ran:#?}"
    );
}

#[tokio::test]
async fn command_lines_that_make_no_sense_are_told() {
    let desk = desk();
    for (args, what) in [
        ("../out", "--layout <LAYOUT>|--for <TOOL>"),
        ("--layout flat", "name the folder to fill"),
        ("--layout gz ../out", "possible values: flat, padded,"),
        ("--layout flat --for rfc-mode ../out", "cannot be used with"),
        ("--for ffap", "ffap has no usual place, so name a DIR"),
        ("--for vi", "possible values: rfc-mode, irfc, ffap,"),
    ] {
        let ran = desk.run(args).await.exits(2);
        assert!(ran.stderr.contains(what) && !desk.at("out").exists(), "{ran:#?}");
    }
}

#[tokio::test]
async fn folders_within_each_other_and_empty_ones_are_refused() {
    let desk = desk();
    for (target, what) in [
        (".", "is"),
        ("./deep", "lies in"),
        ("..", "holds"),
        ("../rfcs/../rfcs", "is"),
    ] {
        let ran = desk.run(&format!("--layout flat {target}")).await.exits(2);
        assert!(
            ran.stderr.contains(&format!(" {what} the folder that is exported")),
            "{ran:#?}"
        );
    }
    assert!(!desk.at("rfcs/deep").exists());
    fs::create_dir(desk.at("empty")).unwrap();
    let ran = desk.run("--layout flat --from ../empty ../out").await.exits(3);
    assert!(
        ran.stderr.ends_with(" holds no RFC that belongs into flat\n") && !desk.at("out").exists(),
        "{ran:#?}"
    );
    let ran = desk.run("--layout flat --from ../absent ../out").await.exits(1);
    assert!(
        ran.stderr.contains("does not exist") && !desk.at("out").exists(),
        "{ran:#?}"
    );
}

#[tokio::test]
async fn whatever_records_claim_breaks_no_index() {
    let desk = desk();
    let active = json!({"doc_id": "RFC10052", "title": "\u{1b}]0;x\u{7}<script>&\u{202e} \n0002 Not Issued. ",
        "authors": ["\u{9b}31m", 7, "x\ny "], "pub_date": "1 April 2026", "abstract": "]]>\u{1b}[2J", "format": ["\u{ffff}"],
        "see_also": ["BCP0014", "STD99999999999", "../../etc1"], "obsoletes": ["RFC1", "<b>"]});
    desk.put("rfc10052.json", active.to_string());
    desk.put(
        "rfc7.json",
        json!({"doc_id": "RFC0007", "title": "x".repeat(500)}).to_string(),
    );
    desk.put("rfc8.json", "[".repeat(100_000));
    let ran = desk.run("--layout in-notes ../out").await.exits(0);
    assert_harmless(&ran.stdout);
    let found = files(&desk.at("out"));
    let index = &found["in-notes/rfc-index.txt"];
    assert_harmless(std::str::from_utf8(index).unwrap());
    let entries = entries_of_rfc_mode(index);
    let numbers: Vec<u32> = entries.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 7, 10_052]);
    assert_eq!(entries.last().unwrap().1, "]0;x<script>&\\u{202e} 0002 Not Issued");
    let mut read = Vec::new();
    peer::facts::index_xml::parse(&*found["in-notes/rfc-index.xml"], None, |facts| {
        read.push(facts.number.get())
    })
    .unwrap();
    assert_eq!(read, numbers);
    let xml = String::from_utf8(found["in-notes/rfc-index.xml"].clone()).unwrap();
    assert!(xml.contains("&lt;script&gt;&amp;") && !xml.contains('\u{ffff}') && !xml.contains('\u{1b}'));
}

#[tokio::test]
async fn an_interrupted_export_leaves_whole_files_and_goes_on() {
    const FILES: usize = 200;
    let text = |number: usize| numbers(number as u64, 4_000);
    let desk = Desk::with(&[]);
    for number in 1..=FILES {
        desk.put(&format!("rfc{number}.txt"), text(number));
    }
    let mut child = desk
        .export("--layout debian-gz --json ../out")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let count = || fs::read_dir(desk.at("out/links")).map_or(0, Iterator::count);
    within("some files", async {
        while count() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    send(&child, Signal::INT);
    let output = within("its end", async {
        let mut stdout = String::new();
        tokio::io::AsyncReadExt::read_to_string(child.stdout.as_mut().unwrap(), &mut stdout)
            .await
            .unwrap();
        (child.wait().await.unwrap().code(), stdout)
    })
    .await;
    assert_eq!(output.0, Some(130), "{output:?}");
    let summary: serde_json::Value = serde_json::from_str(&output.1).unwrap();
    let exported = summary["summary"]["exported"].as_u64().unwrap();
    assert_eq!(
        exported + summary["summary"]["left"].as_u64().unwrap(),
        FILES as u64 + 1
    );
    assert!(exported < FILES as u64, "too fast for this test");
    let found = files(&desk.at("out"));
    assert_eq!(found.len() as u64, exported, "and nothing else: {:?}", found.keys());
    let (summary, found) = desk.out("--layout debian-gz", 0).await;
    assert_eq!((summary["present"].as_u64(), found.len()), (Some(exported), FILES + 1));
    for number in 1..=FILES {
        let packed = &found[&format!("links/rfc{number}.txt.gz")];
        let mut unpacked = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&**packed), &mut unpacked).unwrap();
        assert!(unpacked == text(number), "RFC {number}");
    }
}

#[tokio::test]
async fn read_only_and_full_targets_are_told() {
    const SCRIPT: &str = r#"
        cd "$1" || exit 90
        mount -t tmpfs -o size=1m tmpfs "$2" || exit 91
        "$0" export --layout flat "$2" >"$3/full.stdout" 2>"$3/full.stderr"
        echo $? >"$3/full.code"
        cp -r "$2/." "$3/full"
        mount -o remount,ro "$2" || exit 92
        "$0" export --layout flat "$2" >"$3/ro.stdout" 2>"$3/ro.stderr"
        echo $? >"$3/ro.code"
        mount -o remount,rw,size=16m "$2" || exit 93
        "$0" export --layout flat --json "$2" >"$3/more.stdout" 2>"$3/more.stderr"
        echo $? >"$3/more.code"
    "#;
    let cluster = crate::support::Cluster::start().await;
    let text = |number: usize| format!("{number:015}\n").repeat(2048);
    let documents: Vec<(String, String)> = (1..=64)
        .map(|number| (format!("rfc{number}.txt"), text(number)))
        .collect();
    let borrowed: Vec<(&str, &str)> = documents.iter().map(|(name, text)| (&**name, &**text)).collect();
    let source = cluster.folder("source", &borrowed);
    let (target, report) = (cluster.folder("target", &[]), cluster.folder("report", &[]));
    if !mounts(&cluster, SCRIPT, &[&source, &target, &report]).await {
        return;
    }
    let told = |name: &str| fs::read_to_string(report.join(name)).unwrap();
    assert_eq!(told("full.code"), "6\n", "{}", told("full.stderr"));
    assert!(
        told("full.stderr").starts_with("no space left in "),
        "{}",
        told("full.stderr")
    );
    assert!(
        told("full.stdout").contains(" still to come)\n"),
        "{}",
        told("full.stdout")
    );
    let first = files(&report.join("full"));
    assert!(!first.is_empty() && first.len() < documents.len());
    for (name, bytes) in first {
        let text = documents
            .iter()
            .find(|(document, _)| *document == name)
            .map(|(_, text)| text.as_bytes());
        assert!(name == "rfc-index.txt" || text == Some(&*bytes), "{name} is not whole");
    }
    assert_eq!(told("ro.code"), "1\n");
    assert!(
        told("ro.stderr").contains("cannot write into "),
        "{}",
        told("ro.stderr")
    );
    assert_eq!(told("more.code"), "0\n", "{}", told("more.stderr"));
    let summary: serde_json::Value = serde_json::from_str(&told("more.stdout")).unwrap();
    let all = summary["summary"]["exported"].as_u64().unwrap() + summary["summary"]["present"].as_u64().unwrap();
    assert_eq!(
        (all, &summary["summary"]["linked"]),
        (65, &json!(0)),
        "another file system"
    );
}
