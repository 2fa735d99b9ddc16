//! SIGTERM with thousands of streams, and a second one for whoever cannot wait.

use std::{fs, io::ErrorKind, net::TcpStream, time::Duration};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{COMMAND_LIMIT, Stage, wait_for_registered};
use crate::{
    ci::Outcome,
    cluster::SOON,
    crowd::Crowd,
    faults::{Amount, Bench, finish, raw_client, slowest},
    json,
    process::Process,
    procfs,
    wait::{self, Look},
};

const PEERS: Amount = Amount {
    full: 5_000,
    short: 200,
};

/// How often the registry is ended.
const ENDINGS: Amount = Amount { full: 20, short: 2 };

/// How long it may take.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How soon everybody must be back for the next time: who comes while the registry still ends is sent away, and waits
/// for longer and longer.
const BACK_LIMIT: Duration = Duration::from_secs(120);

/// Connections that never say a word.
const SILENT: usize = 100;

/// Peers whose process is stopped.
const STOPPED: usize = 10;

/// How often a second signal is sent.
const SECOND_SIGNALS: Amount = Amount { full: 10, short: 2 };

/// How soon a process has ended then.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The exit code of a process that a second signal ended.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// How long an ending must go on by itself, so that it was the second signal that ended it.
const GOES_ON: Duration = Duration::from_millis(300);

/// Sessions and watchers that neither read nor answer.
const RUDE: usize = 20;

/// The document whose upload lasts, and what it is sent with: two minutes.
const NUMBER: u32 = 20_100;
const BYTES: usize = 4 << 20;
const RATE: &str = "32k";

/// Ends a registry with a large crowd, again and again.
pub fn crowded(bench: &Bench) -> Result<Outcome> {
    let mut stage = Stage::new(bench)?;
    let (count, endings) = (bench.pick(PEERS), bench.pick(ENDINGS));
    let mut crowd = stage.gather("crowd", 0, count)?;
    let mut stopped = stage.gather("stopped", count, STOPPED)?;
    let mut took = Vec::new();
    for _ in 0..endings {
        stage.wait_for_exact(count + STOPPED, BACK_LIMIT)?;
        crowd.ask("mark", COMMAND_LIMIT)?;
        stand_still(&mut stopped)?;
        let silent = connect_silently(&stage)?;
        took.push(stage.cluster.registry()?.stop(END_LIMIT)?);
        let still_open = silent.iter().filter(|socket| is_open(socket)).count();
        ensure!(still_open == 0, "{still_open} connections outlived the registry");
        stopped.process().signal(Signal::CONT)?;
        stage.cluster.start_registry()?;
        let told = wait_for_registered(&mut crowd, count, BACK_LIMIT)?;
        let informed = json::number(&told, "/told_of_end")?;
        ensure!(
            informed == u64::try_from(count)?,
            "only {informed} of {count} peers were told: {told}"
        );
        wait_for_registered(&mut stopped, STOPPED, BACK_LIMIT)?;
    }
    let cost = crowd.cost();
    stage.finish(vec![(crowd, count), (stopped, STOPPED)])?;
    Ok(Outcome::Passed(format!(
        "SIGTERM to a registry with {count} peers, {STOPPED} stopped ones and {SILENT} silent connections: exit 0 \
         within {} s in {} of {endings}, slowest {}; every peer was told, and back; the crowd has {cost}",
        END_LIMIT.as_secs(),
        took.len(),
        slowest(&took)
    )))
}

fn stand_still(crowd: &mut Crowd) -> Result<()> {
    crowd.process().signal(Signal::STOP)?;
    let process = crowd.process().id();
    let stopped = wait::until("the crowd to stand still", SOON, || {
        Ok(if procfs::is_stopped(process)? {
            Look::Done(())
        } else {
            Look::NotYet("it still runs".to_owned())
        })
    });
    stopped.map(drop)
}

fn connect_silently(stage: &Stage) -> Result<Vec<TcpStream>> {
    let mut sockets = Vec::new();
    for _ in 0..SILENT {
        let socket = TcpStream::connect(stage.setting.registry)?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    let open = sockets.iter().filter(|socket| is_open(socket)).count();
    ensure!(open == SILENT, "only {open} of {SILENT} silent connections are open");
    Ok(sockets)
}

/// Whether the other side has not closed a connection. A server of HTTP/2 may have spoken already.
fn is_open(socket: &TcpStream) -> bool {
    use std::io::Read as _;
    let mut buffer = [0; 1024];
    loop {
        match { socket }.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Sends a second signal to registries and peers that are ending.
pub fn twice(bench: &Bench) -> Result<Outcome> {
    let (mut registries, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..bench.pick(SECOND_SIGNALS) {
        registries.push(registry_twice(bench)?);
        peers.push(peer_twice(bench)?);
    }
    Ok(Outcome::Passed(format!(
        "a second SIGTERM, {} times each: a registry with {} clients that never let go ends within {} s, slowest {}; a \
         peer whose downloader stands still, slowest {}; exit {EXIT_SECOND_SIGNAL}",
        registries.len(),
        2 * RUDE,
        AT_ONCE.as_secs(),
        slowest(&registries),
        slowest(&peers)
    )))
}

fn registry_twice(bench: &Bench) -> Result<Duration> {
    let mut cluster = bench.cluster()?;
    let address = cluster.registry_address()?;
    let mut rude = Vec::new();
    for index in 0..RUDE {
        rude.push(raw_client::register(address, &format!("rude-{index}"))?);
        rude.push(raw_client::watch(address)?);
    }
    let took = end_twice(cluster.registry()?)?;
    drop(rude);
    finish(cluster)?;
    Ok(took)
}

fn peer_twice(bench: &Bench) -> Result<Duration> {
    let mut cluster = bench.cluster()?;
    let folder = cluster.make_folder("alice")?;
    // What is sent between two programs of one machine is not compressed.
    let text: String = (0..BYTES)
        .map(|place| if place % 64 == 63 { '\n' } else { 'x' })
        .collect();
    fs::write(folder.join(format!("rfc{NUMBER}.txt")), text)?;
    let mut command = cluster.peer_command()?;
    command
        .args(["join", "alice", "--name", "alice", "--max-upload", RATE])
        .env("P2PCI_STATE_DIR", cluster.folder().join("state/alice"));
    let mut alice = Process::spawn("alice", command, &cluster.logs())?;
    cluster.wait_for_holders(NUMBER, &["alice"], SOON)?;
    let port = cluster
        .peer_rows()?
        .first()
        .and_then(|row| row.address.rsplit_once(':')?.1.parse().ok());
    let mut command = cluster.peer_command()?;
    command
        .args(["get", &NUMBER.to_string(), "--to", "copy"])
        .env("P2PCI_STATE_DIR", cluster.folder().join("state/get"));
    let mut getter = Process::spawn("getter", command, &cluster.logs())?;
    wait::until("a download", SOON, || {
        let connected = procfs::connected_ports(getter.id())?;
        Ok(if port.is_some_and(|port| connected.contains(&port)) {
            Look::Done(())
        } else {
            Look::NotYet(format!("connected to {connected:?}, not to {port:?}"))
        })
    })?;
    getter.signal(Signal::STOP)?;
    let took = end_twice(&mut alice)?;
    getter.kill()?;
    finish(cluster)?;
    Ok(took)
}

/// Sends a signal, sees that the process takes its time, and sends another; returns how long that one took.
fn end_twice(process: &mut Process) -> Result<Duration> {
    process.signal(Signal::TERM)?;
    wait::let_pass(GOES_ON)?;
    ensure!(process.runs()?, "{} ended too soon to be told twice", process.name());
    process.signal(Signal::TERM)?;
    process.ends_with_code(EXIT_SECOND_SIGNAL, AT_ONCE)
}
