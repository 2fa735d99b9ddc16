//! Who is served how much, in worlds made at random.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const PIECE: u64 = 1000;

fn source(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

/// Serves the next one, which waits again at once; returns who it was and what it sent.
fn serve_next(turns: &mut Turns, mut next_bytes: impl FnMut() -> u64) -> (StreamId, u64) {
    let (id, bytes) = turns.first().unwrap();
    turns.serve(id);
    turns.wait(id, next_bytes());
    (id, bytes)
}

#[test]
fn whoever_was_away_for_long_has_no_more_than_its_credit() {
    let mut turns = Turns::new(2 * PIECE);
    let [steady, idle] = [1, 2].map(|number| turns.enter(source(number)));
    turns.wait(steady, PIECE);
    for _ in 0..100 {
        serve_next(&mut turns, || PIECE);
    }
    turns.wait(idle, PIECE);
    let order: Vec<bool> = (0..8).map(|_| serve_next(&mut turns, || PIECE).0 == idle).collect();
    // The credit and the piece by which the other one is ahead, and then in turn.
    assert_eq!(order, [true, true, true, false, true, false, true, false]);
}

#[test]
fn nobody_gains_by_leaving_and_coming_back() {
    let mut turns = Turns::new(0);
    let steady = turns.enter(source(1));
    turns.wait(steady, PIECE);
    let (mut got, mut fleeting) = (0, turns.enter(source(2)));
    turns.wait(fleeting, PIECE);
    for _ in 0..100 {
        let (id, _) = turns.first().unwrap();
        turns.serve(id);
        if id == fleeting {
            got += 1;
            turns.leave(id);
            fleeting = turns.enter(source(2));
            turns.wait(fleeting, PIECE);
        } else {
            turns.wait(id, PIECE);
        }
    }
    assert_eq!(got, 50);
}

#[test]
fn what_left_is_forgotten() {
    let mut turns = Turns::new(PIECE);
    let steady = turns.enter(source(0));
    for number in 1..=200 {
        let id = turns.enter(source(number));
        turns.wait(steady, PIECE);
        turns.wait(id, PIECE);
        for _ in 0..2 {
            let (id, _) = turns.first().unwrap();
            turns.serve(id);
        }
        turns.leave(id);
    }
    assert!(turns.sources.members.len() <= 4, "{}", turns.sources.members.len());
    assert_eq!((turns.of_source.len(), turns.streams.len()), (1, 1));
    turns.leave(steady);
    assert_eq!(
        (turns.first(), turns.of_source.len(), turns.streams.len()),
        (None, 0, 0)
    );
}

/// Streams for each source, and lengths of pieces.
fn crowds() -> impl Strategy<Value = (Vec<usize>, Vec<u64>)> {
    (
        prop::collection::vec(1..5_usize, 1..8),
        prop::collection::vec(1..=PIECE, 1..50),
    )
}

proptest! {
    /// Sources get equal shares within a piece however many streams they have, and so do the streams of each.
    #[test]
    fn shares_are_equal_within_a_piece((crowd, lengths) in crowds(), rounds in 1..400_usize) {
        let mut turns = Turns::new(0);
        let mut lengths = lengths.into_iter().cycle();
        let mut next = || lengths.next().unwrap();
        let mut of_stream: BTreeMap<StreamId, (usize, u64)> = BTreeMap::new();
        for (at, streams) in crowd.iter().enumerate() {
            for _ in 0..*streams {
                let id = turns.enter(source(u8::try_from(at).unwrap()));
                turns.wait(id, next());
                of_stream.insert(id, (at, 0));
            }
        }
        for _ in 0..rounds {
            let (id, bytes) = serve_next(&mut turns, &mut next);
            of_stream.get_mut(&id).unwrap().1 += bytes;
        }
        let spread = |shares: &[u64]| shares.iter().max().unwrap() - shares.iter().min().unwrap();
        let of_source: Vec<u64> = (0..crowd.len())
            .map(|at| of_stream.values().filter(|(of, _)| *of == at).map(|(_, bytes)| bytes).sum())
            .collect();
        prop_assert!(spread(&of_source) <= PIECE, "{of_source:?}");
        for at in 0..crowd.len() {
            let streams: Vec<u64> = of_stream.values().filter(|(of, _)| *of == at).map(|(_, bytes)| *bytes).collect();
            prop_assert!(spread(&streams) <= PIECE, "{streams:?}");
        }
    }

    /// Whatever others do, whoever waits is served after a bounded number of turns, and nothing is served that does not
    /// wait.
    #[test]
    fn nobody_starves(
        steps in prop::collection::vec((0..6_u8, 0..6_usize, 1..=PIECE), 1..300),
        credit in 0..3 * PIECE,
    ) {
        let mut turns = Turns::new(credit);
        let patient = turns.enter(source(200));
        turns.wait(patient, PIECE);
        let mut others: Vec<(StreamId, Option<u64>)> = Vec::new();
        let mut passed_over = 0;
        for (step, which, bytes) in steps {
            let at = which % others.len().max(1);
            match step {
                0 if others.len() < 6 => others.push((turns.enter(source(u8::try_from(which).unwrap())), None)),
                1 if at < others.len() => turns.leave(others.swap_remove(at).0),
                2 if at < others.len() => {
                    turns.give_up(others[at].0);
                    others[at].1 = None;
                }
                3 if at < others.len() => {
                    turns.wait(others[at].0, bytes);
                    others[at].1 = Some(bytes);
                }
                _ => {
                    let (id, bytes) = turns.first().unwrap();
                    turns.serve(id);
                    if id == patient {
                        passed_over = 0;
                        turns.wait(patient, PIECE);
                        continue;
                    }
                    let other = others.iter_mut().find(|(other, _)| *other == id).unwrap();
                    prop_assert_eq!(other.1.take(), Some(bytes), "it waited with that");
                    passed_over += bytes;
                    // Six sources, each with a credit, the piece by which it is behind and the one that it sends.
                    prop_assert!(passed_over <= 6 * (credit + 3 * PIECE), "{passed_over}");
                }
            }
        }
    }
}
