//! Frames that ask for nothing, by the hundred thousand.

use anyhow::Result;

use super::{
    arena::{self, Bounds},
    resets::again_and_again,
};
use crate::{
    ci::Outcome,
    faults::{
        Amount, Bench,
        http2::{self, DATA, END_HEADERS, HEADERS, PING, PRIORITY, SETTINGS},
    },
};

const FRAMES: Amount = Amount {
    full: 100_000,
    short: 20_000,
};

/// Parts of no message, on a stream that stays open.
pub(super) fn empty_data(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, |arena| {
        let path = "/p2pci.v1.Registry/Register";
        let head = http2::request_head(path, &arena.target.to_string(), &[])?;
        let mut pieces = vec![http2::frame(HEADERS, END_HEADERS, 1, &head)?];
        pieces.extend(vec![http2::frame(DATA, 0, 1, &[])?; arena.pick(FRAMES)]);
        again_and_again(arena, &pieces)?.onslaught("empty frames of DATA", Some("GOAWAY ENHANCE_YOUR_CALM"))
    })
}

/// Settings, each of which is to be acknowledged.
pub(super) fn settings(bench: &Bench) -> Result<Outcome> {
    flood(bench, "frames of SETTINGS", &http2::frame(SETTINGS, 0, 0, &[])?)
}

/// Pings, each of which is to be answered.
pub(super) fn pings(bench: &Bench) -> Result<Outcome> {
    flood(bench, "frames of PING", &http2::frame(PING, 0, 0, &[7; 8])?)
}

/// Priorities of streams that nobody has opened.
pub(super) fn priorities(bench: &Bench) -> Result<Outcome> {
    flood(
        bench,
        "frames of PRIORITY",
        &http2::frame(PRIORITY, 0, 1001, &[0, 0, 0, 0, 16])?,
    )
}

fn flood(bench: &Bench, what: &'static str, frame: &[u8]) -> Result<Outcome> {
    arena::under(bench, Bounds::USUAL, |arena| {
        let pieces = vec![frame.to_vec(); arena.pick(FRAMES)];
        again_and_again(arena, &pieces)?.onslaught(what, None)
    })
}
