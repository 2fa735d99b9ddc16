//! Many peers in one process: each is what `peer join` runs, with its own name, address and session with the registry.
//!
//! `cargo xtask faults` and `cargo xtask soak` start this beside a registry as `crowd REGISTRY FOLDER STATE FIRST` and
//! tell it what to do, one command a line on standard input; each is answered by one line of JSON. All peers share the
//! one folder, which nobody changes. Everything stays on loopback, where each peer dials from, and listens on, an address
//! of its own in 127.0.0.0/8, so that the registry's limits for each source are met as they are by as many machines.
//!
//! - `start N`: starts that many further peers, and waits until they are registered.
//! - `leave N`, `drop N`: the latest N leave in good order, or are gone without a word.
//! - `mark`: from now on is counted anew.
//! - `tell`: what has happened since.
//! - `census`: what the registry lists.
//! - `flap N SECONDS`: that many further peers register and are gone without a word, every three seconds.
//! - `lookup RATE SECONDS`: so many lookups each second, one after the other.
//! - `claim ROUNDS`: comes again as the same peer, and as another one with that peer's name.

mod census;
mod claim;
mod figures;
mod member;
mod members;

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use p2p_ci::registry_url::RegistryUrl;
use peer::library::Library;
use registry::descriptors::connection_limit;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use self::members::Members;

/// One thread: whoever comes in crowds is not to take the processors of the one that serves them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [registry, folder, state, first] = arguments.as_slice() else {
        bail!("usage: crowd REGISTRY FOLDER STATE FIRST");
    };
    let registry: RegistryUrl = registry.parse().map_err(|error| anyhow!("{error}"))?;
    ensure!(
        registry.host.starts_with("127."),
        "crowds come to a registry on loopback only"
    );
    let (library, _) = Library::open(Path::new(folder), Path::new(state), &|_| {})?;
    let mut members = Members::new(registry, library, first.parse().context("the first number")?);
    members.room = connection_limit();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = obey(&mut members, &line).await?;
        let mut stdout = io::stdout();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

async fn obey(members: &mut Members, line: &str) -> Result<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["start", count] => members.start(count.parse()?).await,
        ["leave", count] => members.leave(count.parse()?).await,
        ["drop", count] => members.drop_latest(count.parse()?).await,
        ["mark"] => Ok(members.mark()),
        ["tell"] => members.tell(),
        ["census"] => census::take(members.registry()).await,
        ["flap", count, seconds] => members.flap(count.parse()?, span(seconds)?).await,
        ["lookup", rate, seconds] => census::look_up(members.registry(), rate.parse()?, span(seconds)?).await,
        ["claim", rounds] => claim::run(members.registry(), rounds.parse()?).await,
        _ => bail!("no such command: {line}"),
    }
}

fn span(seconds: &str) -> Result<Duration> {
    Ok(Duration::from_secs(seconds.parse()?))
}
