//! Bytes through a proxy: whole, altered, late, and cut.

use std::io::{ErrorKind, Read, Write};

use super::*;
use crate::wait::Look;

/// A connection through a proxy with these conditions: the near end, the far end, and the proxy.
fn connected(conditions: Conditions) -> (TcpStream, TcpStream, Proxy) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::open().unwrap();
    proxy.set_all(conditions);
    proxy.lead_to(Some(upstream.local_addr().unwrap()));
    let near = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let (far, _) = upstream.accept().unwrap();
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    (near, far, proxy)
}

fn received(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_come_whole_and_in_order_however_slowly_and_in_whatever_pieces() {
    let delay = Duration::from_millis(100);
    let (mut near, mut far, proxy) = connected(Conditions {
        slices: Some(Dice::new(1)),
        delay,
        rate: Some(1 << 20),
        ..Conditions::default()
    });
    let sent = Dice::new(2).bytes(5000);
    let start = wait::now();
    near.write_all(b"up").unwrap();
    assert_eq!(received(&mut far, 2), b"up");
    assert!(start.elapsed() >= delay);
    far.write_all(&sent).unwrap();
    assert_eq!(received(&mut near, sent.len()), sent);
    drop(far);
    assert_eq!(near.read(&mut [0]).unwrap(), 0);
    assert_eq!((proxy.down_bytes(), proxy.connections(), proxy.faults()), (5000, 1, 0));
}

#[test]
fn one_bit_is_flipped_where_it_should_be() {
    for (direction, expected) in [(Direction::Down, *b"abgd"), (Direction::Up, *b"abcd")] {
        let (mut near, mut far, proxy) = connected(Conditions {
            flip: Some(Flip {
                direction,
                offset: 2,
                bit: 2,
            }),
            ..Conditions::default()
        });
        far.write_all(b"ab").unwrap();
        assert_eq!(received(&mut near, 2), b"ab");
        far.write_all(b"cd").unwrap();
        assert_eq!(received(&mut near, 2), expected[2..]);
        near.write_all(b"xyz").unwrap();
        let arrived = received(&mut far, 3);
        assert_eq!(arrived == b"xyz", direction == Direction::Down, "{arrived:?}");
        assert_eq!(proxy.faults(), 1);
    }
}

#[test]
fn a_connection_ends_where_and_how_it_should() {
    for how in [Ending::Closed, Ending::Reset, Ending::BlackHole, Ending::Mark] {
        let (mut near, mut far, proxy) = connected(Conditions {
            ending: Some((3, how)),
            ..Conditions::default()
        });
        far.write_all(b"abcdef").unwrap();
        assert_eq!(received(&mut near, 3), b"abc", "{how:?}");
        match how {
            Ending::Closed => assert_eq!(near.read(&mut [0]).unwrap(), 0),
            Ending::Reset => assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset),
            Ending::BlackHole => {
                near.set_nonblocking(true).unwrap();
                assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            }
            Ending::Mark => assert_eq!(received(&mut near, 3), b"def"),
        }
        let counted = || {
            let faults = proxy.faults();
            Ok(if faults == 1 {
                Look::Done(())
            } else {
                Look::NotYet(faults.to_string())
            })
        };
        wait::until("the fault to be counted", SOON, counted).unwrap();
    }
}

#[test]
fn flips_are_drawn_from_both_directions() {
    let mut dice = Dice::new(5);
    let flips: Vec<Flip> = (0..200).map(|_| Flip::anywhere(&mut dice, 10, 30)).collect();
    let of = |direction| flips.iter().filter(move |flip| flip.direction == direction);
    assert!(of(Direction::Up).all(|flip| flip.offset < 10 && flip.bit < 8));
    assert!(of(Direction::Down).all(|flip| flip.offset < 30));
    assert!(of(Direction::Up).count() > 20 && of(Direction::Down).count() > 100);
}

#[test]
fn who_comes_while_nobody_is_there_is_let_in_once_somebody_is() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::open().unwrap();
    let mut near = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    near.write_all(b"early").unwrap();
    proxy.lead_to(Some(upstream.local_addr().unwrap()));
    let (mut far, _) = upstream.accept().unwrap();
    assert_eq!(received(&mut far, 5), b"early");
}
