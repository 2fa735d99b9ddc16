//! Downloaders of one cap, with a paused clock.

use tokio::{task::JoinSet, time::timeout};

use super::*;

const PIECE: u64 = 10_000;
const RATE: u64 = 1_000_000;
const BURST: u64 = 50_000;
const SECOND: Duration = Duration::from_secs(1);

fn cap() -> Cap {
    Cap::new(RATE.to_string().parse().unwrap(), BURST)
}

fn source(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

/// Sends as much as it may for that long; returns how many bytes that were.
async fn send_for(mut seat: Seat, time: Duration) -> u64 {
    let mut sent = 0;
    let sending = async {
        loop {
            seat.turn(PIECE).await;
            sent += PIECE;
        }
    };
    let ended: Result<(), _> = timeout(time, sending).await;
    assert!(ended.is_err());
    sent
}

async fn sent_by(cap: &Cap, sources: &[u8], time: Duration) -> Vec<u64> {
    let mut sending = JoinSet::new();
    for (at, number) in sources.iter().enumerate() {
        let seat = cap.seat(source(*number));
        sending.spawn(async move { (at, send_for(seat, time).await) });
    }
    let mut sent = sending.join_all().await;
    sent.sort_unstable();
    sent.into_iter().map(|(_, bytes)| bytes).collect()
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_by_one_and_by_many_and_shared_equally() {
    for downloaders in [1, 4, 30] {
        let cap = cap();
        let sources: Vec<u8> = (0..downloaders).collect();
        let sent = sent_by(&cap, &sources, 10 * SECOND).await;
        let sum: u64 = sent.iter().sum();
        assert!(sum <= 10 * RATE + BURST, "{sum}");
        assert!(sum >= 10 * RATE - PIECE, "{sum}");
        let spread = sent.iter().max().unwrap() - sent.iter().min().unwrap();
        assert!(spread <= PIECE, "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_streams_of_one_source_get_what_one_gets() {
    let sent = sent_by(&cap(), &[1, 1, 1, 1, 1, 2], 12 * SECOND).await;
    let many: u64 = sent[..5].iter().sum();
    assert!(many.abs_diff(sent[5]) <= PIECE, "{sent:?}");
    assert!(
        sent[..5].iter().max().unwrap() - sent[..5].iter().min().unwrap() <= PIECE,
        "{sent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_one_does_not_want_goes_to_the_others() {
    let cap = cap();
    let _idle = cap.seat(source(1));
    let sent = sent_by(&cap, &[2], 10 * SECOND).await;
    assert!(sent[0] >= 10 * RATE - PIECE, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_while_it_looks_at_the_clock_leaves_that_to_another() {
    let cap = cap();
    let (mut first, mut second) = (cap.seat(source(1)), cap.seat(source(2)));
    // The bucket is empty, and more than that is owed.
    first.turn(5 * RATE).await;
    let began = Instant::now();
    let gone = tokio::spawn(async move { first.turn(PIECE).await });
    tokio::task::yield_now().await;
    let waits = tokio::spawn(async move { second.turn(PIECE).await });
    tokio::task::yield_now().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    waits.await.unwrap();
    assert!(began.elapsed() <= 5 * SECOND, "{:?}", began.elapsed());
    let state = cap.lock();
    assert!(state.waiting.is_empty() && state.turns.first().is_none(), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_and_errors_wait_for_nobody() {
    let cap = cap();
    let mut seat = cap.seat(source(1));
    seat.turn(100 * RATE).await;
    let began = Instant::now();
    seat.turn(0).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}
