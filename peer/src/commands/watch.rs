//! `peer watch`: what happens in the index, as it happens.

use p2p_ci::{
    document::RfcRange,
    message::{Changed, PeerInfo, WatchEvent},
    shutdown::Signals,
};

use super::{Context, peers::documents};
use crate::{
    config::JsonArgs,
    error::{Exit, PeerError},
    output::{Output, human, json::WatchLine, reader_gone},
};

/// Ranges of one event that a terminal shows; a whole series has dozens of gaps.
const MAX_SHOWN_RANGES: usize = 8;

/// Runs the command until SIGINT or SIGTERM, until nobody reads any more, or until the registry ends it.
///
/// # Errors
///
/// When the registry cannot be asked or goes away, or when stdout cannot be written to.
pub async fn run(context: &Context, args: &JsonArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.json);
    tokio::select! {
        result = show(context, &mut output) => result,
        _ = signals.next() => Ok(Exit::Done),
        () = reader_gone() => Ok(Exit::Done),
    }
}

/// Shows events until the registry ends them.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, output: &mut Output) -> Result<Exit, PeerError> {
    let client = context.connect().await?;
    let mut events = client.watch().await.map_err(|error| context.registry_error(error))?;
    let mut snapshot_peers = 0;
    while let Some(event) = events.next().await.map_err(|error| context.registry_error(error))? {
        if output.is_json() {
            output.object(&WatchLine::from(&event))?;
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
        output.lines(told(&event, snapshot_peers, shown_ranges))?;
    }
    output.message(format_args!("the registry at {} has ended the watch", context.registry));
    Ok(Exit::Unreachable)
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
        let numbers = hidden.iter().map(numbers).sum();
        line.push_str(&format!(" and {} more", human::count(numbers, "RFC")));
    }
    line
}

fn numbers(range: &RfcRange) -> u64 {
    u64::from(range.last.get() - range.first.get()) + 1
}
