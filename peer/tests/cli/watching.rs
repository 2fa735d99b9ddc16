//! `peer watch`: what it tells, and what ends it.

use std::{fs, process::Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use crate::support::{Cluster, TEXT, send, within};

struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    /// Starts to watch, and waits until the snapshot is complete.
    async fn start(cluster: &Cluster, args: &[&str], last_of_snapshot: &str) -> Self {
        let mut command = cluster.peer();
        command
            .arg("watch")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut watching = Self { child, lines };
        watching.until(last_of_snapshot).await;
        watching
    }

    /// The next line, without its time.
    async fn next(&mut self) -> String {
        let line = within("a line of a watch", self.lines.next_line())
            .await
            .unwrap()
            .expect("the watch has ended");
        if line.starts_with('{') {
            return line;
        }
        let (time, event) = line.split_once(' ').unwrap();
        assert_time(time);
        event.to_owned()
    }

    /// Passes over lines until one that contains `part`.
    async fn until(&mut self, part: &str) {
        while !self.next().await.contains(part) {}
    }

    async fn end(mut self) -> (Option<i32>, String) {
        let mut messages = String::new();
        within(
            "its messages",
            self.child.stderr.take().unwrap().read_to_string(&mut messages),
        )
        .await
        .unwrap();
        (within("its end", self.child.wait()).await.unwrap().code(), messages)
    }
}

/// Whether `time` looks as RFC 3339 has it.
#[track_caller]
fn assert_time(time: &str) {
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z", "{time}");
}

#[tokio::test]
async fn people_read_what_happens() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let _alice = cluster.join("alice", &alice).await;
    let mut watch = Watching::start(&cluster, &[], "watching 1 peer").await;

    let files: Vec<String> = (1..=9).map(|number| format!("rfc{number}.txt")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), TEXT)).collect();
    let folder = cluster.folder("bob", &files);
    let mut bob = cluster.join("bob", &folder).await;
    // The registry connects back while the peer announces, so either may be told first.
    let mut lines = vec![watch.next().await];
    assert!(lines[0].starts_with("joined bob 127.0.0.1:"), "{lines:?}");
    lines.extend([watch.next().await, watch.next().await]);
    lines.sort_unstable();
    assert_eq!(lines[0], "announced bob txt 1-9");
    assert_eq!(lines[2], "reachable bob");

    fs::remove_file(folder.join("rfc5.txt")).unwrap();
    assert_eq!(watch.next().await, "withdrawn bob txt 5");
    bob.signal(Signal::TERM);
    within("bob's end", bob.child.wait()).await.unwrap();
    assert_eq!(watch.next().await, "left bob");

    send(&watch.child, Signal::INT);
    assert_eq!(watch.end().await, (Some(0), String::new()));
}

#[tokio::test]
async fn programs_read_what_happens() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let _alice = cluster.join("alice", &alice).await;
    let mut watch = cluster.peer();
    watch.args(["watch", "--json"]).stdout(Stdio::piped());
    let mut child = watch.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let bob = cluster.folder("bob", &[("rfc8.html", TEXT)]);
    let _bob = cluster.join("bob", &bob).await;
    let mut events: Vec<Value> = Vec::new();
    let complete = |events: &[Value]| {
        let told = |name: &str| events.iter().any(|event| event["event"] == name);
        ["joined", "announced", "reachability"].iter().all(|name| told(name))
    };
    while !complete(&events) {
        let line = within("an event", lines.next_line()).await.unwrap().unwrap();
        let mut event: Value = serde_json::from_str(&line).unwrap();
        let time = event.as_object_mut().unwrap().remove("time").unwrap();
        assert_time(time.as_str().unwrap());
        events.push(event);
    }
    assert_eq!(
        (&events[0]["event"], &events[0]["name"]),
        (&"peer".into(), &"alice".into())
    );
    assert_eq!(events[0]["documents"], serde_json::json!({"txt": 1}));
    assert_eq!(events[1], serde_json::json!({"event": "snapshot_end"}));
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    let id = of("joined")["peer_id"].clone();
    let announced = serde_json::json!({
        "event": "announced", "peer_id": id, "name": "bob", "format": "html", "ranges": ["8"]
    });
    assert_eq!(*of("announced"), announced);
    let reachable =
        serde_json::json!({"event": "reachability", "peer_id": id, "name": "bob", "reachability": "reachable"});
    assert_eq!(*of("reachability"), reachable);
}

#[tokio::test]
async fn a_registry_that_comes_back_is_watched_again() {
    let cluster = Cluster::start().await;
    let mut people = Watching::start(&cluster, &[], "watching 0 peers").await;
    let mut programs = Watching::start(&cluster, &["--json"], "snapshot_end").await;
    let Cluster { registry, dir: _dir } = cluster;
    let address = registry.local_addr();
    within("the registry's end", registry.shutdown()).await;
    let gone = people.next().await;
    assert!(
        gone.starts_with("the registry is gone: ") && gone.ends_with(" s, then at least every 30 s"),
        "{gone}"
    );
    let gone: Value = serde_json::from_str(&programs.next().await).unwrap();
    assert_eq!(gone["event"], "disconnected");
    assert!(gone["reason"].is_string() && gone["retry_in_ms"].is_u64(), "{gone}");

    let _registry = registry::Server::bind(registry::Config::at(address)).await.unwrap();
    people
        .until("the registry is back; what follows is the state anew")
        .await;
    assert_eq!(people.next().await, "watching 0 peers");
    programs.until("\"connected\"").await;
    programs.until("snapshot_end").await;
    for watch in [people, programs] {
        send(&watch.child, Signal::INT);
        assert_eq!(watch.end().await, (Some(0), String::new()));
    }
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_although_nothing_happens() {
    let cluster = Cluster::start().await;
    let mut watch = Watching::start(&cluster, &[], "watching 0 peers").await;
    let nobody = cluster
        .peer()
        .arg("--version")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
        .stdout
        .take()
        .unwrap();
    drop(std::mem::replace(&mut watch.lines, BufReader::new(nobody).lines()));
    assert_eq!(watch.end().await, (Some(0), String::new()));
}
