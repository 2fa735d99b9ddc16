//! A bad network between a peer and those who download from it: a proxy that delays, slices, alters and cuts.
//!
//! Each direction of a connection has one thread, which rests on its sockets for no longer than a tick, so that dropping
//! the proxy ends them all.

mod conditions;
mod dice;
mod pump;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;

use self::pump::Connection;
pub use self::{
    conditions::{Conditions, Direction, Ending, Flip},
    dice::Dice,
};
use crate::{cluster::SOON, wait};

/// How long a thread rests on a socket before it looks whether it is to end.
const TICK: Duration = Duration::from_millis(20);

/// What is decided of each new connection.
type Plan = Box<dyn FnMut() -> Conditions + Send>;

/// The proxy. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

/// What the threads of a proxy have in common.
struct Shared {
    stop: AtomicBool,
    upstream: Mutex<Option<SocketAddr>>,
    plan: Mutex<Plan>,
    connections: AtomicU64,
    /// Bytes that were handed to whoever connected.
    down_bytes: AtomicU64,
    /// Bytes that were handed to the peer.
    up_bytes: AtomicU64,
    /// Faults that really happened.
    faults: AtomicU64,
    /// When the first and the last of those bytes were handed on.
    times: Mutex<Option<(Instant, Instant)>>,
    pumps: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on loopback. Connections wait until it is said where they lead.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            upstream: Mutex::default(),
            plan: Mutex::new(Box::new(Conditions::default)),
            connections: AtomicU64::default(),
            down_bytes: AtomicU64::default(),
            up_bytes: AtomicU64::default(),
            faults: AtomicU64::default(),
            times: Mutex::default(),
            pumps: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let listening = thread::spawn(move || listen(&listener, &accepting));
        Ok(Self {
            address,
            shared,
            listening: Some(listening),
        })
    }

    /// The port that others are to be told.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Leads new connections there; nobody is there while it is unknown.
    pub fn lead_to(&self, upstream: Option<SocketAddr>) {
        *lock(&self.shared.upstream) = upstream;
    }

    /// Asks `plan` what is to happen to each new connection, and counts from 0 again.
    pub fn set(&self, plan: impl FnMut() -> Conditions + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
        *lock(&self.shared.times) = None;
        let Shared {
            connections,
            down_bytes,
            up_bytes,
            faults,
            ..
        } = &*self.shared;
        for counter in [connections, down_bytes, up_bytes, faults] {
            counter.store(0, Ordering::SeqCst);
        }
    }

    /// Gives each new connection the same conditions, and counts from 0 again.
    pub fn set_all(&self, conditions: Conditions) {
        self.set(move || conditions.clone());
    }

    /// Connections since the plan was set.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes that were handed to whoever connected since the plan was set.
    pub fn down_bytes(&self) -> u64 {
        self.shared.down_bytes.load(Ordering::SeqCst)
    }

    /// Bytes that were handed to the peer since the plan was set.
    pub fn up_bytes(&self) -> u64 {
        self.shared.up_bytes.load(Ordering::SeqCst)
    }

    /// Faults that happened since the plan was set: endings, and bits that were flipped.
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// When the first and the last bytes were handed to whoever connected, since the plan was set.
    pub fn times(&self) -> Option<(Instant, Instant)> {
        *lock(&self.shared.times)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        let pumps = std::mem::take(&mut *lock(&self.shared.pumps));
        for pump in pumps {
            let _ = pump.join();
        }
    }
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn own(&self, pump: JoinHandle<()>) {
        let mut pumps = lock(&self.pumps);
        pumps.retain(|pump| !pump.is_finished());
        pumps.push(pump);
    }

    fn carried(&self, direction: Direction, count: u64) {
        if direction == Direction::Up {
            self.up_bytes.fetch_add(count, Ordering::SeqCst);
            return;
        }
        self.down_bytes.fetch_add(count, Ordering::SeqCst);
        let now = wait::now();
        let mut times = lock(&self.times);
        *times = Some((times.map_or(now, |(first, _)| first), now));
    }

    fn fault(&self) {
        self.faults.fetch_add(1, Ordering::SeqCst);
    }

    /// Connects to where connections lead; waits for a while where that is not known yet.
    fn connect(&self) -> Option<TcpStream> {
        let start = wait::now();
        while start.elapsed() < SOON && !self.stops() {
            let upstream = *lock(&self.upstream);
            match upstream {
                Some(upstream) => return TcpStream::connect(upstream).ok(),
                None => thread::sleep(TICK),
            }
        }
        None
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((near, _)) = listener.accept() {
        if shared.stops() {
            return;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let conditions = (lock(&shared.plan))();
        let down = Arc::clone(shared);
        shared.own(thread::spawn(move || {
            let Some(far) = down.connect() else {
                return pump::reset(near);
            };
            if let Some(connection) = Connection::new(near, far, conditions) {
                let connection = Arc::new(connection);
                let (up, of_up) = (Arc::clone(&down), Arc::clone(&connection));
                down.own(thread::spawn(move || pump::carry(&up, &of_up, Direction::Up)));
                pump::carry(&down, &connection, Direction::Down);
            }
        }));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
