//! `info`: what peers tell about RFCs, whoever of them knows it, and whatever they claim.

use std::{fs, time::Duration};

use serde_json::json;

use crate::{
    records::{record, text, told},
    support::{Cluster, Ran, assert_harmless},
};

#[tokio::test]
async fn an_obsolete_rfc_leads_to_those_of_today() {
    let cluster = Cluster::start().await;
    let old = record(2616, "Hypertext", &["RFC2068"], &["RFC7230", "RFC7231"], &[]);
    let (seven, bcp) = (
        record(7230, "Syntax", &["RFC2616"], &[], &[]),
        record(2119, "Words", &[], &[], &["BCP0014"]),
    );
    let alice = cluster.folder(
        "alice",
        &[("rfc2616.json", &old), ("rfc7230.json", &seven), ("rfc2119.json", &bcp)],
    );
    // Records of before know nothing of these two, but they tell of themselves.
    let bob = cluster.folder(
        "bob",
        &[
            ("rfc9110.txt", &text(9110, "7231")),
            ("rfc9112.txt", &text(9112, "7230")),
        ],
    );
    let _alice = cluster.join("alice", &alice).await;
    let ran = told(&cluster, "info 2616 bcp14", |ran| ran.code == Some(0)).await;
    assert!(
        ran.stdout
            .starts_with("RFC 2616: Hypertext\n  authors      A. Author, B. Other, Ed.\n"),
        "{ran:#?}"
    );
    assert!(
        ran.stdout.contains("\n  published    June 2014, 12 pages\n"),
        "{ran:#?}"
    );
    assert!(ran.stdout.contains("\n  current is   RFC 7230, RFC 7231\n"), "{ran:#?}");
    assert!(ran.stdout.contains("told by alice\n\n  One.\n\n  Two.\n"), "{ran:#?}");
    assert!(
        ran.stdout.contains("\n\nBCP 14 is RFC 2119\n\nRFC 2119: Words\n"),
        "{ran:#?}"
    );

    let _bob = cluster.join("bob", &bob).await;
    // Each of the two knows half of it.
    let current = |ran: &Ran| ran.code == Some(0) && ran.objects()[0]["current"] == json!([9110, 9112]);
    let ran = told(&cluster, "info rfc2616 --json", current).await;
    let [object] = &ran.objects()[..] else {
        panic!("{ran:#?}")
    };
    assert_eq!(object["obsoleted_by"], json!(["RFC7230", "RFC7231"]));
    assert_eq!(
        (&object["source"], &object["doi"]),
        (&json!("record"), &json!("10.17487/RFC2616"))
    );
    let ran = cluster.run("info 9110 --json").await.exits(0);
    assert_eq!(ran.objects()[0]["authors"], json!(["C. Third, Ed."]));
    assert_eq!(
        (&ran.objects()[0]["source"], &ran.objects()[0]["abstract"]),
        (&json!("text"), &json!("What it says."))
    );

    let ran = cluster.run("info 9110 4711").await.exits(6);
    assert_eq!(ran.stderr, "no active peer knows anything of RFC 4711\n");
    cluster.run("info 4711 std97").await.exits(3);
    for wrong in ["info", "info x", "info 0", "info ien1", "info 1-10"] {
        cluster.run(wrong).await.exits(2);
    }
}

#[tokio::test]
async fn the_newest_record_holds_and_circles_are_told() {
    let cluster = Cluster::start().await;
    let circle = [
        ("rfc1.json", record(1, "One", &["RFC0003"], &["RFC0002"], &[])),
        ("rfc2.json", record(2, "Two", &["RFC0001"], &[], &[])),
        ("rfc3.json", record(3, "Three", &["RFC0002"], &[], &[])),
    ];
    let files: Vec<(&str, &str)> = circle.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let alice = cluster.folder("alice", &files);
    let old = fs::File::options().write(true).open(alice.join("rfc1.json")).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(1000))
        .unwrap();
    let _alice = cluster.join("alice", &alice).await;
    let ran = told(&cluster, "info 1", |ran| ran.code == Some(0) && !ran.stderr.is_empty()).await;
    assert!(!ran.stdout.contains("current is"), "{ran:#?}");
    assert!(
        ran.stderr
            .starts_with("RFC 1: what is said to have taken its place leads back to itself"),
        "{ran:#?}"
    );
    assert_eq!(
        cluster.run("info 1 --json").await.exits(0).objects()[0]["circular"],
        json!(true)
    );

    let bob = cluster.folder("bob", &[("rfc1.json", &record(1, "One, now", &[], &[], &[]))]);
    let _bob = cluster.join("bob", &bob).await;
    told(&cluster, "info 1", |ran| ran.stdout.starts_with("RFC 1: One, now\n")).await;
    // A later one of the index beside the documents holds against both.
    let index = "<rfc-index xmlns='https://www.rfc-editor.org/rfc-index'><rfc-entry><doc-id>RFC1</doc-id>\
        <title>One, in the index</title></rfc-entry><rfc-not-issued-entry><doc-id>RFC14</doc-id></rfc-not-issued-entry>\
        </rfc-index>";
    fs::write(bob.join("rfc-index.xml"), index).unwrap();
    let later = fs::File::options().write(true).open(bob.join("rfc-index.xml")).unwrap();
    later
        .set_modified(std::time::SystemTime::now() + Duration::from_secs(1000))
        .unwrap();
    fs::write(bob.join("rfc5.txt"), "Five").unwrap();
    told(&cluster, "info 1", |ran| {
        ran.stdout.starts_with("RFC 1: One, in the index\n")
    })
    .await;
    let never = cluster.run("info 14").await.exits(0);
    assert_eq!(never.stdout, "RFC 14 was never issued\n");
}

#[tokio::test]
async fn whatever_records_claim_is_shown_and_does_nothing() {
    let cluster = Cluster::start().await;
    let active = json!({"doc_id": "RFC10052", "title": "\u{1b}]0;x\u{7}<script>\u{202e}", "authors": ["\u{9b}31m", 7, "x\ny"],
        "abstract": "\u{1b}[2J\u{2028}", "keywords": "no list", "obsoletes": {"a": 1}, "see_also": ["BCP99999999999"]});
    let files = [
        ("rfc10052.json", active.to_string()),
        ("rfc2.json", "[".repeat(100_000)),
        ("rfc3.json", "{\"doc_id\": \"RFC0004\"}".to_owned()),
        ("rfc5.json", String::new()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let mallory = cluster.folder("mallory", &files);
    let _mallory = cluster.join("mallory", &mallory).await;
    let ran = told(&cluster, "info 10052", |ran| ran.code == Some(0)).await;
    assert_harmless(&ran.stdout);
    assert!(
        ran.stdout
            .starts_with("RFC 10052: ]0;x<script>\\u{202e}\n  authors      31m, x y\n"),
        "{ran:#?}"
    );
    let ran = cluster.run("info 10052 --json").await.exits(0);
    assert_harmless(&ran.stdout);
    for unknown in [2, 3, 4, 5] {
        cluster.run(&format!("info {unknown}")).await.exits(3);
    }
}

#[tokio::test]
async fn without_a_registry_known_peers_are_asked() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder(
        "alice",
        &[
            ("rfc1.json", &record(1, "One", &[], &["RFC0002"], &[])),
            ("rfc1.txt", "One"),
        ],
    );
    let _alice = cluster.join("alice", &alice).await;
    told(&cluster, "info 1", |ran| ran.code == Some(0)).await;
    let to = cluster.dir.path().join("to");
    cluster.run(&format!("get 1 --to {}", to.display())).await.exits(0);
    let Cluster { registry, dir } = cluster;
    let url = format!("http://{}", registry.local_addr());
    registry.shutdown().await;
    let mut command = crate::support::peer();
    command
        .args(["info", "1", "--registry", &url])
        .env("P2PCI_STATE_DIR", dir.path().join("state"));
    let ran = crate::support::run(&mut command).await.exits(0);
    assert!(ran.stdout.contains("  current is   RFC 2\n"), "{ran:#?}");
    let mut command = crate::support::peer();
    command
        .args(["info", "1", "--registry", &url])
        .env("P2PCI_STATE_DIR", dir.path().join("other"));
    crate::support::run(&mut command).await.exits(4);
}
