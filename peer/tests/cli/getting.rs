//! `peer get`: what it takes, what it tells, and what it leaves alone.

use std::fs;

use crate::support::{Cluster, TEXT};

#[tokio::test]
async fn what_nobody_has_of_a_range_is_told_in_one_line() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc3.txt", TEXT), ("rfc7.txt", TEXT), ("rfc9.html", "<p>")]);
    let _alice = cluster.join("alice", &folder).await;
    let to = cluster.dir.path().join("to");
    let to = to.to_str().unwrap();

    let ran = cluster.run(&format!("get 1-20 99 --to {to}")).await.exits(6);
    assert_eq!(ran.stdout.lines().count(), 2, "{ran:#?}");
    assert_eq!(
        ran.stderr,
        "no active peer has RFC 99; the registry has just started, and peers may be coming back\n\
         no active peer has 18 of them: 1-2, 4-6, 8-20\n"
    );
    let ran = cluster
        .run(&format!("get rfc9.html 8-9 --format html --to {to}"))
        .await
        .exits(6);
    assert_eq!(ran.stderr, "no active peer has RFC 8 (html)\n");
    let ran = cluster.run(&format!("get 1-20 --format html --to {to}")).await.exits(6);
    assert_eq!(ran.stderr, "no active peer has 19 of them as html: 1-8, 10-20\n");
    let ran = cluster
        .run(&format!("get 100-110 --from alice --to {to}"))
        .await
        .exits(3);
    assert_eq!(ran.stderr, "alice does not have 11 of them: 100-110\n");
    let ran = cluster.run(&format!("get 1-20 --json --to {to}")).await.exits(6);
    assert_eq!(ran.objects().len(), 20);
}

#[tokio::test]
async fn names_of_files_tell_the_format() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc9.html", "<p>"), ("rfc9.txt", TEXT)]);
    let _alice = cluster.join("alice", &folder).await;
    let to = cluster.dir.path().join("to");
    let to_be_made = format!("--to {}", to.display());
    cluster.run(&format!("get rfc9.html {to_be_made}")).await.exits(0);
    assert_eq!(fs::read_to_string(to.join("rfc9.html")).unwrap(), "<p>");
    assert!(!to.join("rfc9.txt").exists());
    cluster.run(&format!("get rfc9.txt 9 {to_be_made}")).await.exits(0);
    assert!(to.join("rfc9.txt").exists());
    cluster.run(&format!("get rfc9.html 9 {to_be_made}")).await.exits(2);
}

#[tokio::test]
async fn what_cannot_be_had_makes_no_folder() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let _alice = cluster.join("alice", &folder).await;
    let to = cluster.dir.path().join("to");
    let shown = to.display();
    let ran = cluster.run(&format!("get 7 8 --from bob --to {shown}")).await.exits(3);
    assert_eq!(ran.stderr, "no active peer is called bob; `peer peers` lists them\n");
    let ran = cluster
        .run(&format!("get 7 8 --from bob --json --to {shown}"))
        .await
        .exits(3);
    let reasons: Vec<_> = ran
        .objects()
        .iter()
        .map(|object| object["error"]["reason"].clone())
        .collect();
    assert_eq!(reasons, ["PEER_NOT_FOUND"; 2]);
    cluster.run(&format!("get 8 --to {shown}")).await.exits(3);
    assert!(!to.exists());
    let deep = to.join("deep");
    let ran = cluster.run(&format!("get 7 --to {}", deep.display())).await.exits(1);
    assert!(ran.stderr.contains("its parent folder does not exist"), "{ran:#?}");
}

#[tokio::test]
async fn other_versions_are_told_also_of_what_one_peer_has() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let _alice = cluster.join("alice", &alice).await;
    let bob = cluster.folder("bob", &[("rfc7.txt", "another text")]);
    let _bob = cluster.join("bob", &bob).await;
    let to = cluster.dir.path().join("to");
    let got = format!("get 7 --from bob --to {}", to.display());
    let ran = cluster.run(&got).await.exits(0);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        lines.len() == 2
            && lines[0].starts_with("RFC 7 exists with other bytes too: SHA-256 ")
            && lines[0].ends_with(" (1 holder); --sha256 chooses")
            && lines[1].starts_with("RFC 7: took SHA-256 ")
            && lines[1].ends_with(", which bob has"),
        "{ran:#?}"
    );
    let again = cluster.run(&format!("{got} --json")).await.exits(0).objects();
    assert_eq!(again[0]["outcome"], "present");
    assert_eq!(again[0]["others"].as_array().unwrap().len(), 1, "{again:?}");
    assert_eq!(again[0]["others"][0]["holder_count"], 1);
    assert_eq!(again[0]["missed"], serde_json::json!([]));
}
