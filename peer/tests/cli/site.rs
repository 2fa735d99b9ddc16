//! `join --http`: the site of RFCs that a peer serves.

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Cluster, Joined, TEXT, run, within};

/// Where a peer that was just started serves RFCs, as it says first of all.
async fn site_of(peer: &mut Joined) -> String {
    let event = peer.event().await;
    assert_eq!(event["event"], "site", "{event}");
    let url = event["url"].as_str().unwrap();
    url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned()
}

/// Reads a path, as the simplest of programs would.
async fn read(site: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(site).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {site}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(path, stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_peer_with_an_empty_folder_serves_what_others_have() {
    let cluster = Cluster::start().await;
    let full = cluster.folder(
        "full",
        &[("rfc7.txt", TEXT), ("rfc10052.txt", "ten thousand and fifty-two")],
    );
    let empty = cluster.folder("empty", &[]);
    let _alice = cluster.join("alice", &full).await;
    let mut desk = cluster.start_peer("desk", &empty, &["--http", "127.0.0.1:0"]);
    let site = site_of(&mut desk).await;
    let answer = read(&site, "/rfc/rfc10052.txt").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nten thousand and fifty-two"), "{answer}");
    assert!(empty.join("rfc10052.txt").exists(), "and stays");
    let index = read(&site, "/rfc-index.txt").await;
    assert!(index.contains("\n0007 A Title. "), "{index}");

    desk.signal(Signal::TERM);
    let status = within("the end of the desk's peer", desk.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(TcpStream::connect(&site).await.is_err(), "the site is gone with it");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_served_as_it_is() {
    let cluster = Cluster::start().await;
    let full = cluster.folder("full", &[("rfc7.txt", TEXT)]);
    // What unfinished downloads would be put into is no folder.
    let fixed = cluster.folder("fixed", &[("rfc8.txt", "eight"), (".p2pci-part", "")]);
    let _alice = cluster.join("alice", &full).await;
    let mut desk = cluster.start_peer("desk", &fixed, &["--http", "127.0.0.1:0"]);
    let site = site_of(&mut desk).await;
    let answer = read(&site, "/rfc/rfc8.txt").await;
    assert!(answer.ends_with("eight"), "{answer}");
    let answer = read(&site, "/rfc/rfc7.txt").await;
    assert!(
        answer.starts_with("HTTP/1.1 404") && answer.contains("nothing can be stored"),
        "{answer}"
    );
}

#[tokio::test]
async fn where_a_site_cannot_be_is_told_before_anything_is_shared() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("full", &[("rfc7.txt", TEXT)]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = cluster.peer();
    command.args(["join", "--http", &address]).arg(&folder);
    let ran = run(&mut command).await.exits(1);
    assert!(ran.stderr.contains("name another address with --http"), "{ran:#?}");
    for wrong in ["nowhere", "127.0.0.1", "1.2.3.4:99999", ""] {
        let mut command = cluster.peer();
        command.args(["join", "--http", wrong]).arg(&folder);
        let ran = run(&mut command).await.exits(2);
        assert!(ran.stderr.contains("write 127.0.0.1:7780"), "{wrong}: {ran:#?}");
    }
}

#[tokio::test]
async fn words_are_found_on_the_site() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder(
        "full",
        &[("rfc10052.txt", "Title\n\n1.  Animals\n\n   A <walrus> swims.\n")],
    );
    let mut desk = cluster.start_peer("desk", &folder, &["--http", "127.0.0.1:0", "--search"]);
    let site = site_of(&mut desk).await;
    let found = within("an index", async {
        loop {
            let answer = read(&site, "/search?q=Walruses+%22swims%22").await;
            if answer.starts_with("HTTP/1.1 200 OK\r\n") {
                return answer;
            }
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(found.contains("<a href=\"/info/rfc10052/\">RFC 10052</a>"), "{found}");
    assert!(
        found.contains("<i>1. Animals</i>: A &lt;<b>walrus</b>&gt; <b>swims</b>."),
        "{found}"
    );
    assert!(read(&site, "/search?q=xyzzyx").await.contains("Nothing matches."));
    assert!(read(&site, "/search").await.starts_with("HTTP/1.1 400 "));
    let long = format!("/search?q={}", "x".repeat(8000));
    assert!(read(&site, &long).await.starts_with("HTTP/1.1 414 "));
    let ran = cluster.run("search walrus --json").await.exits(0);
    assert_eq!((&ran.objects()[0]["number"], ran.stderr.as_str()), (&10_052.into(), ""));

    let mut plain = cluster.start_peer("plain", &folder, &["--http", "127.0.0.1:0"]);
    let site = site_of(&mut plain).await;
    let answer = read(&site, "/search?q=walrus").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("`peer join --search` keeps one\n"),
        "{answer}"
    );
}
