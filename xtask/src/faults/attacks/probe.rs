//! Honest lookups at a steady, modest rate, and how long each took.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::link;
use crate::{
    faults::http2::{self, DATA, END_HEADERS, END_STREAM, HEADERS, Inbox},
    wait,
};

/// Connections that stay, and how often each asks: together 150 lookups a second, a crowd of readers.
const KEPT_CONNECTIONS: u8 = 3;
const KEPT_INTERVAL: Duration = Duration::from_millis(20);

/// How often somebody connects for a single lookup, as `peer lookup` does.
const FRESH_INTERVAL: Duration = Duration::from_millis(50);

/// A lookup that takes longer has failed, as it has for a peer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A document that the registry knows: its number, and the digest that every answer must hold.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) number: u32,
    pub(super) sha256: String,
}

/// How long lookups took, from the moment at which each was due.
#[derive(Debug, Default, Clone)]
pub(super) struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self { sorted: all }
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The duration that so many of a hundred do not exceed.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(super) fn longest(&self) -> Duration {
        self.sorted.last().copied().unwrap_or_default()
    }
}

/// What all lookups of a run told.
#[derive(Debug, Default)]
pub(super) struct Probed {
    /// On connections that stay.
    pub(super) kept: Latencies,
    /// On a connection for each, the making of which counts.
    pub(super) fresh: Latencies,
    /// What went wrong.
    pub(super) failures: Vec<String>,
}

/// Looks up until told to stop.
pub(super) fn run(registry: SocketAddr, known: &[Known], stop: &AtomicBool) -> Probed {
    let source = |last| Ipv4Addr::new(127, 0, 250, last);
    thread::scope(|scope| {
        let kept: Vec<_> = (1..=KEPT_CONNECTIONS)
            .map(|last| scope.spawn(move || Prober::new(registry, source(last), known).run(KEPT_INTERVAL, true, stop)))
            .collect();
        let fresh = scope.spawn(move || Prober::new(registry, source(100), known).run(FRESH_INTERVAL, false, stop));
        let mut probed = Probed::default();
        let mut all = Vec::new();
        for thread in kept {
            collect(thread.join(), &mut all, &mut probed.failures);
        }
        probed.kept = Latencies::of(all);
        let mut all = Vec::new();
        collect(fresh.join(), &mut all, &mut probed.failures);
        probed.fresh = Latencies::of(all);
        probed
    })
}

type Took = (Vec<Duration>, Vec<String>);

fn collect(joined: thread::Result<Took>, all: &mut Vec<Duration>, failures: &mut Vec<String>) {
    match joined {
        Ok((took, failed)) => {
            all.extend(took);
            failures.extend(failed);
        }
        Err(_) => failures.push("it panicked".to_owned()),
    }
}

struct Prober<'a> {
    registry: SocketAddr,
    source: Ipv4Addr,
    known: &'a [Known],
}

/// A connection on which lookups are made, one after the other.
struct Asking {
    socket: TcpStream,
    inbox: Inbox,
    head: Vec<u8>,
    stream: u32,
}

impl<'a> Prober<'a> {
    fn new(registry: SocketAddr, source: Ipv4Addr, known: &'a [Known]) -> Self {
        Self {
            registry,
            source,
            known,
        }
    }

    /// Each lookup is timed from when it was due: one that waits for the one before it has waited, too.
    fn run(&self, interval: Duration, keeps: bool, stop: &AtomicBool) -> Took {
        let (mut took, mut failures) = (Vec::new(), Vec::new());
        let mut asking = None;
        let mut due = wait::now();
        for known in self.known.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(due.saturating_duration_since(wait::now()));
            let looked_up = self.look_up(&mut asking, known);
            took.push(due.elapsed());
            if let Err(error) = looked_up {
                failures.push(format!("RFC {} from {}: {error:#}", known.number, self.source));
                asking = None;
            }
            if !keeps {
                asking = None;
            }
            due = next_due(due, interval);
        }
        (took, failures)
    }

    fn look_up(&self, asking: &mut Option<Asking>, known: &Known) -> Result<()> {
        let asking = match asking {
            Some(asking) => asking,
            None => asking.insert(self.connect()?),
        };
        let answer = asking.ask(known.number)?;
        let digest = known.sha256.as_bytes();
        ensure!(
            answer.windows(digest.len()).any(|window| window == digest),
            "the answer does not have its digest: {:?}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }

    fn connect(&self) -> Result<Asking> {
        let mut socket = link::connect(self.source, self.registry)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.write_all(&http2::greeting(&[])?)?;
        Ok(Asking {
            socket,
            inbox: Inbox::default(),
            head: http2::request_head("/p2pci.v1.Registry/Lookup", &self.registry.to_string(), &[])?,
            stream: 1,
        })
    }
}

/// When the next lookup is due. One that took longer than its turn is followed at once; turns that were missed altogether
/// are left out, so that a long wait counts once.
fn next_due(due: Instant, interval: Duration) -> Instant {
    (due + interval).max(wait::now().checked_sub(interval).unwrap_or(due))
}

impl Asking {
    /// The bytes of the answer to a lookup.
    fn ask(&mut self, number: u32) -> Result<Vec<u8>> {
        let stream = self.stream;
        self.stream += 2;
        let message = http2::message(&http2::number_field(1, number.into()))?;
        let request = [
            http2::frame(HEADERS, END_HEADERS, stream, &self.head)?,
            http2::frame(DATA, END_STREAM, stream, &message)?,
        ];
        self.socket.write_all(&request.concat())?;
        let deadline = wait::now() + PATIENCE;
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            while let Some(frame) = self.inbox.next()? {
                if let Some(acknowledged) = frame.acknowledgement()? {
                    self.socket.write_all(&acknowledged)?;
                }
                if let Some(code) = frame.goaway_code() {
                    bail!("the registry says goodbye: {}", http2::error_name(code));
                }
                let is_mine = frame.stream == stream;
                if is_mine && frame.kind == DATA {
                    answer.extend_from_slice(&frame.payload);
                }
                if is_mine && frame.ends_stream() {
                    return Ok(answer);
                }
            }
            ensure!(wait::now() < deadline, "no answer within {} s", PATIENCE.as_secs());
            match self.socket.read(&mut buffer) {
                Ok(0) => bail!("the registry closed the connection"),
                Ok(count) => self.inbox.push(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("no answer"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let all = (1..=200).rev().map(Duration::from_millis).collect();
        let latencies = Latencies::of(all);
        assert_eq!(latencies.percentile(50), Duration::from_millis(100));
        assert_eq!(latencies.percentile(99), Duration::from_millis(198));
        assert_eq!(latencies.longest(), Duration::from_millis(200));
        assert_eq!(Latencies::default().percentile(99), Duration::ZERO);
    }
}
