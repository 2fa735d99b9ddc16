//! What is where the registry should be: nobody, somebody else, or a registry that goes away.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::support::{Cluster, Ran, TEXT, peer, run, within};

/// The commands that ask a registry once.
const COMMANDS: [&[&str]; 5] = [&["lookup", "7"], &["list"], &["peers"], &["watch"], &["get", "7"]];

async fn ask(registry: &str, command: &[&str]) -> Ran {
    run(peer().args(["--registry", registry]).args(command)).await
}

/// A server that answers whatever comes with `greeting`, and closes if that is not all.
async fn stranger(greeting: &'static [u8], closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(greeting).await;
                if !closes {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn nobody_there_is_exit_code_4() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for command in COMMANDS {
        let ran = ask(&format!("http://{free}"), command).await.exits(4);
        assert!(
            ran.stderr
                .starts_with(&format!("peer: cannot reach the registry at http://{free}: ")),
            "{ran:#?}"
        );
        assert!(ran.stderr.lines().count() == 1 && ran.stderr.len() <= 300, "{ran:#?}");
    }
    let ran = ask(&format!("http://{free}"), &["get", "7", "9", "--json"])
        .await
        .exits(4);
    let reasons: Vec<_> = ran
        .objects()
        .iter()
        .map(|object| object["error"]["reason"].clone())
        .collect();
    assert_eq!(reasons, ["REGISTRY_UNREACHABLE"; 2]);
    let ran = ask("http://no-such-host.invalid", &["peers"]).await.exits(4);
    assert!(ran.stderr.contains("no-such-host.invalid"), "{ran:#?}");
}

#[tokio::test]
async fn a_web_server_is_exit_code_1() {
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", true).await;
    for command in COMMANDS {
        let ran = ask(&web, command).await.exits(1);
        assert_eq!(
            ran.stderr,
            format!("peer: {web} is no P2P-CI registry: it says \"HTTP/1.1 400 Bad Request\"\n")
        );
    }
}

#[tokio::test]
async fn any_other_server_is_exit_code_1() {
    let ssh = stranger(b"SSH-2.0-OpenSSH_9.2p1\r\n", false).await;
    let ran = ask(&ssh, &["lookup", "7"]).await.exits(1);
    assert_eq!(
        ran.stderr,
        format!("peer: {ssh} is no P2P-CI registry: it says \"SSH-2.0-OpenSSH_9.2p1\"\n")
    );
    let hostile = stranger(b"\x1b[2J\x1b]0;owned\x07\r\n", true).await;
    let ran = ask(&hostile, &["lookup", "7"]).await.exits(1);
    assert_eq!(
        ran.stderr,
        format!("peer: {hostile} is no P2P-CI registry: it does not speak HTTP/2\n")
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_or_says_nothing_is_exit_code_4() {
    let closing = stranger(b"", true).await;
    ask(&closing, &["lookup", "7"]).await.exits(4);
    let silent = stranger(b"", false).await;
    let began = tokio::time::Instant::now();
    let ran = ask(&silent, &["lookup", "7"]).await.exits(4);
    assert!(ran.stderr.contains("does not answer"), "{ran:#?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_peer_is_no_registry() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let _alice = cluster.join("alice", &folder).await;
    let peers = cluster.run("peers --json").await.exits(0).objects();
    let address = peers[0]["address"].as_str().unwrap();
    for command in COMMANDS {
        let ran = ask(address, command).await.exits(1);
        assert!(
            ran.stderr
                .starts_with(&format!("peer: http://{address} is no P2P-CI registry: ")),
            "{ran:#?}"
        );
    }
}

#[tokio::test]
async fn a_peer_that_joins_a_web_server_is_told_so() {
    let web = stranger(b"HTTP/1.0 501 Unsupported method\r\n\r\n", true).await;
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    for json in [false, true] {
        let mut command = peer();
        command
            .args(["join", "--registry", &web, "--state-dir"])
            .arg(cluster.state_dir())
            .arg(&folder)
            .args(json.then_some("--json"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = loop {
            let line = within("a line", lines.next_line()).await.unwrap().unwrap();
            if line.contains("no P2P-CI registry") {
                break line;
            }
            assert!(!line.contains("not registered"), "{line}");
        };
        let said = "it says \\\"HTTP/1.0 501 Unsupported method\\\"";
        let said = if json { said.to_owned() } else { said.replace('\\', "") };
        assert!(told.contains(&format!("{web} is no P2P-CI registry: {said}")), "{told}");
    }
}

#[tokio::test]
async fn a_shell_at_a_web_server_is_told_so() {
    let web = stranger(b"HTTP/1.0 501 Unsupported method\r\n\r\n", true).await;
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[]);
    let mut command = cluster.peer();
    command.args(["shell", "--registry", &web]).arg(&folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"peers\n").await.unwrap();
    drop(stdin);
    let ran: Ran = within("its end", child.wait_with_output()).await.unwrap().into();
    let said = format!("{web} is no P2P-CI registry: it says \"HTTP/1.0 501 Unsupported method\"");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(&format!("not registered: {said}; "))),
        "{ran:#?}"
    );
    assert!(lines.contains(&said.as_str()), "{ran:#?}");
}
