//! Thousands of connections on which nothing is said.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    arena::{self, Arena, Bounds, FEW_BYTES, Onslaught, Span},
    link::{Link, readable, source},
};
use crate::{
    ci::Outcome,
    console,
    faults::{Amount, Bench},
};

const SOCKETS: Amount = Amount {
    full: 5_000,
    short: 500,
};

/// Sockets of one address, where none is to have more than a registry grants it.
const SOCKETS_PER_ADDRESS: usize = 200;

/// What a connection costs the registry on which nothing was said yet: 29 KiB were measured.
const SOCKET_BYTES: u64 = 32 << 10;

/// How soon a connection must be closed on which nothing is said.
const CLOSED_LIMIT: Duration = Duration::from_secs(6);

/// The most that the registry keeps open for one address.
const GRANTED: usize = 256;

/// Connects from many addresses, none of which has more connections than it may.
pub(super) fn spread(bench: &Bench) -> Result<Outcome> {
    let held = bench.pick(SOCKETS) as u64;
    let bounds = Bounds {
        memory_bytes: held * SOCKET_BYTES + FEW_BYTES,
    };
    arena::under(bench, bounds, |arena| {
        waves(arena, |index| index / SOCKETS_PER_ADDRESS, usize::MAX)
    })
}

/// Connects from one address, far more often than it may.
pub(super) fn from_one_address(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, one_address)
}

/// The attack itself, on whatever the arena names.
pub(super) fn one_address(arena: &Arena) -> Result<Onslaught> {
    waves(arena, |_| 0, GRANTED)
}

/// Opens all sockets and waits for the registry to close them, one wave after the other.
fn waves(arena: &Arena, address: impl Fn(usize) -> usize, granted: usize) -> Result<Onslaught> {
    let count = arena.pick(SOCKETS);
    let span = arena.span();
    let (mut opened, mut slowest, mut most_held) = (0, Duration::ZERO, 0);
    while opened == 0 || !span.is_over() {
        let mut links = Vec::new();
        for index in 0..count {
            links.push(Link::open(source(address(index)), arena.target)?);
        }
        opened += count;
        let deadline = Span::of(CLOSED_LIMIT + Duration::from_secs(4));
        // Those that are one too many are closed at once, the others when their time is up.
        let at_once = Duration::from_secs(2);
        let held = loop {
            for place in readable(links.iter())? {
                links.get_mut(place).map_or(Ok(()), Link::read)?;
            }
            let took = |link: &Link| link.end().map(|(_, took)| took);
            if links.iter().all(|link| took(link).is_some()) {
                slowest = slowest.max(links.iter().filter_map(took).max().unwrap_or_default());
                break links.iter().filter_map(took).filter(|took| *took > at_once).count();
            }
            let open = links.iter().filter(|link| took(link).is_none()).count();
            ensure!(
                !deadline.is_over(),
                "{open} of {count} silent connections are still open"
            );
        };
        most_held = most_held.max(held);
    }
    ensure!(
        slowest <= CLOSED_LIMIT,
        "a silent connection should be closed within {} s, and one was after {}",
        CLOSED_LIMIT.as_secs(),
        console::seconds(slowest)
    );
    ensure!(
        most_held <= granted,
        "{most_held} were held for one address, and not {granted}"
    );
    Ok(Onslaught {
        count: opened as u64,
        what: "silent sockets",
        told: format!(
            "at most {most_held} of {count} held at a time, all closed within {} s, slowest {}",
            CLOSED_LIMIT.as_secs(),
            console::seconds(slowest)
        ),
    })
}
