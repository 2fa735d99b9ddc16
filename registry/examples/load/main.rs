//! Load for a registry: thousands of sessions that share the whole series, and lookups as fast as they are answered.
//!
//! `cargo xtask bench registry` starts this beside a registry and tells it what to do, one command a line on standard
//! input; each is answered by one line of JSON. Everything stays on loopback, where each session has an address of its
//! own in 127.0.0.0/8, so that the registry's limits for each source are met as they are by as many machines.
//!
//! - `register N`: opens sessions until there are N; the first one announces the series, the others name it.
//! - `settle`: waits until the registry has connected back to all of them.
//! - `heartbeat`: has each session send a heartbeat with its fingerprint.
//! - `churn RATE SECONDS`: so many sessions join each second and as many leave, each a second after it has joined.
//! - `lookup CONNECTIONS OUTSTANDING SECONDS`: keeps so many lookups unanswered on each connection.

mod churn;
mod figures;
mod http2;
mod lookups;
mod series;
mod sessions;

use std::{
    env,
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use self::{series::Series, sessions::Crowd};

/// One thread: whoever asks is not to take the processors of the one that answers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [registry, documents] = arguments.as_slice() else {
        bail!("usage: load IP:PORT DOCUMENTS");
    };
    let registry: SocketAddr = registry.parse().context("IP:PORT of the registry")?;
    ensure!(
        registry.ip().is_loopback(),
        "only a registry on loopback is put under load"
    );
    let series = Series::made_up(documents.parse().context("a number of documents")?)?;
    let mut crowd = Crowd::new(registry, series).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["register", count] => crowd.register(count.parse()?).await?,
            ["settle"] => crowd.settle().await?,
            ["churn", rate, seconds] => {
                let span = Duration::from_secs_f64(seconds.parse()?);
                churn::run(&crowd, rate.parse()?, span).await?
            }
            ["heartbeat"] => crowd.heartbeat().await?,
            ["lookup", connections, outstanding, seconds] => {
                let span = Duration::from_secs_f64(seconds.parse()?);
                lookups::run(
                    registry,
                    crowd.series(),
                    connections.parse()?,
                    outstanding.parse()?,
                    span,
                )
                .await?
            }
            _ => bail!("no such command: {line}"),
        };
        let mut stdout = io::stdout();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}
