//! `peer mirror` where the only holder goes away in the middle.

use std::{fs, path::Path, process::Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

use crate::support::{Cluster, Joined, Ran, send, within};

/// Documents, and the bytes of each.
const DOCUMENTS: u64 = 40;
const BYTES: usize = 50_000;

/// So slow that all of them take some seconds.
const SLOWLY: [&str; 2] = ["--max-upload", "400k"];

async fn holder(cluster: &Cluster) -> Joined {
    let folder = cluster.dir.path().join("alice");
    if !folder.exists() {
        fs::create_dir(&folder).unwrap();
        for number in 1..=DOCUMENTS {
            fs::write(
                folder.join(format!("rfc{number}.txt")),
                vec![b'.'; BYTES + number as usize],
            )
            .unwrap();
        }
    }
    cluster.join_with("alice", &folder, &SLOWLY).await
}

/// Kills the only holder amid a mirror into the folder `to`.
async fn orphaned(cluster: &Cluster, to: &Path) -> Child {
    let mut alice = holder(cluster).await;
    let mirror = amid_mirroring(cluster, to).await;
    alice.signal(Signal::KILL);
    within("the end of alice", alice.child.wait()).await.unwrap();
    assert!(documents(to) < DOCUMENTS, "too fast for this test");
    mirror
}

/// Starts to mirror, and waits until some documents are there.
async fn amid_mirroring(cluster: &Cluster, to: &Path) -> Child {
    let mut command = cluster.peer();
    command.args(["mirror", "--no-share", "--json", "--to"]).arg(to);
    command.env("RUST_LOG", "info");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    within("some documents", async {
        while documents(to) < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    child
}

fn documents(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("rfc")).count() as u64
}

async fn summary(child: Child) -> (Ran, Value) {
    let ran = Ran::from(within("the end of the mirror", child.wait_with_output()).await.unwrap());
    let summary = ran.objects().pop().unwrap()["summary"].clone();
    (ran, summary)
}

#[tokio::test]
async fn the_only_holder_that_was_started_again_delivers_the_rest() {
    let cluster = Cluster::start().await;
    let to = cluster.dir.path().join("to");
    let mirror = orphaned(&cluster, &to).await;
    let _alice = holder(&cluster).await;
    let (ran, summary) = summary(mirror).await;
    let ran = ran.exits(0);
    assert_eq!(
        (&summary["fetched"], &summary["failed"]),
        (&DOCUMENTS.into(), &0.into()),
        "{ran:#?}"
    );
    assert_eq!(documents(&to), DOCUMENTS);
}

#[tokio::test]
async fn the_only_holder_that_does_not_come_back_is_waited_for_no_longer_than_is_worth_it() {
    let cluster = Cluster::start().await;
    let to = cluster.dir.path().join("to");
    let mirror = orphaned(&cluster, &to).await;
    let (ran, summary) = summary(mirror).await;
    let ran = ran.exits(6);
    let here = documents(&to);
    assert_eq!(
        (&summary["fetched"], &summary["failed"]),
        (&here.into(), &(DOCUMENTS - here).into()),
        "{ran:#?}"
    );
    assert!(
        ran.stderr
            .ends_with("run it again to fetch the rest once they are back\n"),
        "{ran:#?}"
    );
}

#[tokio::test]
async fn ctrl_c_ends_the_wait_for_a_holder() {
    let cluster = Cluster::start().await;
    let to = cluster.dir.path().join("to");
    let mut mirror = orphaned(&cluster, &to).await;
    let mut log = BufReader::new(mirror.stderr.take().unwrap()).lines();
    let mut next = async || within("a line", log.next_line()).await.unwrap();
    while !next().await.unwrap().contains("waiting for holders") {}
    send(&mirror, Signal::INT);
    summary(mirror).await.0.exits(130);
    while !next().await.unwrap().contains("run it again to go on where it stopped") {}
}
