//! `export --follow`: the target is kept as the source is.

use std::{fs, process::Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::{Desk, entries_of_rfc_mode, files, record};
use crate::support::{send, within};

struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(desk: &Desk, args: &str) -> Self {
        let mut child = desk.export(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        within("a line", self.lines.next_line())
            .await
            .unwrap()
            .expect("it has ended")
    }

    async fn summary(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str::<Value>(&line).unwrap()["summary"].clone()
    }

    async fn end(mut self, signal: Signal) {
        send(&self.child, signal);
        assert_eq!(within("its end", self.child.wait()).await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn what_is_new_comes_and_what_is_gone_goes() {
    let desk = Desk::with(&[("rfc1.txt", "one"), ("rfc2.txt", "two")]);
    fs::create_dir(desk.at("out")).unwrap();
    fs::write(desk.at("out/diary"), "mine").unwrap();
    fs::write(desk.at("out/rfc3.txt"), "mine").unwrap();
    let mut follower = Follower::start(&desk, "--layout flat --follow --json ../out");
    let first = follower.summary().await;
    assert_eq!((&first["exported"], &first["present"]), (&3.into(), &0.into()));

    desk.put("rfc10052.txt", "A new one\n");
    desk.put("rfc10052.json", record(10_052, "A New One", &[]));
    let mut exported = 0;
    while exported < 3 {
        exported += follower.summary().await["exported"].as_u64().unwrap();
    }
    let found = files(&desk.at("out"));
    assert_eq!(found["rfc10052.txt"], b"A new one\n");
    assert!(entries_of_rfc_mode(&found["rfc-index.txt"]).contains(&(10_052, "A New One".to_owned())));

    // Of a document that comes while a file of others has its name, nothing is made; nor is that removed with it.
    desk.put("rfc3.txt", "three");
    fs::remove_file(desk.at("rfcs/rfc1.txt")).unwrap();
    let mut removed = 0;
    while removed == 0 {
        removed = follower.summary().await["removed"].as_u64().unwrap();
    }
    assert_eq!(removed, 1);
    fs::remove_file(desk.at("rfcs/rfc3.txt")).unwrap();
    let names: Vec<String> = files(&desk.at("out")).into_keys().collect();
    let expected = [
        "diary",
        "rfc-index.txt",
        "rfc10052.json",
        "rfc10052.txt",
        "rfc2.txt",
        "rfc3.txt",
    ];
    assert_eq!(names, expected);
    follower.end(Signal::INT).await;
    assert_eq!(fs::read(desk.at("out/rfc3.txt")).unwrap(), b"mine");
    assert_eq!(files(&desk.at("out")).into_keys().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_empty_source_may_be_filled_later() {
    let desk = Desk::with(&[]);
    let mut follower = Follower::start(&desk, "--layout number --follow ../out");
    assert!(follower.line().await.starts_with("exported 0 files, 0 bytes to "));
    assert_eq!(follower.line().await, "following .");
    desk.put("rfc7.txt", "seven");
    assert!(follower.line().await.starts_with("exported 1 file, 5 bytes to "));
    follower.end(Signal::TERM).await;
    assert_eq!(files(&desk.at("out")).into_keys().collect::<Vec<_>>(), ["7"]);
}
