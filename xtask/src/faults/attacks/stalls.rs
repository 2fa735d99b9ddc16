//! Streams that are opened to take what they ask for slowly, or never, and messages that never end.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    arena::{self, Arena, Bounds, FEW_BYTES, Onslaught, Span},
    fates::Fates,
    kinds::HELD_BYTES,
    link::{Link, readable, source},
};
use crate::{
    ci::Outcome,
    console,
    faults::{
        Amount, Bench,
        http2::{self, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, USUAL_WINDOW},
    },
};

/// Streams of each connection: as many as it may have.
const STREAMS: usize = 32;

/// Connections from one address: as many as it may have.
const CONNECTIONS: Amount = Amount { full: 256, short: 32 };

/// Connections that begin messages, from several addresses.
const BEGINNING_CONNECTIONS: Amount = Amount {
    full: 1_000,
    short: 100,
};
const BEGINNING_PER_ADDRESS: usize = 200;

/// What a stream may carry that the registry has not answered, its first window, less a byte: of the longest messages that fit
/// in, the last byte is never sent.
const BEGUN_BYTES: usize = (64 << 10) - 1;

/// What of it is of no account: one such message of each connection.
const FREE_BYTES: u64 = 64 << 10;

/// What a stream costs that is open, before anything of a message is there: 10.3 KiB were measured.
const STREAM_BYTES: u64 = 12 << 10;

/// How long an answer may lie unread, and how much later its connection must be closed at the latest: the registry looks once a
/// second, and this machine may be slow.
const UNREAD_LIMIT: Duration = Duration::from_secs(75 + 10);

/// How long streams are held open, in seconds: until the registry has closed all of them, or only to see what they cost.
const HELD: Amount = Amount { full: 90, short: 3 };
const BEGUN_HELD: Amount = Amount { full: 15, short: 3 };

/// What a slow reader takes of each connection, in bytes per look, and the time between two looks.
const SLOWLY_BYTES: usize = 256;
const LOOK: Duration = Duration::from_millis(250);

/// Answers that nobody reads, and what the streams themselves cost that they belong to.
const HOLDING: Bounds = Bounds {
    memory_bytes: HELD_BYTES + 4 * FEW_BYTES,
};

/// Streams that are opened, and what becomes of them.
struct Hold {
    links: Vec<Link>,
    opened: Duration,
    poured_bytes: u64,
}

/// Asks for the whole index on all streams, with no window at all for the answers.
pub(super) fn window_zero(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, HOLDING, |arena| {
        let opening = opening(
            arena,
            0,
            "/p2pci.v1.Registry/ListDocuments",
            &http2::message(&[])?,
            END_STREAM,
        )?;
        let mut hold = Hold::open(arena, arena.pick(CONNECTIONS), |_| 0, &opening)?;
        hold.read_until(&Span::of(seconds(arena, HELD)))?;
        if !arena.is_short {
            hold.check_closed(UNREAD_LIMIT)?;
        }
        hold.onslaught("listings with a window of 0")
    })
}

/// Asks for the whole index on all streams, and reads a kilobyte a second of each connection.
pub(super) fn slow_reader(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, HOLDING, |arena| {
        let path = "/p2pci.v1.Registry/ListDocuments";
        let opening = opening(arena, USUAL_WINDOW, path, &http2::message(&[])?, END_STREAM)?;
        let mut hold = Hold::open(arena, arena.pick(CONNECTIONS), |_| 0, &opening)?;
        let span = arena.span();
        while !span.is_over() {
            for link in &mut hold.links {
                link.read_at_most(SLOWLY_BYTES)?;
                link.reply();
            }
            std::thread::sleep(LOOK.min(span.left()));
        }
        hold.onslaught("listings read slowly")
    })
}

/// Sends all but the last byte of the longest message, on all streams.
pub(super) fn unended(bench: &Bench) -> Result<Outcome> {
    let connections = bench.pick(BEGINNING_CONNECTIONS);
    let addresses = u64::try_from(connections.div_ceil(BEGINNING_PER_ADDRESS))?;
    let of_connection = FREE_BYTES + STREAMS as u64 * STREAM_BYTES;
    let bounds = Bounds {
        memory_bytes: addresses * HELD_BYTES + u64::try_from(connections)? * of_connection + FEW_BYTES,
    };
    arena::under(bench, bounds, |arena| {
        let opening = opening(arena, USUAL_WINDOW, "/p2pci.v1.Registry/Register", &[], 0)?;
        let mut hold = Hold::open(arena, connections, |index| index / BEGINNING_PER_ADDRESS, &opening)?;
        let span = Span::of(seconds(arena, BEGUN_HELD));
        let mut message = http2::message_head(false, u32::try_from(BEGUN_BYTES + 1)?);
        message.resize(BEGUN_BYTES, 0);
        hold.pour(&message, &span)?;
        hold.read_until(&span)?;
        let left = hold.links.iter().filter(|link| link.end().is_none());
        let (left, ended) = left.fold((0, 0), |(left, ended), link| {
            (left + STREAMS as u64, ended + link.received.ended_streams)
        });
        ensure!(
            arena.is_short || ended == left,
            "{ended} of {left} streams have ended on which no message came to its end"
        );
        let mut told = hold.onslaught("streams that do not end a message of 64 KiB")?;
        told.told = format!(
            "{} MiB sent; {ended} streams ended; {}",
            hold.poured_bytes >> 20,
            told.told
        );
        Ok(told)
    })
}

fn seconds(arena: &Arena, amount: Amount) -> Duration {
    Duration::from_secs(arena.pick(amount) as u64)
}

/// What a connection sends that opens all its streams at once.
fn opening(arena: &Arena, window: u32, path: &str, body: &[u8], flags: u8) -> Result<Vec<u8>> {
    let head = http2::request_head(path, &arena.target.to_string(), &[])?;
    let mut bytes = http2::greeting(&[(INITIAL_WINDOW_SIZE, window)])?;
    for stream in stream_numbers() {
        bytes.extend(http2::frame(HEADERS, END_HEADERS, stream, &head)?);
        if !body.is_empty() {
            bytes.extend(http2::data_frames(stream, flags, body)?.concat());
        }
    }
    Ok(bytes)
}

fn stream_numbers() -> impl Iterator<Item = u32> {
    (1..).step_by(2).take(STREAMS)
}

impl Hold {
    fn open(arena: &Arena, count: usize, address: impl Fn(usize) -> usize, opening: &[u8]) -> Result<Self> {
        let span = Span::of(Duration::from_secs(60));
        let start = crate::wait::now();
        let mut links = Vec::new();
        for index in 0..count {
            let mut link = Link::open(source(address(index)), arena.target)?;
            link.send(opening, &span)?;
            links.push(link);
        }
        Ok(Self {
            links,
            opened: start.elapsed(),
            poured_bytes: 0,
        })
    }

    /// Sends the same bytes on all streams, as fast as connections have room for them.
    fn pour(&mut self, bytes: &[u8], span: &Span) -> Result<()> {
        let mut frames = Vec::new();
        for stream in stream_numbers() {
            frames.extend(http2::data_frames(stream, 0, bytes)?);
        }
        let mut sent = vec![0; self.links.len()];
        while !span.is_over() {
            let mut is_done = true;
            for (link, sent) in self.links.iter_mut().zip(&mut sent) {
                while let Some(frame) = frames.get(*sent).filter(|_| link.end().is_none()) {
                    is_done = false;
                    let room = i64::try_from(frame.len())?;
                    if link.window < room || !link.send(frame, span)? {
                        break;
                    }
                    link.window -= room;
                    self.poured_bytes += frame.len() as u64;
                    *sent += 1;
                }
            }
            if is_done {
                break;
            }
            for place in readable(self.links.iter())? {
                if let Some(link) = self.links.get_mut(place) {
                    link.read()?;
                    link.reply();
                }
            }
        }
        Ok(())
    }

    /// Reads whatever comes, until all connections have ended or the time is over.
    fn read_until(&mut self, span: &Span) -> Result<()> {
        while !span.is_over() && self.links.iter().any(|link| link.end().is_none()) {
            for place in readable(self.links.iter())? {
                let Some(link) = self.links.get_mut(place) else {
                    continue;
                };
                link.read()?;
                link.reply();
            }
        }
        Ok(())
    }

    fn slowest_end(&self) -> Duration {
        let ends = self.links.iter().filter_map(|link| link.end().map(|(_, took)| took));
        ends.max().unwrap_or_default()
    }

    fn check_closed(&self, limit: Duration) -> Result<()> {
        // Those that wait for a place are told that there is none, which needs no window.
        let waits = |link: &&Link| link.end().is_none() && link.received.ended_streams < STREAMS as u64;
        let open = self.links.iter().filter(waits).count();
        ensure!(open == 0, "{open} connections that read nothing are still open");
        ensure!(
            self.slowest_end() <= limit,
            "a connection that reads nothing was closed after {}",
            console::seconds(self.slowest_end())
        );
        Ok(())
    }

    fn onslaught(&self, what: &'static str) -> Result<Onslaught> {
        let mut fates = Fates::default();
        for link in &self.links {
            fates.note(STREAMS as u64, link.end().map(|(end, _)| end));
        }
        let mut told = fates.onslaught(what, None)?;
        told.told = format!(
            "opened in {}, the last one closed after {}; {}",
            console::seconds(self.opened),
            console::seconds(self.slowest_end()),
            told.told
        );
        Ok(told)
    }
}
