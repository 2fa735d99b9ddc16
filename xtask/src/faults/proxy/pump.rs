//! One direction of a connection.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size, set_socket_send_buffer_size};

use super::{Conditions, Direction, Ending, Shared, TICK};
use crate::wait;

/// How much is under way at most, each way, where bytes are delayed.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// What a connection with a rate has under way: little, so that the sender feels how slow it is.
const NARROW_BYTES: usize = 64 << 10;

/// A connection with a rate gets its bytes in so many portions a second.
const PORTIONS_PER_SECOND: u64 = 100;

/// The shortest timeout that a socket may have.
const SHORTEST: Duration = Duration::from_millis(1);

/// Both ends of a connection, and what both directions need to know of each other.
#[derive(Debug)]
pub(super) struct Connection {
    near: TcpStream,
    far: TcpStream,
    conditions: Conditions,
    /// Whether it was cut: nothing is carried any more.
    is_cut: AtomicBool,
    /// Whether it became a black hole.
    is_hole: AtomicBool,
}

impl Connection {
    pub(super) fn new(near: TcpStream, far: TcpStream, conditions: Conditions) -> Option<Self> {
        for socket in [&near, &far] {
            socket.set_nodelay(true).ok()?;
            socket.set_write_timeout(Some(TICK)).ok()?;
        }
        if conditions.rate.is_some() {
            for socket in [&near, &far] {
                set_socket_recv_buffer_size(socket, NARROW_BYTES).ok()?;
                set_socket_send_buffer_size(socket, NARROW_BYTES).ok()?;
            }
        }
        Some(Self {
            near,
            far,
            conditions,
            is_cut: AtomicBool::new(false),
            is_hole: AtomicBool::new(false),
        })
    }

    /// Ends both directions. The sockets close when both threads have let go of them.
    fn cut(&self, how: Shutdown, is_reset: bool) {
        self.is_cut.store(true, Ordering::SeqCst);
        for socket in [&self.near, &self.far] {
            if is_reset {
                // Where this fails, the other side sees an orderly end.
                let _ = set_socket_linger(socket, Some(Duration::ZERO));
            }
            // One that the other side has closed already needs no closing.
            let _ = socket.shutdown(how);
        }
    }
}

/// Closes a connection so that the other side sees a reset.
pub(super) fn reset(socket: TcpStream) {
    let _ = set_socket_linger(&socket, Some(Duration::ZERO));
    drop(socket);
}

/// Carries bytes one way until that side ends, the connection is cut, or the proxy goes away.
pub(super) fn carry(shared: &Shared, connection: &Connection, direction: Direction) {
    let (from, to) = match direction {
        Direction::Up => (&connection.near, &connection.far),
        Direction::Down => (&connection.far, &connection.near),
    };
    let pump = Pump {
        shared,
        connection,
        direction,
        from,
        to,
        slices: connection.conditions.slices.clone(),
        ending: connection.conditions.ending.filter(|_| direction == Direction::Down),
        received: 0,
        carried: 0,
        queue: VecDeque::new(),
        queued_bytes: 0,
    };
    pump.run();
}

struct Pump<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    direction: Direction,
    from: &'a TcpStream,
    to: &'a TcpStream,
    slices: Option<super::Dice>,
    ending: Option<(u64, Ending)>,
    received: u64,
    carried: u64,
    /// What is under way, and when it is due.
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued_bytes: usize,
}

/// Why a pump ends.
enum End {
    /// The side that sends has closed.
    Closed,
    /// A side has failed.
    Failed,
    /// It was cut, or the proxy goes away.
    Cut,
}

impl Pump<'_> {
    fn run(mut self) {
        match self.carry_all() {
            // One that has been closed meanwhile needs no closing.
            End::Closed => drop(self.to.shutdown(Shutdown::Write)),
            End::Failed => self.connection.cut(Shutdown::Read, true),
            End::Cut => {}
        }
    }

    fn carry_all(&mut self) -> End {
        let is_delayed = !self.connection.conditions.delay.is_zero();
        let most = if is_delayed { MAX_QUEUED_BYTES } else { 1 };
        let mut is_open = true;
        while is_open || !self.queue.is_empty() {
            if self.is_over() {
                return End::Cut;
            }
            if self.connection.is_hole.load(Ordering::SeqCst) {
                thread::sleep(TICK);
                continue;
            }
            if is_open && self.queued_bytes < most {
                match self.receive() {
                    Ok(more) => is_open = more,
                    Err(end) => return end,
                }
            } else {
                thread::sleep(SHORTEST);
            }
            while self.queue.front().is_some_and(|(due, _)| *due <= wait::now()) {
                let Some((_, bytes)) = self.queue.pop_front() else {
                    break;
                };
                self.queued_bytes -= bytes.len();
                if let Err(end) = self.deliver(&bytes) {
                    return end;
                }
            }
        }
        End::Closed
    }

    fn is_over(&self) -> bool {
        self.shared.stops() || self.connection.is_cut.load(Ordering::SeqCst)
    }

    /// Takes what has arrived, if anything does in time; says whether more may come.
    fn receive(&mut self) -> Result<bool, End> {
        let now = wait::now();
        let next = self
            .queue
            .front()
            .map_or(TICK, |(due, _)| due.saturating_duration_since(now));
        let timeout = next.clamp(SHORTEST, TICK);
        self.from.set_read_timeout(Some(timeout)).map_err(|_| End::Failed)?;
        let mut buffer = [0; 16 << 10];
        match self.from.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                let mut bytes = buffer.get(..count).unwrap_or_default().to_vec();
                self.flip(&mut bytes);
                self.received += count as u64;
                self.queued_bytes += count;
                self.queue
                    .push_back((wait::now() + self.connection.conditions.delay, bytes));
                Ok(true)
            }
            Err(error) if is_pause(&error) => Ok(true),
            Err(_) => Err(End::Failed),
        }
    }

    /// Turns the bit over that is to be turned over, if it is among these.
    fn flip(&self, bytes: &mut [u8]) {
        let Some(flip) = self.connection.conditions.flip else {
            return;
        };
        let at = flip
            .offset
            .checked_sub(self.received)
            .and_then(|at| usize::try_from(at).ok());
        if flip.direction != self.direction {
            return;
        }
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1 << flip.bit;
            self.shared.fault();
        }
    }

    /// Hands bytes on, as fast and in such pieces as it is to be, and does what is to be done at a point among them.
    fn deliver(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut count = rest.len();
            if let Some(dice) = &mut self.slices {
                count = count.min(usize::try_from(1 + dice.below(7)).unwrap_or(1));
            }
            if let Some(rate) = self.connection.conditions.rate {
                let portion = usize::try_from(rate / PORTIONS_PER_SECOND).unwrap_or(usize::MAX);
                count = count.min(portion.max(1));
            }
            let left = self.ending.and_then(|(after, _)| after.checked_sub(self.carried));
            if let Some(left) = left.and_then(|left| usize::try_from(left).ok()) {
                count = count.min(left);
            }
            let (piece, later) = rest.split_at(count);
            self.write(piece)?;
            rest = later;
            if let Some((_, how)) = self.ending.take_if(|(after, _)| *after == self.carried) {
                self.end(how)?;
            }
        }
        Ok(())
    }

    fn end(&self, how: Ending) -> Result<(), End> {
        self.shared.fault();
        match how {
            Ending::Closed => self.connection.cut(Shutdown::Both, false),
            Ending::Reset => self.connection.cut(Shutdown::Read, true),
            Ending::BlackHole => self.connection.is_hole.store(true, Ordering::SeqCst),
            Ending::Mark => return Ok(()),
        }
        if how == Ending::BlackHole {
            while !self.is_over() {
                thread::sleep(TICK);
            }
        }
        Err(End::Cut)
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), End> {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.is_over() {
                return Err(End::Cut);
            }
            match (&mut &*self.to).write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_pause(&error) => {}
                Err(_) => return Err(End::Failed),
            }
        }
        self.carried += piece.len() as u64;
        self.shared.carried(self.direction, piece.len() as u64);
        if let Some(rate) = self.connection.conditions.rate {
            thread::sleep(Duration::from_secs_f64(piece.len() as f64 / rate.max(1) as f64));
        }
        Ok(())
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
