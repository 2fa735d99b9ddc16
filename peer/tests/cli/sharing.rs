//! `peer join`: what does not end it, and what it says when it ends.

use std::{fs, process::Stdio, time::Duration};

use p2p_ci::{
    client::file_transfer::FileTransferClient,
    document::{DocumentKey, Format},
    message::DownloadQuery,
    transport::tcp_dialer,
};
use peer::limits::MAX_WINDOW_BYTES;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::{Cluster, TEXT, peer, run, send, within};

#[tokio::test]
async fn a_reader_that_leaves_does_not_end_the_sharing() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    let mut command = cluster.peer();
    command.args(["join", "--name", "alice"]).arg(&folder);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    fs::write(folder.join("rfc7.txt"), TEXT).unwrap();
    // It is found only by telling, and failing to tell, that it was announced.
    within("RFC 7 of a peer that nobody reads", async {
        loop {
            let found = cluster.peer().args(["lookup", "7"]).output().await.unwrap();
            if found.status.success() {
                break;
            }
            assert_eq!(child.try_wait().unwrap(), None, "sharing has ended");
        }
    })
    .await;
    send(&child, Signal::INT);
    assert_eq!(within("its end", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_peer_that_was_never_registered_does_not_say_that_it_left() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("dora", &[]);
    let mut command = peer();
    command
        .args(["join", "--registry", "http://127.0.0.1:1", "--state-dir"])
        .arg(cluster.state_dir())
        .arg(&folder)
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = String::new();
    let mut stdout = child.stdout.take().unwrap();
    within("that it cannot register", async {
        let mut piece = [0; 256];
        while !told.contains("not registered") {
            let count = stdout.read(&mut piece).await.unwrap();
            assert!(count > 0, "{told}");
            told.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        send(&child, Signal::INT);
        stdout.read_to_string(&mut told).await.unwrap();
    })
    .await;
    assert!(!told.contains("left"), "{told}");
    assert!(told.contains(" s, then at least every 30 s\n"), "{told}");
    assert_eq!(within("its end", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_folder_is_kept_complete_with_and_without_room_to_watch() {
    for max_watchers in [64, 0] {
        let mut config = registry::Config::at("127.0.0.1:0".parse().unwrap());
        config.max_watchers = max_watchers;
        let cluster = Cluster::start_with(config).await;
        let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
        let _alice = cluster.join("alice", &folder).await;
        let empty = cluster.folder("bob", &[]);
        let mut command = cluster.peer();
        command.args(["join", "--mirror", "--name", "bob"]).arg(&empty);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let arrived = async {
            while !empty.join("rfc7.txt").exists() {
                assert_eq!(child.try_wait().unwrap(), None, "mirroring has ended");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("RFC 7", arrived).await;
        assert_eq!(fs::read_to_string(empty.join("rfc7.txt")).unwrap(), TEXT);
    }
}

#[tokio::test]
async fn a_mirror_that_cannot_share_says_so_and_fetches_all_the_same() {
    let cluster = Cluster::start().await;
    // Enough of them that it is refused before it is done.
    let names: Vec<String> = (1..=2_000).map(|number| format!("rfc{number}.txt")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), TEXT)).collect();
    let folder = cluster.folder("alice", &files);
    let _alice = cluster.join("alice", &folder).await;
    let to = folder.with_file_name("mirrored");
    let mut command = cluster.peer();
    command
        .args(["mirror", "--durability", "file", "--name", "alice", "--to"])
        .arg(&to);
    let ran = run(&mut command).await.exits(0);
    let told = ran
        .stderr
        .matches("nothing is shared meanwhile: another active peer is called alice")
        .count();
    assert_eq!(told, 1, "{ran:#?}");
    assert!(to.join("rfc2000.txt").exists());
}

#[tokio::test]
async fn a_cap_holds_for_several_who_mirror_at_the_same_time() {
    const DOCUMENTS: usize = 30;
    const MIB: f64 = 1024.0 * 1024.0;
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    let bytes: Vec<u8> = (0..1024 * 1024 / DOCUMENTS).map(|at| (at % 251) as u8).collect();
    for number in 1..=DOCUMENTS {
        fs::write(folder.join(format!("rfc{number}.txt")), &bytes).unwrap();
    }
    let _alice = cluster.join_with("alice", &folder, &["--max-upload", "1M"]).await;
    let began = tokio::time::Instant::now();
    let mirror = |name: &str| {
        let mut command = cluster.peer();
        let to = cluster.dir.path().join(name);
        command
            .args(["mirror", "--no-share", "--json", "--compress", "never", "--to"])
            .arg(to);
        command
    };
    let (mut bob, mut carol) = (mirror("bob"), mirror("carol"));
    let (bob, carol) = tokio::join!(run(&mut bob), run(&mut carol));
    let took = began.elapsed().as_secs_f64();
    for ran in [bob.exits(0), carol.exits(0)] {
        assert_eq!(ran.objects()[0]["summary"]["fetched"], DOCUMENTS, "{ran:#?}");
    }
    for name in ["bob", "carol"] {
        let last = cluster.dir.path().join(name).join(format!("rfc{DOCUMENTS}.txt"));
        assert_eq!(fs::read(last).unwrap(), bytes);
    }
    // However fast the machine is; how slow it may be is not for a test to say.
    let burst = 0.05;
    let least = 2.0 * (DOCUMENTS * bytes.len()) as f64 / MIB - burst;
    assert!(took >= least, "{took} s and not {least} s");
}

#[tokio::test]
async fn a_newcomer_whose_name_is_taken_is_told_for_how_long_it_is_tried() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let _alice = cluster.join("alice", &folder).await;
    let mut command = cluster.peer();
    command.args(["join", "--name", "alice"]).arg(&folder);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = loop {
        let line = within("a line", lines.next_line()).await.unwrap().unwrap();
        if line.starts_with("not registered: ") {
            break line;
        }
    };
    assert!(told.contains("another active peer is called alice; "), "{told}");
    assert!(told.ends_with("; trying for 20 s"), "{told}");
    send(&child, Signal::INT);
    assert_eq!(within("its end", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn announcements_of_a_mirror_are_told_together() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    const DOCUMENTS: usize = 80;
    for number in 1..=DOCUMENTS {
        fs::write(folder.join(format!("rfc{number}.txt")), number.to_string()).unwrap();
    }
    let _alice = cluster.join("alice", &folder).await;
    let target = cluster.dir.path().join("bob");
    let mut command = cluster.peer();
    command.args(["join", "--mirror", "--name", "bob"]).arg(&target);
    let began = tokio::time::Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut announced, mut told) = (0, 0);
    while announced < DOCUMENTS {
        let line = within("a line", lines.next_line()).await.unwrap().unwrap();
        let Some(what) = line.strip_prefix("announced ") else {
            continue;
        };
        told += 1;
        let count = what
            .strip_suffix(" documents")
            .map(|count| count.parse::<usize>().unwrap());
        announced += count.unwrap_or(1);
    }
    let most = began.elapsed().as_secs() + 2;
    assert!(told <= most, "{told} lines in {:?}", began.elapsed());
    send(&child, Signal::INT);
    assert_eq!(within("its end", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn who_is_told_to_end_says_that_it_waits_for_uploads() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc1.txt", &"slow\n".repeat(200_000))]);
    let mut command = cluster.peer();
    command
        .args(["join", "--max-upload", "32k"])
        .arg(&alice)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut alice = command.spawn().unwrap();
    let mut lines = BufReader::new(alice.stdout.take().unwrap()).lines();
    let address = loop {
        let line = within("a line", lines.next_line()).await.unwrap().unwrap();
        if let Some(address) = line.strip_prefix("serving on ") {
            break address.parse().unwrap();
        }
    };
    let client = FileTransferClient::connect(&tcp_dialer(), address, MAX_WINDOW_BYTES)
        .await
        .unwrap();
    let query = DownloadQuery {
        key: DocumentKey {
            number: "1".parse().unwrap(),
            format: Format::Txt,
        },
        sha256: None,
        offset: 0,
    };
    let mut parts = client.download(&query).await.unwrap();
    within("the header", parts.next()).await.unwrap().unwrap();
    let mut told = BufReader::new(alice.stderr.take().unwrap()).lines();
    send(&alice, Signal::INT);
    let line = within("a line", told.next_line()).await.unwrap().unwrap();
    assert_eq!(line, "waiting at most 30 s for running uploads; Ctrl-C ends them");
    send(&alice, Signal::INT);
    assert_eq!(within("its end", alice.wait()).await.unwrap().code(), Some(130));
}
