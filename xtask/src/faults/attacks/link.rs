//! A connection of an attacker: it sends what it likes, and notes how the other side takes it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        AddressFamily, SocketFlags, SocketType, bind, connect as connect_to, socket_with, sockopt::set_socket_linger,
    },
};

use super::arena::Span;
use crate::{
    faults::http2::{self, DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE},
    wait,
};

/// How often a connection that waits looks whether its time is over.
const LOOK: Duration = Duration::from_millis(50);

/// What is read at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// Connects from an address of this machine's own network, of which every machine has 16 million.
pub(super) fn connect(source: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let what = || format!("cannot connect to {to} from {source}");
    let family = match to.ip() {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::from((source, 0))).with_context(what)?;
    connect_to(&socket, &to).with_context(what)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An address of an attacker's, by its number.
pub(super) fn source(index: usize) -> Ipv4Addr {
    /// Hosts of a network of 24 bits, the first one left out.
    const HOSTS: usize = 253;
    let octet = |number: usize| u8::try_from(number % 256).unwrap_or_default();
    Ipv4Addr::new(127, 0, octet(index / HOSTS % 200), octet(index % HOSTS + 2))
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// The other side said goodbye, with this code.
    GoAway(u32),
    /// It closed the connection without a word.
    Closed,
    /// It broke the connection.
    Reset,
}

impl End {
    pub(super) fn text(self) -> String {
        match self {
            Self::GoAway(code) => format!("GOAWAY {}", http2::error_name(code)),
            Self::Closed => "closed".to_owned(),
            Self::Reset => "reset".to_owned(),
        }
    }
}

/// Frames that came, by what they tell an attacker.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Received {
    /// Streams that the other side has ended, in whatever way.
    pub(super) ended_streams: u64,
    /// Those of them that it has reset.
    pub(super) resets: u64,
    /// Streams that it has begun to answer.
    pub(super) heads: u64,
    /// Messages, or parts of them.
    pub(super) data: u64,
}

/// What has been received of the frame that is on its way.
#[derive(Debug, Default)]
struct Partial {
    head: Vec<u8>,
    /// Bytes of the payload that are still to come.
    left: usize,
    /// The payload, where it matters.
    payload: Vec<u8>,
}

/// A connection of an attacker.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    opened: Instant,
    /// Whether settings and pings are answered, as they must be for a connection to stay.
    is_polite: bool,
    /// Those answers, which must not come in the middle of a frame.
    pub(super) replies: Vec<u8>,
    buffer: Vec<u8>,
    /// How many bytes the other side grants to the connection as a whole.
    pub(super) window: i64,
    /// And to its first stream.
    pub(super) stream_window: i64,
    partial: Partial,
    pub(super) received: Received,
    /// The status of the first stream that ended, where it has one.
    pub(super) first_status: Option<u8>,
    goaway: Option<u32>,
    end: Option<(End, Duration)>,
}

impl Link {
    /// Connects, and says nothing.
    pub(super) fn open(source: Ipv4Addr, to: SocketAddr) -> Result<Self> {
        let socket = connect(source, to)?;
        // What is dropped is reset, and leaves no port that lingers: there must be enough of them for the next one.
        set_socket_linger(&socket, Some(Duration::ZERO))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            opened: wait::now(),
            is_polite: true,
            replies: Vec::new(),
            buffer: Vec::new(),
            window: i64::from(http2::USUAL_WINDOW),
            stream_window: i64::from(http2::USUAL_WINDOW),
            partial: Partial::default(),
            received: Received::default(),
            first_status: None,
            goaway: None,
            end: None,
        })
    }

    /// The same, for one that answers neither settings nor pings.
    pub(super) fn rude(self) -> Self {
        Self {
            is_polite: false,
            ..self
        }
    }

    /// How it ended, and how long after it was opened.
    pub(super) fn end(&self) -> Option<(End, Duration)> {
        self.end
    }

    fn ends(&mut self, how: End) {
        let how = self.goaway.map_or(how, End::GoAway);
        self.end.get_or_insert((how, self.opened.elapsed()));
    }

    /// Sends all of it, and reads meanwhile; false when the connection or the time ended first.
    pub(super) fn send(&mut self, bytes: &[u8], span: &Span) -> Result<bool> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = rest.get(self.offer(rest)..).unwrap_or_default();
            self.read()?;
            if self.end.is_some() || span.is_over() {
                return Ok(false);
            }
            if !rest.is_empty() {
                self.await_any(PollFlags::IN | PollFlags::OUT)?;
            }
        }
        self.reply();
        Ok(true)
    }

    /// Answers settings and pings that have been read, between two frames.
    pub(super) fn reply(&mut self) {
        if !self.replies.is_empty() {
            let replies = std::mem::take(&mut self.replies);
            let sent = self.offer(&replies);
            self.replies = replies.get(sent..).unwrap_or_default().to_vec();
        }
    }

    /// Sends as much as there is room for, without waiting; says how much that was.
    pub(super) fn offer(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    // What the other side said before it went is still there to be read.
                    let _ = self.read();
                    self.ends(End::Reset);
                    break;
                }
            }
        }
        sent
    }

    /// Waits until the connection ends or the time is over; says whether it ended.
    pub(super) fn await_end(&mut self, span: &Span) -> Result<bool> {
        while self.end.is_none() && !span.is_over() {
            self.await_any(PollFlags::IN)?;
            self.read()?;
            self.reply();
        }
        Ok(self.end.is_some())
    }

    fn await_any(&self, what: PollFlags) -> Result<()> {
        wait_for(&mut [PollFd::new(&self.socket, what)], LOOK)
    }

    /// Reads what is there.
    pub(super) fn read(&mut self) -> Result<()> {
        self.read_at_most(usize::MAX)
    }

    /// Reads what is there, and no more than so many bytes.
    pub(super) fn read_at_most(&mut self, limit: usize) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            buffer = vec![0; BUFFER_BYTES];
        }
        let read = self.read_into(&mut buffer, limit);
        self.buffer = buffer;
        read
    }

    fn read_into(&mut self, buffer: &mut [u8], limit: usize) -> Result<()> {
        let mut left = limit;
        while self.end.is_none() && left > 0 {
            let part = buffer.get_mut(..BUFFER_BYTES.min(left)).unwrap_or_default();
            match self.socket.read(part) {
                Ok(0) => self.ends(End::Closed),
                Ok(count) => {
                    left -= count;
                    self.take(buffer.get(..count).unwrap_or_default())?;
                    if count < BUFFER_BYTES {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => self.ends(End::Reset),
            }
        }
        Ok(())
    }

    /// Goes through frames without copying what nobody looks at: an attacker is to spend its time attacking.
    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        const HEAD_BYTES: usize = 9;
        while !bytes.is_empty() {
            if self.partial.head.len() < HEAD_BYTES {
                let (now, later) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.partial.head.len()));
                self.partial.head.extend_from_slice(now);
                bytes = later;
                let Some(&[a, b, c, ..]) = self.partial.head.first_chunk::<HEAD_BYTES>() else {
                    return Ok(());
                };
                self.partial.left = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.partial.left));
            if self.partial.head.get(3).is_some_and(|kind| *kind != DATA) {
                self.partial.payload.extend_from_slice(now);
            }
            self.partial.left -= now.len();
            bytes = later;
            if self.partial.left == 0 {
                let whole = std::mem::take(&mut self.partial);
                self.note(&whole.head, whole.payload)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, head: &[u8], payload: Vec<u8>) -> Result<()> {
        let [_, _, _, kind, flags, stream @ ..] = head else {
            return Ok(());
        };
        let (kind, flags) = (*kind, *flags);
        let frame = http2::Frame {
            kind,
            flags,
            stream: stream.try_into().map_or(0, u32::from_be_bytes),
            payload,
        };
        // A stream that has been answered early is reset without an error: no more is to be sent, but it has ended before.
        let is_reset = kind == RST_STREAM && frame.payload.iter().any(|byte| *byte != 0);
        self.received.ended_streams += u64::from(frame.ends_stream() || is_reset);
        self.received.resets += u64::from(is_reset);
        match kind {
            DATA => self.received.data += 1,
            WINDOW_UPDATE if frame.stream <= 1 => {
                let by = frame.payload.as_slice().try_into().map_or(0, u32::from_be_bytes);
                let window = if frame.stream == 0 {
                    &mut self.window
                } else {
                    &mut self.stream_window
                };
                *window += i64::from(by);
            }
            GOAWAY => self.goaway = frame.goaway_code(),
            SETTINGS | PING if self.is_polite => {
                self.replies.extend(frame.acknowledgement()?.into_iter().flatten());
            }
            HEADERS => {
                if frame.ends_stream() && self.received.ended_streams == 1 {
                    self.first_status = http2::grpc_status(&frame.payload);
                }
                self.received.heads += 1;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Waits until something can be done with one of many connections, or for so long.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], limit: Duration) -> Result<()> {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs())?,
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    match poll(fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until some of many connections have something to read, or a while has passed; tells which ones, by their place.
pub(super) fn readable<'a>(links: impl Iterator<Item = &'a Link>) -> Result<Vec<usize>> {
    let open: Vec<(usize, &Link)> = links.enumerate().filter(|(_, link)| link.end.is_none()).collect();
    let mut fds: Vec<PollFd<'_>> = open
        .iter()
        .map(|(_, link)| PollFd::new(&link.socket, PollFlags::IN))
        .collect();
    wait_for(&mut fds, LOOK)?;
    let found = open.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    Ok(found.map(|((place, _), _)| *place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_counted_however_it_is_cut_and_the_goodbye_is_kept() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = Link::open(source(0), listener.local_addr().unwrap()).unwrap();
        let (mut other, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
        let sent = [
            http2::frame(HEADERS, 0, 1, b"head").unwrap(),
            http2::frame(DATA, http2::END_STREAM, 1, &[0; 100]).unwrap(),
            http2::frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]).unwrap(),
            http2::frame(RST_STREAM, 0, 1, &[0; 4]).unwrap(),
            http2::frame(GOAWAY, 0, 0, b"\0\0\0\x05\0\0\0\x0b").unwrap(),
        ]
        .concat();
        let (first, second) = sent.split_at(15);
        other.write_all(first).unwrap();
        let soon = Span::of(Duration::from_secs(10));
        while link.partial.head.is_empty() && !soon.is_over() {
            link.read().unwrap();
        }
        other.write_all(second).unwrap();
        drop(other);
        assert!(link.await_end(&soon).unwrap());
        let received = link.received;
        assert_eq!(
            (received.heads, received.data, received.resets, received.ended_streams),
            (1, 1, 1, 2)
        );
        assert_eq!(link.end().unwrap().0, End::GoAway(11));
    }
}
