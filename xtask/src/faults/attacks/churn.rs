//! What is opened only to be dropped again.

use anyhow::Result;

use super::{
    arena::{self, Arena, Bounds, FEW_BYTES, Onslaught},
    link::{Link, readable, source},
};
use crate::{
    ci::Outcome,
    faults::{
        Bench,
        http2::{self, END_HEADERS, END_STREAM, HEADERS},
        raw_client,
    },
};

/// Connections that are open at a time.
const CONNECTIONS: usize = 64;

/// Connections from one address, before the next one is taken: a system has ports for so many that linger.
const PER_ADDRESS: u64 = 500;

/// What watchers that have gone leave for a moment: a snapshot for each.
const CHURNING: Bounds = Bounds {
    memory_bytes: 2 * FEW_BYTES,
};

/// Opens a stream of changes, and drops the connection when the first one comes.
pub(super) fn watches(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, CHURNING, |arena| {
        let opening = |_| request(arena, "/p2pci.v1.Registry/Watch", &http2::message(&[])?);
        let is_done = |link: &Link| link.received.data > 0 || link.received.ended_streams > 0;
        churn(arena, "watches", opening, is_done)
    })
}

/// Registers and leaves.
pub(super) fn sessions(bench: &Bench) -> Result<Outcome> {
    arena::under(bench, CHURNING, |arena| {
        let opening = |number| {
            let hello = http2::message(&raw_client::hello(&format!("moth-{number}")))?;
            // RegisterRequest { request_id: 2, leave: Leave {} }
            let leave = http2::message(&[http2::number_field(1, 2), http2::bytes_field(8, &[])].concat())?;
            request(arena, "/p2pci.v1.Registry/Register", &[hello, leave].concat())
        };
        churn(arena, "sessions that leave at once", opening, |link| {
            link.received.ended_streams > 0
        })
    })
}

fn request(arena: &Arena, path: &str, body: &[u8]) -> Result<Vec<u8>> {
    let head = http2::request_head(path, &arena.target.to_string(), &[])?;
    let mut bytes = http2::greeting(&[])?;
    bytes.extend(http2::frame(HEADERS, END_HEADERS, 1, &head)?);
    bytes.extend(http2::data_frames(1, END_STREAM, body)?.concat());
    Ok(bytes)
}

fn churn(
    arena: &Arena,
    what: &'static str,
    opening: impl Fn(u64) -> Result<Vec<u8>>,
    is_done: impl Fn(&Link) -> bool,
) -> Result<Onslaught> {
    let span = arena.span();
    let (mut opened, mut done, mut refused) = (0_u64, 0_u64, 0_u64);
    let mut next = || -> Result<Link> {
        let address = usize::try_from(opened / PER_ADDRESS)?;
        let mut link = Link::open(source(address), arena.target)?;
        link.offer(&opening(opened)?);
        opened += 1;
        Ok(link)
    };
    let mut links = (0..CONNECTIONS).map(|_| next()).collect::<Result<Vec<_>>>()?;
    while !span.is_over() {
        for place in readable(links.iter())? {
            let Some(link) = links.get_mut(place) else { continue };
            link.read()?;
            link.reply();
            let is_done = is_done(link);
            if is_done || link.end().is_some() {
                done += u64::from(is_done);
                refused += u64::from(!is_done);
                *link = next()?;
            }
        }
    }
    Ok(Onslaught {
        count: done,
        what,
        told: format!("each on a connection of its own, {refused} of which were closed before"),
    })
}
