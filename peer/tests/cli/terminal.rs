//! What the program does on a terminal, made by `script` (util-linux): the prompt with its keys, colours, widths.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::{Cluster, TEXT, peer, within};

/// Ctrl-C, Ctrl-D and the arrow up, as a terminal sends them.
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const UP: &str = "\u{1b}[A";

/// A program on a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Terminal {
    /// Runs a command line on a terminal; `None` where no terminal can be made.
    fn open(command: &Command, columns: u16) -> Option<Self> {
        let std = command.as_std();
        let words = std::iter::once(std.get_program()).chain(std.get_args());
        let line = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect::<Vec<_>>()
            .join(" ");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--echo", "always", "--command"]);
        script
            .arg(format!("stty cols {columns} rows 24; exec {line}"))
            .arg("/dev/null");
        for (name, value) in std.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let is_local = std.get_envs().any(|(name, value)| name == "LC_ALL" && value.is_some());
        if !is_local {
            script.env("LC_ALL", "C.UTF-8");
        }
        script.env("TERM", "xterm").env("SHELL", "/bin/sh").kill_on_drop(true);
        script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        match script.spawn() {
            Ok(mut child) => {
                let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                Some(Self {
                    child,
                    keys,
                    screen,
                    seen: String::new(),
                })
            }
            Err(error) => {
                eprintln!("SKIP: no terminal can be made without script(1) of util-linux: {error}");
                None
            }
        }
    }

    async fn press(&mut self, keys: &str) {
        within("a key", self.keys.write_all(keys.as_bytes())).await.unwrap();
        self.keys.flush().await.unwrap();
    }

    /// Reads on until `part` is to be seen after what was seen before, and returns what came up to it.
    async fn until(&mut self, part: &str) -> String {
        let mut unseen = String::new();
        let found = async {
            loop {
                if let Some(at) = self.seen.find(part) {
                    let rest = self.seen.split_off(at + part.len());
                    return std::mem::replace(&mut self.seen, rest);
                }
                let mut bytes = [0; 4096];
                let length = self.screen.read(&mut bytes).await.unwrap();
                assert!(length > 0, "it ended before \"{part}\" was seen; {:?}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
                unseen.clone_from(&self.seen);
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), found).await {
            Ok(seen) => seen,
            Err(_) => panic!("\"{part}\" was not seen in {unseen:?}"),
        }
    }

    async fn end(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        within("the rest", self.screen.read_to_end(&mut rest)).await.unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&rest));
        (within("its end", self.child.wait()).await.unwrap().code(), self.seen)
    }
}

fn shell(cluster: &Cluster, folder: &Path) -> Option<Terminal> {
    let mut command = cluster.peer();
    command.args(["shell", "--name", "dora"]).arg(folder);
    Terminal::open(&command, 100)
}

#[tokio::test]
async fn the_prompt_has_keys_history_and_notices() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("dora", &[]);
    let Some(mut terminal) = shell(&cluster, &folder) else {
        return;
    };
    let greeting = terminal.until("peer> ").await;
    assert!(
        greeting.contains("registered as dora") && greeting.contains("type help"),
        "{greeting}"
    );

    terminal.press("lokup 5\r").await;
    terminal.until("did you mean \"lookup\"?").await;
    terminal.until("peer> ").await;

    // A line that is given up is not carried out.
    terminal.press("quit").await;
    terminal.until("quit").await;
    terminal.press(CTRL_C).await;
    terminal.until("peer> ").await;

    terminal.press(UP).await;
    terminal.until("lokup 5").await;
    terminal.press(CTRL_C).await;
    terminal.until("peer> ").await;
    terminal.press("sta\t\r").await;
    terminal.until("connection  registered as dora").await;
    terminal.until("peer> ").await;

    // A notice goes above the line that is being typed, which stays.
    terminal.press("half a l").await;
    terminal.until("half a l").await;
    std::fs::write(folder.join("rfc7.txt"), TEXT).unwrap();
    let notice = terminal.until("announced RFC 7").await;
    assert!(!notice.ends_with("lannounced RFC 7"), "{notice:?}");
    terminal.until("half a l").await;

    terminal.press(CTRL_C).await;
    terminal.until("peer> ").await;
    terminal.press(CTRL_D).await;
    let (code, rest) = terminal.end().await;
    assert!(code == Some(0) && rest.contains("left"), "{code:?} {rest}");
    let history = std::fs::read_to_string(cluster.state_dir().join("history")).unwrap();
    assert!(history.ends_with("lokup 5\nstate \n"), "{history:?}");
}

#[tokio::test]
async fn ctrl_c_stops_a_download_and_not_the_shell() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let alice = cluster.join("alice", &alice).await;
    let folder = cluster.folder("dora", &[]);
    let Some(mut terminal) = shell(&cluster, &folder) else {
        return;
    };
    terminal.until("peer> ").await;
    alice.signal(Signal::STOP);
    terminal.press("download 7\r").await;
    terminal.until("RFC 7 [").await;
    terminal.press(CTRL_C).await;
    terminal.until("stopped").await;
    terminal.until("peer> ").await;
    assert_eq!(
        std::fs::read_dir(&folder)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_file())
            .count(),
        0
    );
    alice.signal(Signal::CONT);
    terminal.press("download 7\r").await;
    terminal.until("SHA-256 verified").await;
    terminal.until("peer> ").await;
    terminal.press("quit\r").await;
    assert_eq!(terminal.end().await.0, Some(0));
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_of_a_bar_nor_of_the_key() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let alice = cluster.join("alice", &alice).await;
    alice.signal(Signal::STOP);
    for columns in [40, 80] {
        let mut command = cluster.peer();
        command.args(["get", "7", "--to"]).arg(cluster.dir.path());
        let Some(mut terminal) = Terminal::open(&command, columns) else {
            return;
        };
        terminal.until("RFC 7 [").await;
        let bar = terminal.until("B/s").await;
        assert!(bar.len() + "RFC 7 [".len() <= usize::from(columns) - 3, "{bar:?}");
        terminal.press(CTRL_C).await;
        let before = terminal.until("interrupted").await;
        // The line is erased where the bar was, and the key written over.
        assert!(
            before.contains("\r\u{1b}[2K") && before.ends_with("\r  \rinterrupted"),
            "{before:?}"
        );
        assert_eq!(terminal.end().await.0, Some(130));
    }
    alice.signal(Signal::CONT);

    let mut command = cluster.peer();
    command.arg("watch");
    let Some(mut terminal) = Terminal::open(&command, 80) else {
        return;
    };
    terminal.until("watching ").await;
    terminal.press(CTRL_C).await;
    let (code, rest) = terminal.end().await;
    assert!(code == Some(0) && rest.ends_with("\r  \r"), "{code:?} {rest:?}");
}

#[tokio::test]
async fn what_is_wrong_with_words_that_act_is_told_without_them() {
    let active = "x\u{1b}]0;title\u{7}\u{202e}";
    for words in [vec!["get", "1", "--from", active], vec![active], vec!["lookup", active]] {
        let mut command = peer();
        command.args(&words);
        let Some(terminal) = Terminal::open(&command, 80) else {
            return;
        };
        let (code, shown) = terminal.end().await;
        assert_eq!(code, Some(2), "{shown:?}");
        assert!(shown.contains("error: "), "{shown:?}");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }
    let mut command = peer();
    command.args(["lookup", "x"]);
    let (_, shown) = Terminal::open(&command, 80).unwrap().end().await;
    assert!(shown.contains("\u{1b}["), "others are told in colours: {shown:?}");
}

#[tokio::test]
async fn tables_fit_the_terminal() {
    let cluster = Cluster::start().await;
    let metadata = format!(r#"{{"doc_id": "RFC0007", "title": "{}"}}"#, "漢字 title ".repeat(30));
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT), ("rfc7.json", &metadata)]);
    let _alice = cluster.join("alice", &alice).await;
    for columns in [1, 20, 80, 200] {
        let mut command = cluster.peer();
        command.arg("list");
        let Some(terminal) = Terminal::open(&command, columns) else {
            return;
        };
        let (code, shown) = terminal.end().await;
        assert_eq!(code, Some(0), "{shown}");
        let widest = shown.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!(columns < 20 || widest <= usize::from(columns), "{columns}:\n{shown}");
        assert!(columns < 80 || shown.contains("alice"), "{columns}:\n{shown}");
    }
}

#[tokio::test]
async fn rows_of_narrow_tables_can_be_told_apart() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT), ("rfc7.html", "<title>A Title</title>")]);
    let _alice = cluster.join("alice", &alice).await;
    for columns in [20, 40] {
        let mut command = cluster.peer();
        command.arg("list");
        let Some(terminal) = Terminal::open(&command, columns) else {
            return;
        };
        let (_, shown) = terminal.end().await;
        assert!(shown.contains("txt") && shown.contains("html"), "{columns}:\n{shown}");
        assert!(shown.contains("alice"), "{columns}:\n{shown}");
        assert_eq!(shown.contains("TITLE"), columns == 40, "{columns}:\n{shown}");
    }
}

#[tokio::test]
async fn no_color_means_no_colour() {
    let mut command = peer();
    command.args(["lookup", "rfc-2616x"]).env("NO_COLOR", "1");
    let Some(terminal) = Terminal::open(&command, 80) else {
        return;
    };
    let (code, shown) = terminal.end().await;
    assert!(code == Some(2) && shown.contains("no RFC number"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[tokio::test]
async fn a_terminal_of_one_column_and_one_of_ascii_alone_show_what_they_can() {
    let cluster = Cluster::start().await;
    let alice = cluster.folder("alice", &[("rfc7.txt", TEXT), ("rfc10052.txt", "latest")]);
    let _alice = cluster.join("alice", &alice).await;
    for args in [
        &["list"][..],
        &["peers"],
        &["lookup", "7"],
        &["get", "7"],
        &["mirror", "--no-share"],
    ] {
        for (columns, locale) in [(1, "C"), (1, "C.UTF-8"), (80, "C"), (u16::MAX, "C")] {
            let mut command = cluster.peer();
            command.args(args).env("LC_ALL", locale);
            let to = tempfile::tempdir_in(cluster.dir.path()).unwrap();
            if ["get", "mirror"].contains(&args[0]) {
                command.arg("--to").arg(to.path());
            }
            let Some(terminal) = Terminal::open(&command, columns) else {
                return;
            };
            let (code, shown) = terminal.end().await;
            assert_eq!(code, Some(0), "{args:?}, {columns} columns, {locale}: {shown}");
            assert!(!shown.trim().is_empty(), "{args:?}, {columns} columns, {locale}");
            assert!(
                locale != "C" || shown.is_ascii(),
                "{args:?}, {columns} columns: {shown:?}"
            );
        }
    }
}
