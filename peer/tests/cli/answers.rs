//! `lookup`, `list` and `peers`: what they print, and how they end.

use std::{fs, process::Stdio};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::{Cluster, TEXT, assert_harmless, within};

/// The digest of nothing (FIPS 180-4).
const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What is added where something is not found, in the first seconds of a registry.
const JUST_STARTED: &str = "the registry has just started, and peers may be coming back\n";

#[tokio::test]
async fn lookup_ends_with_0_3_or_6() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT), ("rfc8.txt", "")]);
    let mut alice = cluster.join("alice", &folder).await;

    let found = cluster.run("lookup 7 rfc8 7").await.exits(0);
    assert!(
        found.stderr.is_empty() && found.stdout.starts_with("RFC 7: A Title\n  format   txt, "),
        "{found:#?}"
    );
    assert_eq!(
        found.stdout.matches("alice").count(),
        2,
        "asked twice, told once: {found:#?}"
    );
    assert!(found.stdout.contains(&format!(
        "\n\nRFC 8\n  format   txt, 0 bytes\n  SHA-256  {SHA256_OF_NOTHING}\n"
    )));

    let none = cluster.run("lookup 9999 10000").await.exits(3);
    assert_eq!(
        none.stderr,
        format!("no active peer has RFC 9999\nno active peer has RFC 10000\n{JUST_STARTED}")
    );
    assert!(none.stdout.is_empty());
    let file = cluster.run("lookup rfc7.txt").await.exits(0);
    assert!(file.stdout.starts_with("RFC 7: A Title\n"), "{file:#?}");
    let other = cluster.run("lookup rfc7.html").await.exits(3);
    assert_eq!(
        other.stderr,
        "no active peer has RFC 7 (html)\nthe registry has just started, and peers may be coming back\n"
    );
    let other = cluster.run("lookup 7 --format html").await.exits(3);
    assert_eq!(other.stderr, format!("no active peer has RFC 7 (html)\n{JUST_STARTED}"));
    let largest = cluster.run("lookup 4294967295 --json").await.exits(3);
    assert_eq!(
        largest.objects(),
        [
            json!({"number": u32::MAX, "format": null, "error": {"reason": "RFC_NOT_FOUND",
            "message": "no active peer has RFC 4294967295"}})
        ]
    );

    let some = cluster.run("lookup 9999 7 --json").await.exits(6);
    assert_eq!(
        (some.objects().len(), some.stderr),
        (2, format!("no active peer has RFC 9999\n{JUST_STARTED}"))
    );

    alice.signal(rustix::process::Signal::KILL);
    within("the end of a killed peer", alice.child.wait()).await.unwrap();
}

#[tokio::test]
async fn json_has_the_fields_that_scripts_rely_on() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc8.txt", ""), ("rfc8.html", "<p>")]);
    let _alice = cluster.join("alice", &folder).await;

    let peers = cluster.run("peers --json").await.exits(0).objects();
    let [peer] = peers.as_slice() else { panic!("{peers:?}") };
    let (id, address) = (peer["peer_id"].clone(), peer["address"].clone());
    assert!(id.as_str().unwrap().len() == 32 && address.as_str().unwrap().starts_with("127.0.0.1:"));
    let registered = peer["registered"].as_str().unwrap();
    assert!(
        registered.len() == "2026-07-01T12:00:03Z".len() && registered.ends_with('Z'),
        "{registered}"
    );
    assert_eq!(
        *peer,
        json!({"peer_id": id, "name": "alice", "address": address, "reachability": "reachable",
            "documents": {"html": 1, "txt": 1}, "registered": registered, "uploads": 0})
    );

    let expected = json!({"number": 8, "format": "txt", "sha256": SHA256_OF_NOTHING, "size_bytes": 0, "title": "",
        "holder_count": 1, "holders": [{"peer_id": id, "name": "alice", "address": address}], "converging": true});
    let mut looked_up = expected.clone();
    looked_up["obsoleted_by"] = json!([]);
    looked_up["current"] = json!([]);
    assert_eq!(
        cluster.run("lookup 8 --format txt --json").await.exits(0).objects(),
        [looked_up]
    );
    let listed = cluster.run("list --json").await.exits(0).objects();
    assert_eq!(
        (listed.len(), &listed[0], &listed[1]["format"]),
        (2, &expected, &json!("html"))
    );

    let id = id.as_str().unwrap();
    assert_eq!(
        cluster
            .run(&format!("list --peer {id} --json"))
            .await
            .exits(0)
            .objects()
            .len(),
        2
    );
    assert_eq!(
        cluster
            .run("list 8 1-8 --peer alice --format html --json")
            .await
            .exits(0)
            .objects()
            .len(),
        1
    );
    assert!(cluster.run("list 9- --json").await.exits(0).stdout.is_empty());
    let nobody = cluster.run("list --peer nobody").await.exits(3);
    assert_eq!(
        nobody.stderr,
        "peer: no active peer is called nobody; `peer peers` lists them\n"
    );
}

#[tokio::test]
async fn an_empty_index_is_no_failure() {
    let cluster = Cluster::start().await;
    for (args, told) in [
        ("list", "no active peer shares such a document\n"),
        ("peers", "no peer is registered at "),
    ] {
        let ran = cluster.run(args).await.exits(0);
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with(told), "{ran:#?}");
        let json = cluster.run(&format!("{args} --json")).await.exits(0);
        assert!(json.stdout.is_empty() && json.stderr.is_empty(), "{json:#?}");
    }
}

#[tokio::test]
async fn titles_of_others_cannot_act() {
    let cluster = Cluster::start().await;
    let title = "\u{202e}live \u{1b}[31m\u{9b}2J 漢字 ".to_owned() + &"x".repeat(600);
    let metadata = json!({"doc_id": "RFC0007", "title": title}).to_string();
    let folder = cluster.folder("mallory", &[("rfc7.txt", TEXT), ("rfc7.json", &metadata)]);
    let _mallory = cluster.join("mallory", &folder).await;
    for args in ["list", "list --json", "lookup 7", "lookup 7 --json"] {
        let ran = cluster.run(args).await.exits(0);
        assert_harmless(&ran.stdout);
        assert!(ran.stdout.contains("漢字") && ran.stdout.contains("202e"), "{ran:#?}");
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_the_command_quietly() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    // Far more lines than a pipe holds (64 KiB).
    for number in 1..=2000 {
        fs::write(folder.join(format!("rfc{number}.txt")), number.to_string()).unwrap();
    }
    let _alice = cluster.join("alice", &folder).await;
    assert_eq!(cluster.run("list").await.exits(0).stdout.lines().count(), 2001);
    for args in [["list", "--json"].as_slice(), &["list"]] {
        let mut command = cluster.peer();
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut results = BufReader::with_capacity(1, child.stdout.take().unwrap());
        let mut line = String::new();
        within("a line", results.read_line(&mut line)).await.unwrap();
        drop(results);
        let mut messages = String::new();
        within(
            "its messages",
            child.stderr.take().unwrap().read_to_string(&mut messages),
        )
        .await
        .unwrap();
        let status = within("its end", child.wait()).await.unwrap();
        assert_eq!((status.code(), messages.as_str()), (Some(0), ""));
    }
}
