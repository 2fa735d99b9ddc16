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
