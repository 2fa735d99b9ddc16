//! Requests that are allowed, and as many of them as one attacker can make.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};

use super::{
    arena::{self, Arena, Bounds, Onslaught, Span},
    fates::Fates,
    link::{Link, readable, source},
};
use crate::{
    ci::Outcome,
    faults::{
        Amount, Bench,
        http2::{self, END_HEADERS, END_STREAM, HEADERS},
    },
};

/// Requests that each connection keeps unanswered: as many as it may.
const OUTSTANDING: u64 = 32;

/// Connections of the attacker, all of them from one address: as many as it may have.
const CONNECTIONS: Amount = Amount { full: 256, short: 32 };

/// How long whoever was turned away waits before it tries again: else it would be busy with that alone.
const REST: Duration = Duration::from_millis(100);

/// Streams that one connection opens before it makes room for another; there are a billion numbers for them.
const STREAMS: u32 = 500_000_000;

/// A kind of request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: &'static str,
    /// What follows the headers: a message as gRPC frames it, or something else.
    pub(super) body: Vec<u8>,
    pub(super) more: Vec<(&'static str, String)>,
    /// The status that the first answer on each connection must have, if any does.
    pub(super) status: Option<u8>,
}

impl Request {
    pub(super) fn of(path: &'static str, message: &[u8]) -> Result<Self> {
        Ok(Self {
            path,
            body: http2::message(message)?,
            more: Vec::new(),
            status: None,
        })
    }

    /// The same, where it is known how it must be answered.
    pub(super) fn answered(self, status: u8) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }
}

/// A request in frames, for any stream.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where the number of the stream stands.
    streams: Vec<usize>,
    /// What it takes of the window of the connection.
    data_bytes: i64,
}

impl Template {
    fn of(request: &Request, authority: &str) -> Result<Self> {
        let more: Vec<(&str, &str)> = request
            .more
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let head = http2::request_head(request.path, authority, &more)?;
        let frames = [
            vec![http2::frame(HEADERS, END_HEADERS, 0, &head)?],
            http2::data_frames(0, END_STREAM, &request.body)?,
        ]
        .concat();
        /// Where the number of the stream stands in a frame.
        const STREAM: usize = 5;
        let mut streams = Vec::new();
        let mut bytes = Vec::new();
        for frame in frames {
            streams.push(bytes.len() + STREAM);
            bytes.extend(frame);
        }
        Ok(Self {
            bytes,
            streams,
            data_bytes: i64::try_from(request.body.len())?,
        })
    }

    fn put(&self, stream: u32, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&self.bytes);
        for at in &self.streams {
            if let Some(place) = to.get_mut(start + at..start + at + 4) {
                place.copy_from_slice(&stream.to_be_bytes());
            }
        }
    }
}

/// A connection that keeps requests unanswered.
#[derive(Debug)]
struct Asker {
    link: Link,
    streams: u32,
    unsent: Vec<u8>,
    /// Until when it leaves the registry alone that has not let it in.
    rests: Option<Span>,
}

/// Many connections that make the same kind of request.
#[derive(Debug)]
pub(super) struct Crowd<'a> {
    arena: &'a Arena,
    template: Template,
    askers: Vec<Asker>,
    answered: u64,
    resets: u64,
    statuses: BTreeSet<u8>,
    fates: Fates,
}

/// Makes one kind of request on all connections, as fast as it is answered.
pub(super) fn flood(bench: &Bench, request: &Request, what: &'static str, bounds: Bounds) -> Result<Outcome> {
    arena::under(bench, bounds, |arena| {
        let mut crowd = Crowd::open(arena, arena.pick(CONNECTIONS), request)?;
        let span = arena.span();
        while !span.is_over() {
            crowd.turn(&span)?;
        }
        crowd.onslaught(what, request.status)
    })
}

impl<'a> Crowd<'a> {
    /// Connects so many times from one address.
    pub(super) fn open(arena: &'a Arena, count: usize, request: &Request) -> Result<Self> {
        let template = Template::of(request, &arena.target.to_string())?;
        let askers = (0..count).map(|_| Asker::open(arena)).collect::<Result<_>>()?;
        Ok(Self {
            arena,
            template,
            askers,
            answered: 0,
            resets: 0,
            statuses: BTreeSet::new(),
            fates: Fates::default(),
        })
    }

    /// Reads what has come, and asks again for each answer.
    pub(super) fn turn(&mut self, span: &Span) -> Result<()> {
        let mut places = readable(self.askers.iter().map(|asker| &asker.link))?;
        let rested = |asker: &Asker| asker.rests.as_ref().is_some_and(Span::is_over);
        places.extend(
            self.askers
                .iter()
                .enumerate()
                .filter(|(_, asker)| rested(asker))
                .map(|(place, _)| place),
        );
        if places.is_empty() || self.answered == 0 {
            places = (0..self.askers.len()).collect();
        }
        for place in places {
            let Some(asker) = self.askers.get_mut(place) else {
                continue;
            };
            if asker.rests.as_ref().is_some_and(|rest| !rest.is_over()) {
                continue;
            }
            asker.rests = None;
            let before = asker.link.received;
            asker.turn(&self.template)?;
            let now = asker.link.received;
            self.answered += now.ended_streams - before.ended_streams;
            self.resets += now.resets - before.resets;
            self.statuses.extend(asker.link.first_status);
            if let Some((end, _)) = asker.link.end() {
                self.fates.note(asker.streams.into(), Some(end));
                if span.is_over() {
                    return Ok(());
                }
                let rests = (now.ended_streams == 0).then(|| Span::of(REST));
                *asker = Asker::open(self.arena)?;
                asker.rests = rests;
            }
        }
        Ok(())
    }

    /// What it has done.
    pub(super) fn onslaught(mut self, what: &'static str, status: Option<u8>) -> Result<Onslaught> {
        let statuses = format!("{:?}", self.statuses);
        ensure!(
            status.is_none_or(|status| self.statuses.iter().eq([&status])),
            "{} were answered, with status {statuses} instead of {status:?}: {}",
            self.answered,
            self.fates.text()
        );
        for asker in &self.askers {
            self.fates.note(asker.streams.into(), None);
        }
        let resets = if self.resets > 0 {
            format!(", {} of them reset", self.resets)
        } else {
            String::new()
        };
        Ok(Onslaught {
            count: self.answered,
            what,
            told: format!("answered with status {statuses}{resets}; {}", self.fates.text()),
        })
    }
}

impl Asker {
    fn open(arena: &Arena) -> Result<Self> {
        let mut link = Link::open(source(0), arena.target)?;
        link.offer(&http2::greeting(&[(
            http2::INITIAL_WINDOW_SIZE,
            http2::LARGEST_WINDOW,
        )])?);
        Ok(Self {
            link,
            streams: 0,
            rests: None,
            unsent: Vec::new(),
        })
    }

    fn turn(&mut self, template: &Template) -> Result<()> {
        self.link.read()?;
        self.unsent.append(&mut self.link.replies);
        let unanswered = u64::from(self.streams).saturating_sub(self.link.received.ended_streams);
        for _ in unanswered..OUTSTANDING {
            if self.link.window < template.data_bytes || self.streams >= STREAMS {
                break;
            }
            self.link.window -= template.data_bytes;
            template.put(self.streams * 2 + 1, &mut self.unsent);
            self.streams += 1;
        }
        if !self.unsent.is_empty() {
            let sent = self.link.offer(&self.unsent);
            self.unsent.drain(..sent);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::http2::DATA;

    #[test]
    fn a_request_is_the_same_on_every_stream_but_for_its_number() {
        let request = Request::of("/a", &[7; 20_000]).unwrap();
        let template = Template::of(&request, "b").unwrap();
        let mut bytes = Vec::new();
        template.put(5, &mut bytes);
        let mut inbox = http2::Inbox::default();
        inbox.push(&bytes);
        let frames: Vec<http2::Frame> = std::iter::from_fn(|| inbox.next().unwrap()).collect();
        assert_eq!(
            frames.iter().map(|frame| frame.kind).collect::<Vec<_>>(),
            [HEADERS, DATA, DATA]
        );
        assert!(frames.iter().all(|frame| frame.stream == 5));
        let data: usize = frames.iter().skip(1).map(|frame| frame.payload.len()).sum();
        assert_eq!((data, template.data_bytes), (20_005, 20_005));
        assert!(frames.iter().rev().take(1).all(http2::Frame::ends_stream));
    }
}
