//! The folder that is shared: what is told about files that are not, and folders that are not there.

use std::{fs, os::unix::fs::symlink, process::Stdio};

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::{Cluster, TEXT, run, send, within};

/// Joins with `folder` until it is registered, and returns what stderr got.
async fn told_by_join(cluster: &Cluster, folder: &std::path::Path) -> String {
    let mut command = cluster.peer();
    command
        .args(["join", "--name", "alice"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !within("a line", lines.next_line())
        .await
        .unwrap()
        .expect("it has ended")
        .starts_with("registered")
    {}
    send(&child, Signal::INT);
    let mut told = String::new();
    within("its end", child.stderr.take().unwrap().read_to_string(&mut told))
        .await
        .unwrap();
    told
}

#[tokio::test]
async fn files_that_look_like_rfcs_and_are_not_shared_are_told_with_the_reason() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder(
        "alice",
        &[
            ("rfc1.txt", TEXT),
            ("rfc5.txt", ""),
            ("rfc6.txt.gz", "x"),
            ("notes", ""),
        ],
    );
    symlink("/etc/passwd", folder.join("rfc2.txt")).unwrap();
    symlink("gone", folder.join("rfc3.txt")).unwrap();
    let large = fs::File::create(folder.join("rfc4.txt")).unwrap();
    large.set_len(17 * 1024 * 1024).unwrap();
    let told = told_by_join(&cluster, &folder).await;
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "rfc2.txt is not shared: it is a link that leads out of the shared folder",
            "rfc3.txt is not shared: it is a link that leads nowhere",
            "rfc4.txt is not shared: it has more than 16 MiB, which no document has",
            "rfc6.txt.gz is not shared: it is no sound gzip file; copy it anew",
        ]
    );
}

#[tokio::test]
async fn many_such_files_are_counted() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    for number in 1..=30 {
        symlink("gone", folder.join(format!("rfc{number}.txt"))).unwrap();
        fs::write(folder.join(format!("rfc{}.txt", 100 + number)), TEXT).unwrap();
        fs::write(folder.join(format!("rfc0{}.txt", 100 + number)), TEXT).unwrap();
    }
    symlink("/etc/passwd", folder.join("rfc99.txt")).unwrap();
    let told = told_by_join(&cluster, &folder).await;
    let lines = |part: &str| told.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines("it is a link that leads nowhere"), 9, "{told}");
    assert_eq!(lines("rfc99.txt is not shared"), 1, "{told}");
    assert_eq!(lines("and 21 more that are not shared"), 1, "{told}");
    assert_eq!(lines("name the same document"), 10, "{told}");
    assert_eq!(
        lines("and 20 more files that name a document of another file"),
        1,
        "{told}"
    );
}

#[tokio::test]
async fn a_folder_to_be_filled_is_made_and_one_to_be_shared_is_not() {
    let cluster = Cluster::start().await;
    let missing = cluster.dir.path().join("missing");
    let ran = run(cluster.peer().arg("join").arg(&missing)).await.exits(1);
    assert!(ran.stderr.contains("does not exist; create it"), "{ran:#?}");
    assert!(!missing.exists());
    let deep = missing.join("deep");
    let ran = run(cluster.peer().args(["join", "--mirror"]).arg(&deep)).await.exits(1);
    assert!(ran.stderr.contains("its parent folder does not exist"), "{ran:#?}");

    let mut child = cluster
        .peer()
        .args(["join", "--mirror"])
        .arg(&missing)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = within("a line", lines.next_line()).await.unwrap().unwrap();
    assert!(first.starts_with("sharing 0 documents of "), "{first}");
    assert!(missing.is_dir());
    send(&child, Signal::INT);
    assert_eq!(within("its end", child.wait()).await.unwrap().code(), Some(0));
}
