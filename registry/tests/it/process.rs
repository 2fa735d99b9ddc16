//! The program as its users run it: what it prints, and how it ends.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use p2p_ci::{client::registry::RegistryClient, shutdown::ONE_SIGNAL, transport::tcp_dialer};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::Instant,
};

use crate::support::{Session, document, hello, peers, url_of, within};

/// A registry's process; killed when a test fails.
struct Process {
    child: Child,
    address: SocketAddr,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
    command
        .args(args)
        .env_remove("P2PCI_REGISTRY")
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Process {
    async fn start(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        within(stdout.read_line(&mut first)).await.unwrap();
        let address = first
            .strip_prefix("registry listening on ")
            .unwrap_or_else(|| panic!("{first:?}"))
            .trim_end()
            .parse()
            .unwrap();
        Self { child, address }
    }

    async fn client(&self) -> RegistryClient {
        RegistryClient::connect(&tcp_dialer(), &url_of(self.address))
            .await
            .unwrap()
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for the end; returns the exit code and what was said on stderr.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        within(stderr.read_to_string(&mut said)).await.unwrap();
        (within(self.child.wait()).await.unwrap().code(), said)
    }
}

/// Runs to the end; returns exit code, stdout and stderr.
async fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = within(command(args).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_in_one_line() {
    let first = Process::start(&["--listen", "127.0.0.1:0"]).await;
    let address = first.address.to_string();
    let (code, stdout, stderr) = run(&["--listen", &address]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with(&format!("cannot listen on {address}: the port is in use; ")),
        "{stderr}"
    );
    assert!(stderr.contains("--listen"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[tokio::test]
async fn too_few_descriptors_are_told_in_one_line_with_what_helps() {
    let mut command = Command::new("sh");
    let script = "ulimit -n 12 && exec \"$0\" --listen 127.0.0.1:0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_registry")]);
    let output = within(command.kill_on_drop(true).output()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
    assert!(stderr.contains("ulimit -n"), "{stderr}");
    assert_eq!(stderr.matches("os error 24").count(), 1, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[tokio::test]
async fn an_address_of_nobody_and_a_wrong_flag_are_told() {
    let (code, _, stderr) = run(&["--listen", "203.0.113.77:0"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("this machine does not have that address"), "{stderr}");
    for args in [
        ["--listen", "nowhere"],
        ["--allow-from", "10.0.0.0/33"],
        ["--no-such-flag", "1"],
    ] {
        let (code, stdout, stderr) = run(&args).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    }
}

#[tokio::test]
async fn its_health_can_be_asked() {
    let registry = Process::start(&["--listen", "127.0.0.1:0", "--no-reflection"]).await;
    let url = format!("http://{}", registry.address);
    assert_eq!(
        run(&["healthcheck", "--registry", &url]).await,
        (Some(0), String::new(), String::new())
    );
    let closed = "http://127.0.0.1:1";
    let (code, stdout, stderr) = run(&["healthcheck", "--registry", closed]).await;
    assert_eq!(
        (code, stdout.as_str(), stderr.lines().count()),
        (Some(1), "", 1),
        "{stderr}"
    );
    assert!(stderr.contains("127.0.0.1:1"), "{stderr}");
}

#[tokio::test]
async fn a_web_server_has_no_health_and_is_told_for_what_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 64]).await;
            let _ = connection.write_all(b"HTTP/1.0 501 Unsupported method\r\n\r\n").await;
        }
    });
    let (code, stdout, stderr) = run(&["healthcheck", "--registry", &url]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    let said = format!("{url} is no P2P-CI registry: it says \"HTTP/1.0 501 Unsupported method\"\n");
    assert_eq!(stderr, said);
}

#[tokio::test]
async fn a_registry_that_others_can_reach_says_who_may_come() {
    let registry = Process::start(&["--listen", "0.0.0.0:0", "--allow-from", "203.0.113.0/24"]).await;
    registry.signal(Signal::TERM);
    let (code, said) = registry.end().await;
    assert_eq!(code, Some(0));
    assert!(
        said.contains("private networks") && said.contains("203.0.113.0/24"),
        "{said}"
    );
}

#[tokio::test]
async fn a_signal_ends_it_within_ten_seconds_whatever_is_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let registry = Process::start(&["--listen", "127.0.0.1:0"]).await;
        let client = registry.client().await;
        let mut sessions = vec![Session::share(&client, "alice", &[document(1)]).await];
        for number in 0..20 {
            sessions.push(
                Session::open(&client, hello(&format!("p{number}"), None))
                    .await
                    .unwrap(),
            );
        }
        let _watchers = (client.watch().await.unwrap(), client.watch().await.unwrap());
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(TcpStream::connect(registry.address).await.unwrap());
        }
        assert_eq!(peers(&client).await.len(), 21);
        let start = Instant::now();
        registry.signal(signal);
        // As timeout(1) does, which is no wish to have it end at once.
        registry.signal(signal);
        let (code, said) = registry.end().await;
        assert_eq!(code, Some(0), "{said}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(said.contains("shutting down") && said.contains("alice"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let registry = Process::start(&["--listen", "127.0.0.1:0"]).await;
    let client = registry.client().await;
    let mut session = Session::open(&client, hello("alice", None)).await.unwrap();
    // Holds the end up: it has not said yet which protocol it speaks.
    let _silent = TcpStream::connect(registry.address).await.unwrap();
    assert_eq!(peers(&client).await.len(), 1);
    registry.signal(Signal::TERM);
    assert!(session.end().await.is_some(), "the first signal was seen");
    tokio::time::sleep(2 * ONE_SIGNAL).await;
    let start = Instant::now();
    registry.signal(Signal::TERM);
    let (code, _) = registry.end().await;
    assert_eq!(code, Some(130));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
