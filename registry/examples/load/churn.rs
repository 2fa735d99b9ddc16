//! Sessions that come and go at a steady rate.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    figures::{Times, rate},
    sessions::Crowd,
};

/// How long each of them stays.
const STAY: Duration = Duration::from_secs(1);

/// Sessions that are there in turn, each with a name and an address of its own: so many that none comes back within the
/// ten seconds in which the registry connects to an address once.
const VISITORS: usize = 8_000;

/// Has `per_second` sessions join each second, beside those of the crowd, and leave after a second, for `span`.
pub(crate) async fn run(crowd: &Crowd, per_second: u32, span: Duration) -> Result<String> {
    ensure!(per_second > 0, "a rate above 0");
    let mut next = interval(Duration::from_secs(1) / per_second);
    next.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (start, mut visits, mut begun) = (Instant::now(), FuturesUnordered::new(), 0);
    let mut answers = Times::default();
    while start.elapsed() < span || !visits.is_empty() {
        tokio::select! {
            _ = next.tick(), if start.elapsed() < span => {
                visits.push(visit(crowd, crowd.len() + begun % VISITORS));
                begun += 1;
            }
            Some(answer) = visits.next() => answers.push(answer?),
        }
    }
    Ok(format!(
        r#"{{"visits": {begun}, "per_second": {:.1}, {}}}"#,
        rate(begun, span),
        answers.summed_up("hello_to_welcome")
    ))
}

async fn visit(crowd: &Crowd, index: usize) -> Result<Duration> {
    let (session, times) = crowd.open(index).await?;
    ensure!(times.known, "a session was not listed with the series that it named");
    sleep(STAY).await;
    session.leave().await?;
    Ok(times.answer)
}
