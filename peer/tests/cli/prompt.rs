//! `peer shell` without a terminal: it reads lines, shows no prompt, and ends well.

use std::{fs, process::Stdio};

use rustix::process::Signal;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::support::{Cluster, Ran, TEXT, assert_harmless, send, within};

fn shell(cluster: &Cluster, folder: &std::path::Path) -> Command {
    let mut command = cluster.peer();
    command.args(["shell", "--name", "dora"]).arg(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a shell on `lines`.
pub(crate) async fn typed(cluster: &Cluster, folder: &std::path::Path, lines: impl AsRef<[u8]>) -> Ran {
    let mut child = shell(cluster, folder).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = async {
        // A shell that leaves does not read the rest.
        let _ = stdin.write_all(lines.as_ref()).await;
        drop(stdin);
    };
    let (_, output) = within("the shell's end", async {
        tokio::join!(writing, child.wait_with_output())
    })
    .await;
    output.unwrap().into()
}

#[tokio::test]
async fn every_verb_works() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT), ("rfc8.txt", "eight")]);
    let _alice = cluster.join("alice", &alice).await;
    let folder = cluster.folder("dora", &[("rfc9.txt", "nine")]);
    let draft = cluster.dir.path().join("a draft");
    fs::write(&draft, "ten").unwrap();
    let script = format!(
        "state\npeers\nquery 9 7\nlookup RFC 7\nlookup 9\nlist\nlist 8-9\ndownload 7\nget 8 10\nadd '{}' 10\nquery 7 10\n\
         connect\nhelp\nquit\nlookup 8\n",
        draft.display()
    );
    let ran = typed(&cluster, &folder, &script).await.exits(0);
    let told = |part: &str| {
        assert!(
            ran.stdout.contains(part),
            "no \"{part}\" in\n{}\n{}",
            ran.stdout,
            ran.stderr
        )
    };
    told("connection  registered as dora, id ");
    told("reachable   others can reach 127.0.0.1:");
    told("sharing     1 txt\n");
    told("NAME   ADDRESS");
    told("RFC 9\n  format   txt, 4 bytes\n  SHA-256  ");
    told("RFC 7: A Title\n  format   txt, ");
    told("  holders  alice  127.0.0.1:");
    told("RFC 7: saved as ");
    told("RFC 8: saved as ");
    told("RFC 10: added as ");
    told("connecting to http://127.0.0.1:");
    told("Copies a file into the shared folder");
    assert!(ran.stdout.ends_with("left\n"), "{ran:#?}");
    for part in [
        "RFC 7 is not in ",
        "no other active peer has RFC 9\n",
        "no active peer has RFC 10;",
    ] {
        assert!(ran.stderr.contains(part), "no \"{part}\" in\n{}", ran.stderr);
    }
    assert!(
        !ran.stdout.contains("peer>") && !ran.stdout.contains('\u{1b}'),
        "{}",
        ran.stdout
    );
    let rows = ran
        .stdout
        .lines()
        .filter(|line| line.trim_start().starts_with("9  "))
        .count();
    assert_eq!(rows, 0, "what it shares itself is not listed");
    assert_eq!(fs::read_to_string(folder.join("rfc7.txt")).unwrap(), TEXT);
    assert_eq!(fs::read_to_string(folder.join("rfc10.txt")).unwrap(), "ten");
    let peers = cluster.run("peers --json").await.objects();
    assert_eq!(peers.len(), 1, "dora has left: {peers:?}");
}

#[tokio::test]
async fn mistakes_do_not_end_it() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("dora", &[]);
    let script = "get 10001-16000\nlokup 5\nlookup rfc-2616x\nadd /no/such/rfc5.txt\nadd \"\n\n  \n\u{1b}[2J\nconnect https://x\nlookup 5";
    let ran = typed(&cluster, &folder, script).await.exits(0);
    let told = |part: &str| assert!(ran.stderr.contains(part), "no \"{part}\" in\n{}", ran.stderr);
    told("unknown command \"lokup\"; did you mean \"lookup\"? (help lists them)\n");
    told("more than 1000 RFCs; run `peer mirror` in another terminal to fetch that many\n");
    told("\"rfc-2616x\" is no RFC number");
    told("cannot read /no/such/rfc5.txt: ");
    told("a quote is not closed\n");
    told("https is not supported");
    told("no other active peer has RFC 5\n");
    assert!(!ran.stderr.contains('\u{1b}'));
    assert!(ran.stdout.ends_with("left\n"), "{ran:#?}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_mistake_like_others() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("dora", &[("rfc7.txt", TEXT)]);
    let script = b"get \xff\xfe7\n\xc3\x28\nquery 7\0\nquery 7\n";
    let ran = typed(&cluster, &folder, script).await.exits(0);
    for mistake in ["\u{fffd}\u{fffd}7", "unknown command \"\u{fffd}(\"", "7\\u{0}"] {
        assert!(ran.stderr.contains(mistake), "{mistake}: {ran:#?}");
    }
    assert_harmless(&ran.stderr);
    assert!(ran.stdout.contains("RFC 7: A Title"), "{ran:#?}");
    assert!(ran.stdout.ends_with("left\n"), "{ran:#?}");
}

#[tokio::test]
async fn a_line_without_end_is_given_up_and_left_in_good_order() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("dora", &[]);
    let ran = typed(&cluster, &folder, "lookup 7".repeat(10_000)).await.exits(1);
    assert!(
        ran.stderr
            .contains("cannot read any further: a line has more than 65536 bytes\n"),
        "{ran:#?}"
    );
    assert!(ran.stdout.ends_with("left\n"), "{ran:#?}");
    assert!(cluster.run("peers --json").await.objects().is_empty(), "it has left");
}

#[tokio::test]
async fn sigterm_leaves_in_good_order() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("dora", &[]);
    let mut child = shell(&cluster, &folder).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    within("dora's registration", async {
        while cluster.run("peers --json").await.objects().is_empty() {}
    })
    .await;
    send(&child, Signal::TERM);
    let ran = Ran::from(within("the shell's end", child.wait_with_output()).await.unwrap()).exits(0);
    assert!(ran.stdout.ends_with("left\n"), "{ran:#?}");
    drop(stdin);
    assert!(cluster.run("peers --json").await.objects().is_empty());
}

#[tokio::test]
async fn a_folder_that_is_none_is_told() {
    let cluster = Cluster::start().await;
    let file = cluster.folder("x", &[("rfc7.txt", TEXT)]).join("rfc7.txt");
    for path in [file, cluster.dir.path().join("missing")] {
        let ran = typed(&cluster, &path, "state\n").await.exits(1);
        assert!(ran.stdout.is_empty() && ran.stderr.lines().count() == 1, "{ran:#?}");
    }
}
