//! A session that is typed by hand, and a watcher who sees it come and go.

use std::{io::Write, process::ChildStdin};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Bench,
    calls::holds,
    tools::{CALL_LIMIT, Tool, messages},
};
use crate::{
    cluster::SOON,
    console, json,
    process::Process,
    wait::{self, Look},
};

/// The name under which the typed session registers.
const TYPIST: &str = "typist";

/// A document that nobody has.
const DOCUMENT: &str = r#"{"number": 4242, "format": "FORMAT_TXT",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "title": "Typed by hand"}"#;

/// A tool that is being typed into.
struct Typed {
    process: Process,
    stdin: Option<ChildStdin>,
}

/// Types a session into grpcurl, which stays as long as its standard input is open.
pub fn run(bench: &mut Bench) -> Result<()> {
    let mut watcher = watch(bench)?;
    wait_for(&mut watcher, "the end of the snapshot", |events| {
        events
            .iter()
            .any(|event| event.get("snapshotEnd").is_some())
            .then_some(())
    })?;
    let mut typed = Typed::start(bench)?;
    let hello = format!(r#"{{"requestId": 1, "hello": {{"protocolVersion": 1, "name": "{TYPIST}"}}}}"#);
    let welcome = typed.ask(1, &hello)?;
    ensure!(
        json::text(&welcome, "/welcome/sessionId")?.len() == 32,
        "the session id is no 128 bits: {welcome}"
    );
    // The whole dialogue of a peer. An observer (port 0) shares nothing, but may ask.
    let found = typed.ask(
        2,
        r#"{"requestId": 2, "lookup": {"number": 1149, "format": "FORMAT_TXT"}}"#,
    )?;
    holds(&found, "/found/documents/0/holders/0/name", "bob")?;
    let nothing = typed.ask(3, r#"{"requestId": 3, "lookup": {"number": 9999}}"#)?;
    holds(&nothing, "/error/reason", "RFC_NOT_FOUND")?;
    let page = typed.ask(4, r#"{"requestId": 4, "list": {"pageSize": 3}}"#)?;
    ensure!(
        json::array(&page, "/page/documents")?.len() == 3,
        "the page should have three entries: {page}"
    );
    let announced = typed.ask(
        5,
        &format!(r#"{{"requestId": 5, "announce": {{"documents": [{DOCUMENT}]}}}}"#),
    )?;
    ensure!(
        announced.get("error").is_some(),
        "an observer has nothing to announce, but: {announced}"
    );
    let beat = typed.ask(6, r#"{"requestId": 6, "heartbeat": {}}"#)?;
    ensure!(beat.get("heartbeatAck").is_some(), "a heartbeat is answered by {beat}");
    ensure!(is_listed(bench)?, "the typed session is not among the active peers");
    drop(typed.stdin.take());
    let ended = typed.process.ends_well(CALL_LIMIT)?;
    bench
        .cluster
        .wait_for_peers("the typed session to be gone", SOON, |rows| {
            !rows.iter().any(|row| row.name == TYPIST)
        })?;
    println!(
        "ok  a session typed by hand lives until its input is closed (grpcurl ended {} later)",
        console::seconds(ended)
    );
    wait_for(&mut watcher, "the typed session joined and left", |events| {
        let saw = |kind: &str, pointer: &str| {
            events
                .iter()
                .any(|event| event.get(kind).is_some() && json::text(event, pointer).ok() == Some(TYPIST))
        };
        (saw("joined", "/joined/peer/name") && saw("left", "/left/name")).then_some(())
    })?;
    watcher.kill()?;
    println!("ok  a watcher sees the snapshot, and the session come and go");
    leave_in_good_order(bench)
}

/// The same by buf, which sends all it reads, and with `leave` at the end.
fn leave_in_good_order(bench: &Bench) -> Result<()> {
    let requests = format!(
        r#"{{"requestId": 1, "hello": {{"protocolVersion": 1, "name": "{TYPIST}"}}}} {{"requestId": 2, "leave": {{}}}}"#
    );
    for tool in [Tool::BufV1, Tool::BufV1Alpha, Tool::Grpcurl] {
        let answer = bench
            .tools
            .call(tool, &bench.registry, "p2pci.v1.Registry/Register", &requests)?;
        ensure!(
            answer.error.is_empty(),
            "{tool:?}: the session failed: {}",
            answer.error
        );
        let last = answer.messages.last().context("the session answered nothing")?;
        ensure!(
            last.get("left").is_some(),
            "{tool:?}: the last message is {last}, not `left`"
        );
    }
    println!("ok  a session that ends with `leave` is answered by `left`, and ends without an error");
    Ok(())
}

impl Typed {
    fn start(bench: &Bench) -> Result<Self> {
        let mut command = bench.tools.command("grpcurl");
        command.args(["-plaintext", "-d", "@", &bench.registry, "p2pci.v1.Registry/Register"]);
        let (process, stdin) = Process::spawn_with_stdin("typed", command, &bench.cluster.logs())?;
        Ok(Self {
            process,
            stdin: Some(stdin),
        })
    }

    /// Types a request and waits for its answer.
    fn ask(&mut self, id: u64, request: &str) -> Result<Value> {
        let stdin = self.stdin.as_mut().context("the input is closed")?;
        writeln!(stdin, "{request}").with_context(|| format!("grpcurl takes no more input{}", self.process.tail()))?;
        let id = id.to_string();
        wait_for(&mut self.process, &format!("an answer to {request}"), |messages| {
            messages
                .iter()
                .find(|message| json::text(message, "/requestId").ok() == Some(&id))
                .cloned()
        })
    }
}

fn watch(bench: &Bench) -> Result<Process> {
    let mut command = bench.tools.command("grpcurl");
    command.args(["-plaintext", &bench.registry, "p2pci.v1.Registry/Watch"]);
    Process::spawn("watcher", command, &bench.cluster.logs())
}

/// Waits until something is found among the messages that a tool has printed.
fn wait_for<T>(process: &mut Process, what: &str, find: impl Fn(&[Value]) -> Option<T>) -> Result<T> {
    let found = wait::until(what, SOON, || {
        let runs = process.runs()?;
        let printed = process.stdout()?;
        // A message that is being written is not whole yet.
        let whole = printed
            .rfind("\n}")
            .map_or("", |end| printed.get(..end + 2).unwrap_or_default());
        if let Some(found) = find(&messages(whole)?) {
            return Ok(Look::Done(found));
        }
        ensure!(runs, "the tool ended before there was {what}{}", process.tail());
        Ok(Look::NotYet(format!("it printed {printed}")))
    })?;
    Ok(found.0)
}

fn is_listed(bench: &Bench) -> Result<bool> {
    let answer = bench
        .tools
        .call(Tool::Grpcurl, &bench.registry, "p2pci.v1.Registry/ListPeers", "")?;
    Ok(answer
        .messages
        .iter()
        .any(|message| json::text(message, "/peer/name").ok() == Some(TYPIST)))
}
