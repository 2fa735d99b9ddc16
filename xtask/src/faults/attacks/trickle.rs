//! Connections on which a byte comes each second.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    arena::{self, Arena, Bounds, Onslaught, Span},
    link::{Link, source},
};
use crate::{
    ci::Outcome,
    console,
    faults::{
        Amount, Bench,
        http2::{self, DATA, END_HEADERS, HEADERS},
    },
    wait,
};

/// Connections for each of the things that come slowly.
const CONNECTIONS: Amount = Amount { full: 200, short: 20 };

const PAUSE: Duration = Duration::from_secs(1);

/// How soon each must have ended: the preface by its own deadline, the others by unanswered pings or the deadline of the
/// request; a second for the pause, and one for this machine.
const PREFACE_LIMIT: Duration = Duration::from_secs(7);
const LIMIT: Duration = Duration::from_secs(18);

/// What comes slowly, how soon that must end, and what comes at once before it.
struct Kind {
    name: &'static str,
    limit: Duration,
    first: Vec<u8>,
    drops: Vec<Vec<u8>>,
}

struct Dripping<'a> {
    kind: &'a Kind,
    link: Link,
    /// When its stream, or it, has ended.
    ended: Option<Duration>,
}

/// Sends a preface, headers, and a message by the byte.
pub(super) fn run(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, attack)
}

fn attack(arena: &Arena) -> Result<Onslaught> {
    let kinds = kinds(arena)?;
    let start = wait::now();
    let mut all = Vec::new();
    for (address, kind) in kinds.iter().enumerate() {
        for _ in 0..arena.pick(CONNECTIONS) {
            let mut link = Link::open(source(address), arena.target)?;
            // Nothing may come between the bytes of a frame.
            link = if kind.drops.first().is_some_and(|drop| drop.len() > 1) {
                link
            } else {
                link.rude()
            };
            link.offer(&kind.first);
            all.push(Dripping {
                kind,
                link,
                ended: None,
            });
        }
    }
    let mut sent = 0;
    for second in 0.. {
        for dripping in &mut all {
            sent += dripping.turn(second, start.elapsed())?;
        }
        let open = all.iter().find(|dripping| dripping.ended.is_none());
        let Some(open) = open else { break };
        ensure!(
            start.elapsed() <= LIMIT + PAUSE,
            "a connection with {} by the byte is still open after {}",
            open.kind.name,
            console::seconds(start.elapsed())
        );
        let next = Span::of((PAUSE * (second + 1)).saturating_sub(start.elapsed()));
        std::thread::sleep(next.left());
    }
    let mut told = Vec::new();
    for kind in &kinds {
        let of_kind = all.iter().filter(|dripping| dripping.kind.name == kind.name);
        let slowest = of_kind.filter_map(|dripping| dripping.ended).max().unwrap_or_default();
        ensure!(
            slowest <= kind.limit,
            "{} by the byte ended after {}",
            kind.name,
            console::seconds(slowest)
        );
        told.push(format!("{} ended within {}", kind.name, console::seconds(slowest)));
    }
    Ok(Onslaught {
        count: sent,
        what: "single bytes",
        told: format!("on {} connections, {}", all.len(), told.join(", ")),
    })
}

fn kinds(arena: &Arena) -> Result<[Kind; 3]> {
    let head = http2::request_head("/p2pci.v1.Registry/Lookup", &arena.target.to_string(), &[])?;
    let headers = http2::frame(HEADERS, END_HEADERS, 1, &head)?;
    let by_the_byte = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
    let message = http2::message(&[0; 1000])?;
    let in_frames = message.iter().map(|byte| http2::frame(DATA, 0, 1, &[*byte]));
    Ok([
        Kind {
            name: "the preface",
            limit: PREFACE_LIMIT,
            first: Vec::new(),
            drops: by_the_byte(http2::PREFACE),
        },
        Kind {
            name: "headers",
            limit: LIMIT,
            first: http2::greeting(&[])?,
            drops: by_the_byte(&headers),
        },
        Kind {
            name: "a message",
            limit: LIMIT,
            first: [http2::greeting(&[])?, headers].concat(),
            drops: in_frames.collect::<Result<_>>()?,
        },
    ])
}

impl Dripping<'_> {
    /// Sends the next byte, unless it has ended; tells how many were sent.
    fn turn(&mut self, second: u32, now: Duration) -> Result<u64> {
        self.link.read()?;
        self.link.reply();
        if self.ended.is_none() && (self.link.end().is_some() || self.link.received.ended_streams > 0) {
            self.ended = Some(now);
        }
        let drop = self.kind.drops.get(usize::try_from(second)?);
        match drop.filter(|_| self.ended.is_none()) {
            Some(drop) => {
                self.link.offer(drop);
                Ok(1)
            }
            None => Ok(0),
        }
    }
}
