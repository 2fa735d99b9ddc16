//! Uploads under a cap, over an in-memory network with a paused clock: what each downloader gets, and how they end.

use std::time::Duration;

use p2p_ci::{
    client::{CallError, file_transfer::FileTransferClient},
    failure::Reason,
    limits::MAX_OUTSTANDING_DOWNLOADS,
    message::{Compression, DownloadPart, DownloadQuery, ManyBody, ManyQuery},
};
use peer::limits::{DRAIN_GRACE, MAX_UPLOADS_PER_SOURCE, MAX_WINDOW_BYTES};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    network::{Network, Peer, start_capped_peer},
    support::key,
};

const HOLDER: &str = "10.0.0.2:4000";
const MIB: u64 = 1024 * 1024;
/// A document that takes several turns, and one that takes one.
const SIZES: [u64; 2] = [MIB, 10_000];

/// A holder of two documents that uploads at most `rate`.
async fn holder(network: &Network, rate: &str) -> Peer {
    holder_with(network, Some(rate)).await
}

async fn holder_with(network: &Network, rate: Option<&str>) -> Peer {
    let [long, short] = SIZES.map(|size| (0..size).map(|at| (at % 251) as u8).collect::<Vec<u8>>());
    let files = [("rfc1.txt", &*long), ("rfc2.txt", &*short)];
    start_capped_peer(
        network,
        "holder",
        HOLDER,
        &files,
        rate.map(|rate| rate.parse().unwrap()),
    )
    .await
}

async fn client(network: &Network, host: u8) -> FileTransferClient {
    let dialer = network.dialer([10, 0, 1, host].into());
    FileTransferClient::connect(&dialer, HOLDER.parse().unwrap(), MAX_WINDOW_BYTES)
        .await
        .unwrap()
}

fn query(number: u32) -> DownloadQuery {
    DownloadQuery {
        key: key(number),
        sha256: None,
        offset: 0,
    }
}

/// Downloads one document whole; returns how many bytes it has.
async fn download(client: &FileTransferClient, number: u32, received: &mut u64) -> Result<(), CallError> {
    let mut parts = client.download(&query(number)).await?;
    while let Some(part) = parts.next().await? {
        if let DownloadPart::Chunk(chunk) = part {
            *received += chunk.len() as u64;
        }
    }
    Ok(())
}

/// Downloads one document after the other until then; returns how many bytes came.
async fn download_until(client: FileTransferClient, number: u32, end: Instant) -> u64 {
    let mut received = 0;
    let downloading = async {
        loop {
            download(&client, number, &mut received).await.unwrap();
        }
    };
    let ended: Result<(), _> = timeout_at(end, downloading).await;
    assert!(ended.is_err());
    received
}

/// The same on one stream, with many requests at a time.
async fn download_many_until(client: FileTransferClient, number: u32, end: Instant) -> u64 {
    const AHEAD: u64 = 20;
    let query = ManyQuery {
        document: query(number),
        compression: Compression::None,
    };
    let (sender, mut answers) = client.download_many(1, &query).await.unwrap();
    let (mut received, mut asked, mut answered) = (0, 1, 0);
    let downloading = async {
        loop {
            while asked - answered < AHEAD {
                asked += 1;
                sender.ask(asked, &query).await.unwrap();
            }
            let part = answers.next().await.unwrap().unwrap();
            answered = part.request_id - 1;
            if let ManyBody::Chunk(chunk) = part.part.unwrap() {
                received += chunk.len() as u64;
            }
        }
    };
    let ended: Result<(), _> = timeout_at(end, downloading).await;
    assert!(ended.is_err());
    received
}

#[tokio::test(start_paused = true)]
async fn sources_get_equal_shares_whatever_they_ask_for_and_how() {
    let network = Network::default();
    let _holder = holder(&network, "4M").await;
    const SECONDS: u64 = 20;
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let mut downloads = JoinSet::new();
    for host in 0..4_u8 {
        let streams = if host == 0 { MAX_UPLOADS_PER_SOURCE } else { 1 };
        for _ in 0..streams {
            let client = client(&network, host).await;
            downloads.spawn(async move {
                let received = match host {
                    0 | 1 => download_until(client, 1, end).await,
                    2 => download_many_until(client, 1, end).await,
                    _ => download_many_until(client, 2, end).await,
                };
                (host, received)
            });
        }
    }
    let mut of_host = [0; 4];
    for (host, received) in downloads.join_all().await {
        of_host[usize::from(host)] += received;
    }
    let (sum, quarter) = (of_host.iter().sum::<u64>(), SECONDS * MIB);
    assert!(sum <= 4 * quarter + 4 * MIB / 20 + 1, "{of_host:?}");
    for received in of_host {
        assert!(received.abs_diff(quarter) <= quarter / 20, "{received} of {of_host:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_lowest_rate_serves_one_at_a_time_and_nobody_gives_up_on_it() {
    let network = Network::default();
    let _holder = holder(&network, "32k").await;
    let (first, second) = (client(&network, 1).await, client(&network, 2).await);
    let began = Instant::now();
    let mut received = 0;
    let mut downloading = Box::pin(download(&first, 1, &mut received));
    let query = query(2);
    // Whoever comes meanwhile is told to wait or to try elsewhere.
    let refused = loop {
        tokio::select! {
            ended = &mut downloading => panic!("{ended:?}"),
            refused = second.download(&query) => if let Err(error) = refused { break error },
        }
    };
    assert!(
        matches!(&refused, CallError::Refused(failure) if failure.reason == Reason::Overloaded),
        "{refused:?}"
    );
    downloading.as_mut().await.unwrap();
    drop(downloading);
    assert_eq!(received, SIZES[0]);
    let seconds = began.elapsed().as_secs_f64();
    assert!(
        (31.0..=32.5).contains(&seconds),
        "a mebibyte at 32 KiB/s took {seconds} s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_with_all_its_uploads_among_many_gives_up_on_none() {
    let network = Network::default();
    let _holder = holder(&network, "1M").await;
    let mut downloads = JoinSet::new();
    // All 32 slots: 24 sources with one, and one with eight.
    for at in 0..32_u8 {
        let client = client(&network, at.min(24)).await;
        downloads.spawn(async move {
            let mut received = 0;
            download(&client, 1, &mut received).await.map(|()| received)
        });
    }
    for ended in downloads.join_all().await {
        assert_eq!(ended.unwrap(), SIZES[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_while_it_waits_gives_its_slot_and_its_turn_back_at_once() {
    let network = Network::default();
    let holder = holder(&network, "32k").await;
    let first = client(&network, 1).await;
    let mut parts = first.download(&query(1)).await.unwrap();
    for _ in 0..4 {
        parts.next().await.unwrap().unwrap();
    }
    let second = client(&network, 2).await;
    let began = Instant::now();
    drop(parts);
    while second.download(&query(2)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The next piece would have been due half a second after the last one.
    holder.node.shutdown(DRAIN_GRACE).await;
    let took = began.elapsed();
    assert!(took <= Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_sends_what_it_can_in_its_grace_and_waits_no_longer() {
    for (number, is_whole) in [(1, false), (2, true)] {
        let network = Network::default();
        let holder = holder(&network, "32k").await;
        let client = client(&network, 1).await;
        let query = ManyQuery {
            document: query(number),
            compression: Compression::None,
        };
        let (sender, mut answers) = client.download_many(1, &query).await.unwrap();
        // All of them are asked for before anything is to end.
        for id in 2..=20 {
            sender.ask(id, &query).await.unwrap();
        }
        answers.next().await.unwrap().unwrap();
        let mut received = 0;
        let began = Instant::now();
        let (end, ()) = tokio::join!(
            async {
                loop {
                    match answers.next().await {
                        Ok(Some(part)) => match part.part {
                            Ok(ManyBody::Chunk(chunk)) => received += chunk.len() as u64,
                            Ok(ManyBody::Header(_)) => {}
                            other => panic!("{other:?}"),
                        },
                        Ok(None) => panic!("it ended well"),
                        Err(error) => return error,
                    }
                }
            },
            holder.node.shutdown(DRAIN_GRACE)
        );
        assert!(
            began.elapsed() <= DRAIN_GRACE + Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        let all = 20 * SIZES[number as usize - 1];
        assert_eq!(received == all, is_whole, "{received} of {all}: {end}");
        let in_time = 32 * 1024 * began.elapsed().as_secs();
        assert!(received + 32 * 1024 >= in_time.min(all), "{received} of {in_time}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_too_much_while_it_is_served_is_told_and_holds_nobody_up() {
    for rate in [Some("1M"), None] {
        let network = Network::default();
        let _holder = holder_with(&network, rate).await;
        let greedy = client(&network, 1).await;
        let query = ManyQuery {
            document: query(1),
            compression: Compression::None,
        };
        let (sender, mut answers) = greedy.download_many(1, &query).await.unwrap();
        for id in 2..=MAX_OUTSTANDING_DOWNLOADS as u64 {
            sender.ask(id, &query).await.unwrap();
        }
        // Time passes only when nothing happens any more: then the windows are full, or all wait for their turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for id in 1..=MAX_OUTSTANDING_DOWNLOADS as u64 {
            sender.ask(MAX_OUTSTANDING_DOWNLOADS as u64 + id, &query).await.unwrap();
        }
        let modest = client(&network, 2).await;
        let mut received = 0;
        let until_told = async {
            loop {
                match answers.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it ended well"),
                    Err(error) => return error,
                }
            }
        };
        let (told, ended) = tokio::join!(until_told, download(&modest, 1, &mut received));
        assert!(
            matches!(&told, CallError::Refused(failure) if failure.reason == Reason::LimitExceeded),
            "{told:?}"
        );
        ended.unwrap();
        assert_eq!(received, SIZES[0], "{rate:?}");
        drop(sender);
    }
}
