//! Ctrl-C and SIGTERM while a folder is read for the first time, which takes a while where it is large.

use std::{fs, path::Path, process::Stdio};

use rustix::process::Signal;
use tokio::process::Child;

use crate::support::{Cluster, Ran, send, within};

/// Files of the folder: sparse ones, as long as documents may be.
const FILES: u64 = 400;
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// After so much was read, it is told to end: some of the files, far from all.
const BEFORE_BYTES: u64 = 3 * FILE_BYTES;

fn large_folder(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for number in 1..=FILES {
        let file = fs::File::create(folder.join(format!("rfc{number}.txt"))).unwrap();
        file.set_len(FILE_BYTES).unwrap();
        // Files that were just written are waited for, and these are not to be.
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.set_modified(long_ago).unwrap();
    }
}

/// Bytes that a program has read so far (proc(5), `rchar`); `None` once it has ended.
fn read_bytes(child: &Child) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/io", child.id()?)).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// Ends a command amid its reading; returns what it did, and what it had read.
async fn ended(cluster: &Cluster, args: &[&str], folder: &Path, signal: Signal) -> (Ran, u64) {
    let mut command = cluster.peer();
    command.args(args).arg(folder);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let before = within("some bytes read", async {
        loop {
            let read = read_bytes(&child).expect("it ended by itself");
            if read >= BEFORE_BYTES {
                return read;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    send(&child, signal);
    let ran = Ran::from(within("its end", child.wait_with_output()).await.unwrap());
    (ran, before)
}

#[tokio::test]
async fn a_command_that_is_told_to_end_reads_no_further() {
    let cluster = Cluster::start().await;
    let folder = cluster.dir.path().join("large");
    large_folder(&folder);
    let commands: [(&[&str], i32); 3] = [
        (&["join", "--name", "alice"], 0),
        (&["shell", "--name", "alice"], 0),
        (&["mirror", "--no-share", "--to"], 130),
    ];
    for (args, code) in commands {
        for signal in [Signal::INT, Signal::TERM] {
            let (ran, before) = ended(&cluster, args, &folder, signal).await;
            assert!(before < FILES * FILE_BYTES / 2, "{args:?}: too fast for this test");
            let ran = ran.exits(code);
            assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
            assert!(!ran.stdout.contains("sharing "), "nothing was shared: {ran:#?}");
            assert!(cluster.run("peers --json").await.objects().is_empty());
        }
    }
}
