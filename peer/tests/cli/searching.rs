//! `search`: the words in a folder of RFCs, found whatever is typed and whatever has become of the index.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    desk::Desk,
    records::record,
    support::{Cluster, Ran, assert_harmless, peer, run, send, within},
};

#[tokio::test]
async fn rfcs_are_found_by_what_is_in_them() {
    let desk = Desk::with(&[768, 791, 1149, 1918, 2119, 2324, 2549, 2616, 8174, 9110]);
    for (words, first) in [
        ("datagrams on avian carriers", 1149),
        ("http status code 418 teapot", 2324),
        ("private address space", 1918),
        ("must should may", 2119),
        ("HTTP SEMANTIC", 9110),
        ("rfc 2549", 2549),
        ("768", 768),
        ("internet protocol", 791),
    ] {
        let found = desk.found(&[words]).await;
        assert!(
            found.iter().take(2).any(|number| *number == first),
            "{words}: {found:?}"
        );
    }
    for (named, number) in [("rfc2549", 2549), ("rfc 768 avian carriers", 768)] {
        let found = desk.found(&[named]).await;
        assert_eq!(found.first(), Some(&number), "what is named comes first: {named}");
    }
    let ran = desk.search(&["https", "uri", "scheme", "--limit", "2"]).await.exits(0);
    assert!(ran.stderr.is_empty(), "{ran:#?}");
    assert_harmless(&ran.stdout);
    assert!(
        ran.stdout
            .starts_with("RFC 9110: HTTP Semantics (June 2022, INTERNET STANDARD)\n  4.2.2. https URI Scheme\n    "),
        "{ran:#?}"
    );
    let ran = desk
        .search(&["hypertext transfer protocol", "--json", "--title-only"])
        .await
        .exits(0);
    let object = &ran.objects()[0];
    assert_eq!(
        (&object["number"], &object["status"]),
        (&json!(2616), &json!("DRAFT STANDARD"))
    );
    assert_eq!(
        (&object["year"], &object["title"]),
        (&json!(1999), &json!("Hypertext Transfer Protocol -- HTTP/1.1"))
    );
    assert!(
        object["score"].as_f64().unwrap() > 0.0 && object["snippet"].is_string(),
        "{object}"
    );
    // As far as the record of 1999 and the RFCs in this folder tell.
    assert!(object["current"].as_array().unwrap().contains(&json!(9110)), "{object}");
    let ran = desk.search(&["hypertext transfer", "--title-only"]).await.exits(0);
    let first = ran.stdout.lines().next().unwrap();
    assert!(first.contains("1999, DRAFT STANDARD)"), "{ran:#?}");
    assert!(ran.stdout.contains("obsolete, current: RFC "), "{ran:#?}");
    let ran = desk.search(&["xyzzyx"]).await.exits(3);
    assert!(ran.stderr.starts_with("nothing matches in the 10 RFCs of "), "{ran:#?}");
}

#[tokio::test]
async fn phrases_exclusions_and_filters_hold() {
    let desk = Desk::with(&[768, 1149, 1918, 2119, 2324, 2549]);
    let both = desk.found(&["avian carriers"]).await;
    assert!(both.contains(&1149) && both.contains(&2549), "{both:?}");
    let checks: [(&[&str], &[u64]); 11] = [
        (&["avian carriers", "-quality"], &[1149]),
        (&["\"quality of service\" avian"], &[2549]),
        (&["avian", "quality of service"], &[2549]),
        (&["\"service of quality\""], &[]),
        (&["carriers", "--year", "1999"], &[2549]),
        (&["carriers", "--year", "-1995"], &[1149]),
        (&["year:1990-1999", "carriers", "-xyzzyx"], &[1149, 2549]),
        (&["--author", "Bradner"], &[2119]),
        (&["author:postel"], &[768]),
        (&["title:\"key words\""], &[2119]),
        (&["address space", "--status", "bcp"], &[1918]),
    ];
    for (args, expected) in checks {
        let mut found = desk.found(args).await;
        found.sort_unstable();
        assert_eq!(found, expected, "{args:?}");
    }
    for wrong in [
        &["x", "--status", "nonsense"][..],
        &["x", "--year", "15"],
        &["x", "--limit", "0"],
        &["status:nonsense"],
        &["-only", "-excluded"],
        &[],
    ] {
        let ran = desk.search(wrong).await.exits(2);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran:#?}");
    }
}

#[tokio::test]
async fn whatever_is_typed_is_answered() {
    let desk = Desk::small();
    let (long, many) = ("x".repeat(65_536), "word ".repeat(10_000));
    let odd = [
        "",
        " ",
        "\"",
        "\"\"",
        "\"unbalanced",
        "a \"b",
        "AND OR NOT",
        "+a -b ~c ^d",
        "(((",
        "title:",
        ":",
        "a:b:c",
        "*",
        "avian*",
        "[1 TO 9]",
        "{a TO b}",
        "\\",
        "/re(gex/",
        "-",
        "--",
        "---avian",
        "\u{1b}[31m",
        "a\u{7}b\u{202e}c",
        "é ü 漢字 🕊",
        "rfc",
        "rfc 0",
        "rfc 99999999999999999999",
        "year:avian",
        "\u{201c}avian carriers\u{201d}",
        &long,
        &many,
    ];
    for words in odd {
        let ran = desk.search(&["--", words]).await;
        assert!(matches!(ran.code, Some(0 | 2 | 3)), "{words:.40}: {ran:#?}");
        assert!(
            ran.stderr.lines().count() <= 1 && ran.stderr.len() <= 310,
            "{words:.40}: {ran:#?}"
        );
        assert_harmless(&ran.stdout);
        assert_harmless(&ran.stderr);
    }
    let found = desk.found(&["\u{201c}avian carriers\u{201d}"]).await;
    assert!(found.contains(&1149), "{found:?}");
}

/// What may become of a file.
type Damage = fn(&Path);

#[tokio::test]
async fn a_damaged_index_is_made_anew() {
    let desk = Desk::small();
    let expected = desk.found(&["avian"]).await;
    assert!(!expected.is_empty());
    let damage: [(&str, Damage); 3] = [
        ("cut in half", |file| {
            let length = fs::metadata(file).unwrap().len();
            File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_len(length / 2)
                .unwrap();
        }),
        ("flipped", |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x20;
            fs::write(file, bytes).unwrap();
        }),
        ("gone", |file| fs::remove_file(file).unwrap()),
    ];
    for (what, damage) in damage {
        for at in 0..desk.index_files().len() {
            let files = desk.index_files();
            let Some(file) = files.get(at) else { break };
            // What is a list of files that may be removed harms nobody.
            if file.file_name().unwrap().to_string_lossy().starts_with('.') {
                continue;
            }
            damage(file);
            let ran = desk.search(&["avian", "--json"]).await.exits(0);
            let numbers: Vec<Value> = ran.objects().iter().map(|object| object["number"].clone()).collect();
            assert_eq!(json!(numbers), json!(expected), "{what}: {}", file.display());
            assert!(
                ran.stderr.lines().count() <= 1 && !ran.stderr.contains("panicked"),
                "{what}: {ran:#?}"
            );
        }
    }
    fs::remove_dir_all(desk.place().join("index")).unwrap();
    fs::write(desk.place().join("index"), "no folder").unwrap();
    let ran = desk.search(&["avian", "--json"]).await.exits(0);
    assert_eq!(ran.stderr, "the search index could not be used, and was made anew\n");
    fs::write(desk.place().join("seal"), "of another version").unwrap();
    assert_eq!(desk.found(&["avian"]).await, expected);
}

#[tokio::test]
async fn what_changes_in_the_folder_is_found_anew() {
    let desk = Desk::small();
    assert!(desk.found(&["walrus"]).await.is_empty());
    fs::write(desk.rfcs().join("rfc10052.txt"), "Title\n\n   A walrus lands here.\n").unwrap();
    assert_eq!(desk.found(&["walrus"]).await, [10_052]);
    fs::write(desk.rfcs().join("rfc10052.txt"), "Title\n\n   A narwhal runs here.\n").unwrap();
    assert!(desk.found(&["walrus"]).await.is_empty());
    assert_eq!(desk.found(&["narwhal"]).await, [10_052]);
    fs::write(
        desk.rfcs().join("rfc10052.json"),
        record(10_052, "Of Camels", &[], &[], &[]),
    )
    .unwrap();
    assert_eq!(desk.found(&["title:camel"]).await, [10_052]);
    // What is known of it changes, too, though its text does not.
    let later = record(10_053, "Of Narwhals", &["RFC10052"], &[], &[]);
    fs::write(desk.rfcs().join("rfc10053.json"), later).unwrap();
    let ran = desk.search(&["narwhal", "--json"]).await.exits(0);
    let old = ran
        .objects()
        .into_iter()
        .find(|object| object["number"] == 10_052)
        .unwrap();
    assert_eq!(old["current"], json!([10_053]));
    fs::remove_file(desk.rfcs().join("rfc10053.json")).unwrap();
    fs::remove_file(desk.rfcs().join("rfc10052.json")).unwrap();
    fs::remove_file(desk.rfcs().join("rfc10052.txt")).unwrap();
    desk.search(&["narwhal"]).await.exits(3);
}

#[tokio::test]
async fn only_one_process_writes_an_index() {
    let desk = Desk::small();
    desk.search(&["avian"]).await.exits(0);
    let lock = File::options().append(true).open(desk.place().join("lock")).unwrap();
    lock.lock().unwrap();
    let ran = desk.search(&["avian"]).await.exits(0);
    assert!(ran.stderr.is_empty(), "there was nothing to write: {ran:#?}");
    let ran = desk.search(&["avian"]).await.exits(0);
    assert!(ran.stderr.is_empty(), "there was nothing to write: {ran:#?}");
    fs::write(desk.rfcs().join("rfc10052.txt"), "Title\n\n   A walrus.\n").unwrap();
    let ran = desk.search(&["avian"]).await.exits(0);
    assert!(
        ran.stderr
            .starts_with("another process brings the search index up to date"),
        "{ran:#?}"
    );
    desk.search(&["walrus"]).await.exits(3);
    fs::remove_dir_all(desk.place().join("index")).unwrap();
    let ran = desk.search(&["avian"]).await.exits(1);
    assert!(
        ran.stderr.contains("another process is making the search index"),
        "{ran:#?}"
    );
    drop(lock);
    assert_eq!(desk.found(&["walrus"]).await, [10_052]);

    // One that is being made holds nothing at first.
    let first = Desk::with(&[]);
    first.search(&["avian"]).await.exits(3);
    let lock = File::options().append(true).open(first.place().join("lock")).unwrap();
    lock.lock().unwrap();
    fs::write(first.rfcs().join("rfc10052.txt"), "Title\n\n   A walrus.\n").unwrap();
    let ran = first.search(&["walrus"]).await.exits(1);
    assert!(
        ran.stderr.contains("another process is making the search index"),
        "{ran:#?}"
    );

    let other = Desk::small();
    let (one, two) = tokio::join!(other.search(&["avian"]), other.search(&["avian"]));
    let codes = [one.code, two.code];
    assert!(codes.contains(&Some(0)) && !codes.contains(&None), "{one:#?} {two:#?}");
    assert!(!one.stderr.contains("panicked") && !two.stderr.contains("panicked"));
    assert!(!other.found(&["avian"]).await.is_empty());
}

#[tokio::test]
async fn where_no_index_can_be_kept_it_is_said() {
    let desk = Desk::small();
    fs::write(desk.state(), "no folder").unwrap();
    let ran = desk.search(&["avian"]).await.exits(1);
    assert!(ran.stderr.contains("cannot keep the search index in "), "{ran:#?}");
    assert!(ran.stderr.contains("--state-dir"), "{ran:#?}");
    let names: Vec<_> = fs::read_dir(desk.rfcs())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        names.iter().all(|name| name.to_string_lossy().starts_with("rfc")),
        "nothing is put into the folder"
    );
    let mut nowhere = peer();
    nowhere.env("P2PCI_STATE_DIR", desk.dir.path().join("s"));
    run(nowhere.args(["search", "x", "--in", "/nonexistent"]))
        .await
        .exits(1);
    let empty = Desk::with(&[]);
    let ran = empty.search(&["avian"]).await.exits(3);
    assert!(ran.stderr.starts_with("there are no RFCs in "), "{ran:#?}");
}

#[tokio::test]
async fn an_interrupted_search_leaves_what_can_be_used() {
    let desk = Desk::small();
    let text: String = (0..20_000).map(|at| format!("word{} ", at * 7919 % 9973)).collect();
    for number in 1..60 {
        fs::write(desk.rfcs().join(format!("rfc{number}.txt")), &text).unwrap();
    }
    let mut command = desk.command(&["avian"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    within("an index", async {
        let is_there = || {
            desk.state().exists()
                && fs::read_dir(desk.state())
                    .unwrap()
                    .any(|entry| entry.unwrap().path().join("index/meta.json").exists())
        };
        while !is_there() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    send(&child, Signal::INT);
    let ran = Ran::from(within("its end", child.wait_with_output()).await.unwrap()).exits(130);
    assert_eq!(ran.stderr, "interrupted; the next search goes on where the index was\n");
    let ran = desk.search(&["avian"]).await.exits(0);
    assert!(ran.stderr.is_empty(), "{ran:#?}");
}

#[tokio::test]
async fn the_folder_is_that_of_the_peer_that_runs_here() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("shared", &[("rfc10052.txt", "Title\n\n   A walrus.\n")]);
    let elsewhere = cluster.folder("elsewhere", &[("rfc10053.txt", "Title\n\n   A walrus.\n")]);
    let search = async || {
        let mut command = cluster.peer();
        command.args(["search", "walrus", "--json"]).current_dir(&elsewhere);
        run(&mut command).await.exits(0)
    };
    assert_eq!(search().await.objects()[0]["number"], 10_053);
    let _alice = cluster.join("alice", &folder).await;
    assert_eq!(search().await.objects()[0]["number"], 10_052);
}
