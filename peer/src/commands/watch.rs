//! `peer watch`: what happens in the index, as it happens.

use std::convert::Infallible;

use p2p_ci::{
    client::registry::{RegistryClient, WatchEvents},
    message::{Changed, PeerInfo, WatchEvent},
    shutdown::Signals,
    text::escaped,
};
use tokio::time::Instant;

use super::{Context, peers::documents};
use crate::{
    backoff::Backoff,
    config::JsonArgs,
    error::{Exit, PeerError},
    limits,
    output::{
        Output, human,
        json::{WatchLine, WatchObject},
        reader_gone,
    },
};

/// Ranges of one event that a terminal shows; a whole series has dozens of gaps.
const MAX_SHOWN_RANGES: usize = 8;

/// Runs the command until SIGINT or SIGTERM, or until nobody reads any more. A registry that goes away is waited for.
///
/// # Errors
///
/// When the registry cannot be asked at first, or when stdout cannot be written to.
pub async fn run(context: &Context, args: &JsonArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.json);
    tokio::select! {
        result = show(context, &mut output) => match result? {},
        _ = signals.next() => output.wipe_key(),
        () = reader_gone() => {}
    }
    Ok(Exit::Done)
}

/// Shows events without end.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, output: &mut Output) -> Result<Infallible, PeerError> {
    let mut backoff = Backoff::new(limits::BACKOFF_BASE, limits::BACKOFF_CAP);
    let mut watched = Watched::open(context).await?;
    loop {
        let began = Instant::now();
        let reason = watched.show(output).await?;
        if began.elapsed() >= limits::STABLE_AFTER {
            backoff.reset();
        }
        watched = back(context, reason, &mut backoff, output).await?;
    }
}

/// Waits until the registry is back, and tells so.
async fn back(
    context: &Context,
    mut reason: String,
    backoff: &mut Backoff,
    output: &mut Output,
) -> Result<Watched, PeerError> {
    let mut told = None;
    loop {
        let pause = backoff.next(rand::random::<f64>());
        if output.is_json() {
            object(WatchLine::disconnected(&reason, pause), output)?;
        } else if told.as_ref() != Some(&reason) {
            let reason = escaped(&reason);
            let (pause, longest) = (human::span(pause), human::span(limits::BACKOFF_CAP));
            line(
                &format!("the registry is gone: {reason}; trying again in {pause}, then at least every {longest}"),
                output,
            )?;
        }
        told = Some(reason);
        tokio::time::sleep(pause).await;
        match Watched::open(context).await {
            Ok(watched) if output.is_json() => {
                object(WatchLine::Connected, output)?;
                return Ok(watched);
            }
            Ok(watched) => {
                line("the registry is back; what follows is the state anew", output)?;
                return Ok(watched);
            }
            Err(PeerError::Registry { source, .. }) => reason = source.to_string(),
            Err(error) => return Err(error),
        }
    }
}

/// A watch that is open.
struct Watched {
    events: WatchEvents,
    /// Keeps the connection.
    _client: RegistryClient,
}

impl Watched {
    async fn open(context: &Context) -> Result<Self, PeerError> {
        let client = context.connect().await?;
        let events = client.watch().await.map_err(|error| context.registry_error(error))?;
        Ok(Self {
            events,
            _client: client,
        })
    }

    /// Shows events until there are no more, and returns why.
    async fn show(&mut self, output: &mut Output) -> Result<String, PeerError> {
        let mut snapshot_peers = 0;
        loop {
            let event = match self.events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok("it has ended the watch".to_owned()),
                Err(error) => return Ok(error.to_string()),
            };
            if output.is_json() {
                object(WatchLine::from(&event), output)?;
                continue;
            }
            match event {
                WatchEvent::Peer(_) => snapshot_peers += 1,
                WatchEvent::Reset => snapshot_peers = 0,
                WatchEvent::SnapshotEnd
                | WatchEvent::Joined(_)
                | WatchEvent::Left(_)
                | WatchEvent::Announced(_)
                | WatchEvent::Withdrawn(_)
                | WatchEvent::Reachability(..) => {}
            }
            let shown_ranges = if output.screen().columns.is_some() {
                MAX_SHOWN_RANGES
            } else {
                usize::MAX
            };
            line(&told(&event, snapshot_peers, shown_ranges), output)?;
        }
    }
}

/// Shows a line with the time at which it came.
fn line(text: &str, output: &mut Output) -> Result<(), PeerError> {
    output.lines(format_args!("{} {text}", human::utc_now()))
}

fn object(line: WatchLine<'_>, output: &mut Output) -> Result<(), PeerError> {
    let time = human::utc_now();
    output.object(&WatchObject { line, time })
}

/// An event as one line.
fn told(event: &WatchEvent, snapshot_peers: u64, shown_ranges: usize) -> String {
    match event {
        WatchEvent::Peer(peer) => {
            let documents = documents(peer).unwrap_or_else(|| "no documents".to_owned());
            format!("{}: {}, {documents}", located("peer", peer), peer.reachability.as_str())
        }
        WatchEvent::SnapshotEnd => format!("watching {}", human::count(snapshot_peers, "peer")),
        WatchEvent::Joined(peer) => located("joined", peer),
        WatchEvent::Left(label) => format!("left {}", label.name),
        WatchEvent::Announced(changed) => told_change("announced", changed, shown_ranges),
        WatchEvent::Withdrawn(changed) => told_change("withdrawn", changed, shown_ranges),
        WatchEvent::Reachability(label, reachability) => format!("{} {}", reachability.as_str(), label.name),
        WatchEvent::Reset => "reset: too much happened at once; what follows is the state anew".to_owned(),
    }
}

fn located(verb: &str, peer: &PeerInfo) -> String {
    match peer.address {
        Some(address) => format!("{verb} {} {address}", peer.name),
        None => format!("{verb} {} (observer)", peer.name),
    }
}

fn told_change(verb: &str, changed: &Changed, shown_ranges: usize) -> String {
    let mut line = format!("{verb} {} {}", changed.peer.name, changed.format);
    for range in changed.ranges.iter().take(shown_ranges) {
        line.push(' ');
        line.push_str(&range.to_string());
    }
    let hidden = changed.ranges.get(shown_ranges..).unwrap_or_default();
    if !hidden.is_empty() {
        line.push_str(&format!(" and {} more", human::count(human::numbers(hidden), "RFC")));
    }
    line
}
