//! One listener for several runtimes.
//!
//! A connection is looked after by the runtime on which it was made, so whoever accepts for others hands it on bare.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{Door, Guarded};
use crate::{
    quota::{Place, QuotaLimits},
    transport::{Conn, Incoming},
};

/// Connections that wait to be taken over by one server. Taking over is the first thing that a runtime does with them.
const DEALT_CONNECTIONS: usize = 64;

/// An accepted connection that no runtime looks after yet.
struct Accepted {
    stream: std::net::TcpStream,
    place: Place,
    source: SocketAddr,
}

impl Accepted {
    /// The next connection that comes in.
    async fn at(door: &mut Door) -> Self {
        loop {
            let (stream, place, source) = door.admit().await;
            match stream.into_std() {
                Ok(stream) => return Self { stream, place, source },
                Err(error) => tracing::warn!(%source, %error, "cannot hand on a connection"),
            }
        }
    }

    /// The connection, looked after by the runtime of whoever calls this.
    fn take_over(self) -> io::Result<Conn> {
        let stream = TcpStream::from_std(self.stream)?;
        Ok(Conn::new(Guarded::new(stream, self.place), self.source))
    }
}

/// Accepts connections within `limits`, and deals them out to so many servers in turn, each of which may have a runtime
/// of its own. The future is what accepts and deals; it is over when it has one for a server
/// that takes no more.
pub fn deal(
    listener: TcpListener,
    limits: QuotaLimits,
    servers: usize,
) -> (Vec<Incoming>, impl Future<Output = ()> + Send + 'static) {
    let mut hands = Vec::new();
    let mut dealt = Vec::new();
    for _ in 0..servers {
        let (hand, accepted) = mpsc::channel::<Accepted>(DEALT_CONNECTIONS);
        hands.push(hand);
        let taken_over = ReceiverStream::new(accepted).filter_map(|accepted| match accepted.take_over() {
            Ok(conn) => Some(Ok(conn)),
            Err(error) => {
                tracing::warn!(%error, "cannot look after a connection");
                None
            }
        });
        dealt.push(Box::pin(taken_over.fuse()) as Incoming);
    }
    let mut door = Door::new(listener, limits);
    let dealing = async move {
        for hand in hands.iter().cycle() {
            let accepted = Accepted::at(&mut door).await;
            // A server that is busy is waited for; it is so for milliseconds.
            if hand.send(accepted).await.is_err() {
                return;
            }
        }
    };
    (dealt, dealing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_door::bind;

    const LIMITS: QuotaLimits = QuotaLimits {
        total: 8,
        per_source: 0,
        spare_loopback: false,
    };

    #[tokio::test]
    async fn connections_are_dealt_out_in_turn_and_looked_after_where_they_are_taken() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (dealt, dealing) = deal(listener, LIMITS, 2);
        let _dealing = tokio::spawn(dealing);
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mine = |client: usize| clients.get(client).unwrap().local_addr().unwrap();
        for (first, mut incoming) in dealt.into_iter().enumerate() {
            let sources = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut next = async || incoming.next().await.unwrap().unwrap().line().source();
                    [next().await, next().await]
                })
            });
            assert_eq!(sources.join().unwrap(), [mine(first), mine(first + 2)]);
        }
    }

    #[tokio::test]
    async fn nobody_deals_to_servers_that_are_gone() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (dealt, dealing) = deal(listener, LIMITS, 2);
        drop(dealt);
        dealing.await;
    }
}
