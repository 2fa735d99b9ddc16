//! Sessions: too many of them, and one that announces without end.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    arena::{self, Arena, Bounds, FEW_BYTES, Onslaught, Span},
    link::{Link, readable, source},
};
use crate::{
    ci::Outcome,
    console,
    faults::{
        Amount, Bench,
        http2::{self, DATA, END_HEADERS, HEADERS, INITIAL_WINDOW_SIZE, LARGEST_WINDOW},
        raw_client,
    },
    wait,
};

const REGISTER: &str = "/p2pci.v1.Registry/Register";

/// Registrations from one address, and how many of them a registry takes.
const REGISTRATIONS: Amount = Amount {
    full: 5_000,
    short: 500,
};
const GRANTED: usize = 64;

/// Sessions on one connection: as many as it may have streams.
const PER_CONNECTION: usize = 32;

/// How long it may take until all of them have been answered.
const ANSWERED_LIMIT: Duration = Duration::from_secs(15);

/// Documents that somebody announces, and how many of them a registry takes.
const ANNOUNCED: Amount = Amount {
    full: 1_000_000,
    short: 60_000,
};
const TAKEN: u64 = 40_000;

/// Documents in one announcement: as many as there may be.
const BATCH: usize = 256;

/// How soon whoever reads no answer must be gone.
const GONE_LIMIT: Duration = Duration::from_secs(30);

/// A mebibyte for the answers, and what the index takes for 40,000 documents that nobody else has: half a kilobyte each.
const ANNOUNCING: Bounds = Bounds {
    memory_bytes: (1 << 20) + TAKEN * 512 + FEW_BYTES,
};

/// Registers again and again from one address.
pub(super) fn crowd(bench: &Bench) -> Result<Outcome> {
    let bounds = Bounds {
        memory_bytes: 2 * FEW_BYTES,
    };
    arena::under(bench, bounds, |arena| {
        let span = arena.span();
        let (mut registered, mut waves) = (0, 0);
        while waves == 0 || !span.is_over() {
            registered += wave(arena, waves)?;
            waves += 1;
            arena.await_listed("those who left to be gone", |listed| listed == 1)?;
        }
        Ok(Onslaught {
            count: registered as u64,
            what: "registrations from one address",
            told: format!("{waves} times, of which {GRANTED} were granted each time"),
        })
    })
}

/// Registers as often as is to be tried, and checks how many are let in.
fn wave(arena: &Arena, wave: usize) -> Result<usize> {
    let count = arena.pick(REGISTRATIONS);
    let head = http2::request_head(REGISTER, &arena.target.to_string(), &[])?;
    let deadline = Span::of(ANSWERED_LIMIT);
    let mut links = Vec::new();
    let names: Vec<String> = (0..count).map(|index| format!("mob-{wave}-{index}")).collect();
    for names in names.chunks(PER_CONNECTION) {
        let mut bytes = http2::greeting(&[])?;
        for (name, stream) in names.iter().zip((1..).step_by(2)) {
            bytes.extend(http2::frame(HEADERS, END_HEADERS, stream, &head)?);
            bytes.extend(http2::frame(
                DATA,
                0,
                stream,
                &http2::message(&raw_client::hello(name))?,
            )?);
        }
        let mut link = Link::open(source(0), arena.target)?;
        link.send(&bytes, &deadline)?;
        links.push(link);
    }
    let refused = |links: &[Link]| -> u64 { links.iter().map(|link| link.received.ended_streams).sum() };
    let wanted = u64::try_from(count.saturating_sub(GRANTED))?;
    while refused(&links) < wanted && !deadline.is_over() {
        for place in readable(links.iter())? {
            links.get_mut(place).map_or(Ok(()), Link::read)?;
        }
    }
    ensure!(
        refused(&links) == wanted,
        "{} of {count} registrations from one address were refused, and not {wanted}",
        refused(&links)
    );
    let listed = arena
        .listed()?
        .iter()
        .filter(|(name, _)| name.starts_with("mob-"))
        .count();
    ensure!(
        listed == GRANTED,
        "{listed} of {count} sessions of one address are listed"
    );
    Ok(count)
}

/// Announces without end, and never takes an answer.
pub(super) fn greedy(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, ANNOUNCING, |arena| {
        let (announced, seen) = announce_watched(arena, 0, &Span::of(GONE_LIMIT + Duration::from_secs(10)))?;
        ensure!(
            seen.gone <= GONE_LIMIT,
            "who reads no answer was listed for {}",
            console::seconds(seen.gone)
        );
        Ok(seen.onslaught(announced, "documents announced by one who reads nothing"))
    })
}

/// Announces without end, and takes all answers: most of them say that it has enough.
pub(super) fn hoarder(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, ANNOUNCING, |arena| {
        let (announced, seen) = announce_watched(arena, LARGEST_WINDOW, &arena.span())?;
        ensure!(
            (TAKEN - BATCH as u64..=TAKEN).contains(&seen.most),
            "{} documents of one session are listed, and not {TAKEN}",
            seen.most
        );
        Ok(seen.onslaught(announced, "documents announced by one session"))
    })
}

/// Announces as long as that is borne and `span` lasts, while somebody looks at what is listed.
fn announce_watched(arena: &Arena, window: u32, span: &Span) -> Result<(u64, Seen)> {
    let start = wait::now();
    let watch = Span::of(span.left() + GONE_LIMIT);
    let (announced, seen) = thread::scope(|scope| {
        let announcing = scope.spawn(|| announce(arena, window, span));
        let seen = watch_greedy(arena, &watch, start);
        let announced = announcing.join().ok().context("the attacker panicked");
        Ok::<_, anyhow::Error>((announced??, seen?))
    })?;
    ensure!(seen.most > 0, "nothing was announced");
    ensure!(seen.most <= TAKEN, "{} documents of one session are listed", seen.most);
    Ok((announced, seen))
}

const GREEDY: &str = "greedy";

/// What was seen of a session while it lasted.
struct Seen {
    most: u64,
    gone: Duration,
}

impl Seen {
    fn onslaught(&self, announced: u64, what: &'static str) -> Onslaught {
        Onslaught {
            count: announced,
            what,
            told: format!(
                "at most {} of them listed, gone after {}",
                self.most,
                console::seconds(self.gone)
            ),
        }
    }
}

/// Looks at the list of peers until the session has come and gone.
fn watch_greedy(arena: &Arena, span: &Span, start: std::time::Instant) -> Result<Seen> {
    const LOOK: Duration = Duration::from_millis(200);
    let mut most = None;
    while !span.is_over() {
        let rows = arena.listed()?;
        let greedy = rows
            .iter()
            .find(|(name, _)| name == GREEDY)
            .map(|(_, documents)| *documents);
        match (greedy, most) {
            (Some(documents), _) => most = Some(documents.max(most.unwrap_or_default())),
            (None, Some(most)) => {
                return Ok(Seen {
                    most,
                    gone: start.elapsed(),
                });
            }
            (None, None) => {}
        }
        thread::sleep(LOOK);
    }
    anyhow::bail!("who reads no answer is still listed, or never was: {most:?}")
}

/// Announces as fast as the windows allow; returns how many documents that were.
fn announce(arena: &Arena, window: u32, span: &Span) -> Result<u64> {
    let head = http2::request_head(REGISTER, &arena.target.to_string(), &[])?;
    let mut link = Link::open(source(0), arena.target)?;
    let opening = [
        http2::greeting(&[(INITIAL_WINDOW_SIZE, window)])?,
        http2::frame(HEADERS, END_HEADERS, 1, &head)?,
        http2::frame(DATA, 0, 1, &http2::message(&hello_that_shares())?)?,
    ];
    link.send(&opening.concat(), span)?;
    let mut announced = 0;
    let numbers: Vec<u64> = (1..=u64::try_from(arena.pick(ANNOUNCED))?).collect();
    for batch in numbers.chunks(BATCH) {
        let message = http2::message(&announcement(batch))?;
        let bytes = i64::try_from(message.len())?;
        while link.window.min(link.stream_window) < bytes && link.end().is_none() && !span.is_over() {
            readable(std::iter::once(&link))?;
            link.read()?;
        }
        link.window -= bytes;
        link.stream_window -= bytes;
        if !link.send(&http2::data_frames(1, 0, &message)?.concat(), span)? {
            break;
        }
        announced += batch.len() as u64;
    }
    // Stays as long as it may.
    link.await_end(span)?;
    Ok(announced)
}

/// The first message of a session whose documents are at a port on which nobody listens.
fn hello_that_shares() -> Vec<u8> {
    const PORT: u64 = 40_000;
    let hello = [
        http2::number_field(1, 1),
        http2::bytes_field(2, GREEDY.as_bytes()),
        http2::number_field(3, PORT),
    ];
    [http2::number_field(1, 1), http2::bytes_field(2, &hello.concat())].concat()
}

/// A message that announces these numbers, each with a digest that nobody else has.
fn announcement(numbers: &[u64]) -> Vec<u8> {
    let documents = numbers.iter().map(|number| {
        let document = [
            http2::number_field(1, *number),
            http2::number_field(2, 1),
            http2::bytes_field(3, format!("{number:064x}").as_bytes()),
            http2::number_field(4, 1000),
        ];
        http2::bytes_field(1, &document.concat())
    });
    let announce: Vec<u8> = documents.flatten().collect();
    [http2::number_field(1, 2), http2::bytes_field(3, &announce)].concat()
}
