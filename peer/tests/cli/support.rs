//! A registry in this process, and the real program in others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// How long anything may take; far more than it should, so that a loaded machine does not matter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `what` no longer than [`PATIENCE`].
pub(crate) async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Stdout as JSON Lines.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Checks the exit code, showing everything when it is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The program, with nothing of the environment that it would heed. It is killed when its handle is dropped.
pub(crate) fn peer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
    for name in [
        "P2PCI_REGISTRY",
        "P2PCI_STATE_DIR",
        "P2PCI_MAX_UPLOAD",
        "RUST_LOG",
        "COLUMNS",
        "NO_COLOR",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
    ] {
        command.env_remove(name);
    }
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Runs a program to its end.
pub(crate) async fn run(command: &mut Command) -> Ran {
    within("a program's end", command.output()).await.unwrap().into()
}

/// A registry, and folders for what tests need.
pub(crate) struct Cluster {
    pub(crate) registry: registry::Server,
    pub(crate) dir: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(registry::Config::at("127.0.0.1:0".parse().unwrap())).await
    }

    pub(crate) async fn start_with(config: registry::Config) -> Self {
        Self {
            registry: registry::Server::bind(config).await.unwrap(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// The program, told of this registry and of a state folder of this test.
    pub(crate) fn peer(&self) -> Command {
        let mut command = peer();
        command.env("P2PCI_REGISTRY", format!("http://{}", self.registry.local_addr()));
        command.env("P2PCI_STATE_DIR", self.state_dir());
        command
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Runs the program with arguments that stand in one line.
    pub(crate) async fn run(&self, args: &str) -> Ran {
        run(self.peer().args(args.split_whitespace())).await
    }

    /// A folder of its own with these files.
    pub(crate) fn folder(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
        folder
    }

    /// Starts a peer that shares `folder`, and waits until everything in it can be found.
    pub(crate) async fn join(&self, name: &str, folder: &Path) -> Joined {
        self.join_with(name, folder, &[]).await
    }

    /// Starts a peer that shares `folder`, with further options.
    pub(crate) fn start_peer(&self, name: &str, folder: &Path, options: &[&str]) -> Joined {
        let mut command = self.peer();
        command
            .args(["join", "--json", "--name", name])
            .args(options)
            .arg(folder)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Joined { child, lines }
    }

    /// Starts a peer that shares `folder` with further options, and waits until everything in it can be found.
    pub(crate) async fn join_with(&self, name: &str, folder: &Path, options: &[&str]) -> Joined {
        let files = fs::read_dir(folder).unwrap().count() as u64;
        let mut joined = self.start_peer(name, folder, options);
        let (mut announced, mut reachable) = (0, false);
        while announced < files || !reachable {
            let event = joined.event().await;
            match event["event"].as_str() {
                Some("announced") => announced += event["documents"].as_u64().unwrap(),
                Some("reachability") => reachable = event["reachability"] == "reachable",
                _ => {}
            }
        }
        joined
    }
}

/// A peer that shares.
pub(crate) struct Joined {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Joined {
    /// What it tells next.
    pub(crate) async fn event(&mut self) -> Value {
        let line = within("an event of a peer", self.lines.next_line())
            .await
            .unwrap()
            .expect("the peer has ended");
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        send(&self.child, signal);
    }
}

/// Sends a signal to a program that this test started.
pub(crate) fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The text of an RFC, as far as its title can be found in it.
pub(crate) const TEXT: &str = "\n\nNetwork Working Group                                          A. Author\n\
    Request for Comments: 7                                        May 1968\n\n\n                    A Title\n\n\nText.\n";

/// Whether nothing in `text` can act on a terminal, line ends apart.
#[track_caller]
pub(crate) fn assert_harmless(text: &str) {
    for line in text.split('\n') {
        assert_eq!(p2p_ci::text::escaped(line).to_string(), line);
    }
}
