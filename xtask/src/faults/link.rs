//! A connection that breaks when told to: a relay between one peer and the registry.
//!
//! Each relayed connection has one thread, which alone owns both of its ends, so that closing one end really closes it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;
use rustix::net::sockopt::set_socket_linger;

use crate::wait;

/// How long a relay rests when neither side has sent anything.
const REST: Duration = Duration::from_millis(1);

/// How long a side may leave unread what the other one has sent, before the relay gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Orders that wait for a relay, which obeys within milliseconds; each connection gets three at most.
const ORDERS: usize = 8;

/// How a connection breaks, as each side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Both sides see it closed in good order, at the same time.
    Closed,
    /// Both sides see it reset, at the same time.
    Reset,
    /// The peer sees it closed; the registry sees nothing until [`Link::release`].
    HalfOpen,
    /// The peer sees it closed, the registry sees it reset that much later.
    Late(Duration),
}

/// The relay. Dropping it closes everything.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    relays: Arc<Mutex<Vec<Relay>>>,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

/// A relayed connection, to which what it is to do can be said.
#[derive(Debug)]
struct Relay {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Break(Break),
    Release,
}

impl Link {
    /// Listens on loopback, and relays to the registry.
    pub fn open(registry: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (relays, stop) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let listening = {
            let (relays, stop) = (Arc::clone(&relays), Arc::clone(&stop));
            thread::spawn(move || listen(&listener, registry, &relays, &stop))
        };
        Ok(Self {
            address,
            relays,
            stop,
            listening: Some(listening),
        })
    }

    /// Where the peer is to find the registry.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection that is open now.
    pub fn cut(&self, how: Break) {
        self.tell(Order::Break(how));
    }

    /// Lets the registry, too, see the end of connections that were left half open.
    pub fn release(&self) {
        self.tell(Order::Release);
    }

    fn tell(&self, order: Order) {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        relays.retain(|relay| !relay.thread.is_finished());
        for relay in relays.iter() {
            // One that has just ended needs no order.
            let _ = relay.orders.try_send(order);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        let relays = std::mem::take(&mut *self.relays.lock().unwrap_or_else(PoisonError::into_inner));
        for Relay { orders, thread } in relays {
            // A relay whose orders can come no more ends.
            drop(orders);
            let _ = thread.join();
        }
    }
}

fn listen(listener: &TcpListener, registry: SocketAddr, relays: &Mutex<Vec<Relay>>, stop: &AtomicBool) {
    while let Ok((near, _)) = listener.accept() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // Without the registry, the peer sees its connection closed at once, much as without a relay.
        let Ok(far) = TcpStream::connect(registry) else {
            continue;
        };
        let (orders, received) = sync_channel(ORDERS);
        let thread = thread::spawn(move || relay(near, far, &received));
        let mut relays = relays.lock().unwrap_or_else(PoisonError::into_inner);
        relays.push(Relay { orders, thread });
    }
}

/// Carries bytes both ways until one side closes, or until told to break. Both sockets close when this returns.
fn relay(mut near: TcpStream, mut far: TcpStream, orders: &Receiver<Order>) {
    let prepared = [&near, &far].map(|socket| socket.set_nodelay(true).and_then(|()| socket.set_nonblocking(true)));
    if prepared.iter().any(Result::is_err) {
        return;
    }
    loop {
        let (Some(up), Some(down)) = (carry(&mut near, &mut far), carry(&mut far, &mut near)) else {
            return;
        };
        let rest = if up || down { Duration::ZERO } else { REST };
        match orders.recv_timeout(rest) {
            Ok(Order::Break(how)) => return break_down(near, far, how, orders),
            Ok(Order::Release) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn break_down(near: TcpStream, far: TcpStream, how: Break, orders: &Receiver<Order>) {
    match how {
        Break::Closed => drop((near, far)),
        Break::Reset => {
            reset(near);
            reset(far);
        }
        Break::HalfOpen => {
            drop(near);
            // Until it is released, or the whole relay goes away.
            while let Ok(Order::Break(_)) = orders.recv() {}
            drop(far);
        }
        Break::Late(after) => {
            drop(near);
            thread::sleep(after);
            reset(far);
        }
    }
}

/// Closes a connection so that the other side sees a reset.
fn reset(socket: TcpStream) {
    // Where this fails, the other side sees an orderly end.
    let _ = set_socket_linger(&socket, Some(Duration::ZERO));
    drop(socket);
}

/// Carries what has arrived; says whether that was anything, or nothing at all when the connection is over.
fn carry(from: &mut TcpStream, to: &mut TcpStream) -> Option<bool> {
    let mut buffer = [0; 16 << 10];
    let count = match from.read(&mut buffer) {
        Ok(0) => return None,
        Ok(count) => count,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Some(false),
        Err(_) => return None,
    };
    let mut rest = buffer.get(..count).unwrap_or_default();
    let start = wait::now();
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < PATIENCE => thread::sleep(REST),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection through a relay: the near end, the far end, and the relay.
    fn connected() -> (TcpStream, TcpStream, Link) {
        let registry = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link::open(registry.local_addr().unwrap()).unwrap();
        let mut near = TcpStream::connect(link.address()).unwrap();
        let (mut far, _) = registry.accept().unwrap();
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        }
        let mut byte = [0];
        near.write_all(b"a").unwrap();
        far.read_exact(&mut byte).unwrap();
        far.write_all(b"b").unwrap();
        near.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"b");
        (near, far, link)
    }

    #[test]
    fn a_break_is_seen_as_it_should_be() {
        let (mut near, mut far, link) = connected();
        link.cut(Break::Closed);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        let (mut near, mut far, link) = connected();
        link.cut(Break::Reset);
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_half_open_connection_stays_so_until_it_is_released() {
        let (mut near, mut far, link) = connected();
        link.cut(Break::HalfOpen);
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
        far.set_nonblocking(true).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        far.set_nonblocking(false).unwrap();
        link.release();
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    }
}
