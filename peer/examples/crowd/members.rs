//! All peers of this process.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use futures_util::future::join_all;
use p2p_ci::registry_url::RegistryUrl;
use peer::library::Library;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    figures::{counted, descriptors, summed_up},
    member::Member,
};

/// Peers that are being registered at a time: as many as would come within ten milliseconds.
const OPENING: usize = 64;

/// Descriptors of a peer: its listener and its connection to the registry, and one for whoever connects back.
const DESCRIPTORS_EACH: usize = 3;

/// No start takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between two looks at all peers.
const LOOK: Duration = Duration::from_millis(10);

/// How long a flapping peer's round takes.
const FLAP: Duration = Duration::from_secs(3);

/// A peer's connects are looked at in windows of this length: a second now and then may see two.
const WINDOW: Duration = Duration::from_secs(10);

/// The peers, the latest one last.
pub(crate) struct Members {
    registry: RegistryUrl,
    library: Library,
    first: usize,
    members: Vec<Member>,
    marked: Instant,
    /// Descriptors that this process may have.
    pub(crate) room: usize,
}

impl Members {
    /// None so far; the first one will have number `first`.
    pub(crate) fn new(registry: RegistryUrl, library: Library, first: usize) -> Self {
        Self {
            registry,
            library,
            first,
            members: Vec::new(),
            marked: Instant::now(),
            room: usize::MAX,
        }
    }

    pub(crate) fn registry(&self) -> &RegistryUrl {
        &self.registry
    }

    /// Starts further peers, a few at a time, and waits until all are registered.
    pub(crate) async fn start(&mut self, count: usize) -> Result<Value> {
        let (began, wanted) = (Instant::now(), self.members.len() + count);
        ensure!(
            wanted * DESCRIPTORS_EACH <= self.room,
            "{wanted} peers need more than the {} descriptors that this process may have; raise the hard limit of open \
             files (`ulimit -Hn`) or start another process",
            self.room
        );
        while self.members.len() < wanted {
            let next = self.first + self.members.len();
            self.members.push(Member::start(&self.registry, &self.library, next)?);
            self.wait_for_registered(OPENING, began).await?;
        }
        self.wait_for_registered(1, began).await?;
        Ok(json!({
            "peers": self.members.len(),
            "seconds": began.elapsed().as_secs_f64(),
            "descriptors": descriptors(),
        }))
    }

    /// Waits until fewer than so many of the latest peers are not registered. Earlier ones may be cut off meanwhile.
    async fn wait_for_registered(&self, limit: usize, began: Instant) -> Result<()> {
        loop {
            let latest = self.members.iter().rev().take(OPENING);
            let waiting: Vec<_> = latest.filter(|member| !member.past.lock().is_registered).collect();
            if waiting.len() < limit {
                return Ok(());
            }
            let refused = waiting.iter().find_map(|member| member.past.lock().refused.clone());
            ensure!(
                began.elapsed() < PATIENCE,
                "{} peers are not registered: {refused:?}",
                waiting.len()
            );
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The latest peers leave in good order.
    pub(crate) async fn leave(&mut self, count: usize) -> Result<Value> {
        let leaving = self.take(count)?;
        join_all(leaving.into_iter().map(Member::leave)).await;
        Ok(json!({"peers": self.members.len()}))
    }

    /// The latest peers are gone without a word.
    pub(crate) async fn drop_latest(&mut self, count: usize) -> Result<Value> {
        drop(self.take(count)?);
        // Connections are closed by tasks that run once more to end.
        tokio::task::yield_now().await;
        Ok(json!({"peers": self.members.len()}))
    }

    fn take(&mut self, count: usize) -> Result<Vec<Member>> {
        let left = self.members.len().checked_sub(count);
        let left = left.ok_or_else(|| anyhow!("there are only {} peers", self.members.len()))?;
        Ok(self.members.split_off(left))
    }

    /// Counts anew from now on.
    pub(crate) fn mark(&mut self) -> Value {
        self.marked = Instant::now();
        for member in &self.members {
            member.past.lock().forget();
        }
        json!({"peers": self.members.len()})
    }

    /// What has happened since the mark.
    pub(crate) fn tell(&self) -> Result<Value> {
        let (mut connects, mut registrations, mut returns, mut busiest) = (vec![], vec![], vec![], 0);
        let (mut registered, mut reachable, mut lost, mut told_of_end) = (0, 0, 0, 0);
        for member in &self.members {
            let past = member.past.lock();
            ensure!(past.broken.is_none(), "a defect ended {:?} of a peer", past.broken);
            connects.push(past.dialled.len());
            registrations.push(past.registered.len());
            busiest = busiest.max(most_within(WINDOW, &past.dialled));
            registered += usize::from(past.is_registered);
            reachable += usize::from(past.is_reachable);
            lost += past.lost;
            told_of_end += usize::from(past.told_of_end > 0);
            let back = past.registered.last().filter(|_| past.is_registered);
            returns.extend(back.map(|back| back.duration_since(self.marked)));
        }
        Ok(json!({
            "peers": self.members.len(),
            "registered": registered,
            "reachable": reachable,
            "lost": lost,
            "told_of_end": told_of_end,
            "connects": counted(&connects),
            "most_connects_in_10_s": busiest,
            "registrations": counted(&registrations),
            "back": summed_up(returns),
            "seconds": self.marked.elapsed().as_secs_f64(),
            "descriptors": descriptors(),
        }))
    }

    /// Has further peers register and vanish again and again, each for itself.
    pub(crate) async fn flap(&mut self, count: usize, span: Duration) -> Result<Value> {
        let (began, first) = (Instant::now(), self.first + self.members.len());
        let one = |place: usize| {
            let (registry, library) = (self.registry.clone(), self.library.clone());
            async move {
                // Spread over a round, as nobody flaps in step with others.
                let mut next = began + FLAP.mul_f64(rand::random::<f64>());
                let (mut rounds, mut missed) = (0_usize, 0_usize);
                while next < began + span {
                    sleep_until(next).await;
                    // Whoever is late begins a whole round now. Rounds that are made up for leave no time to register, and
                    // the work of starting peers for nothing keeps the others late, too, for ever.
                    next = Instant::now() + FLAP;
                    let member = Member::start(&registry, &library, first + place)?;
                    while !member.past.lock().is_registered && Instant::now() < next {
                        sleep(LOOK).await;
                    }
                    let came = member.past.lock().is_registered;
                    rounds += usize::from(came);
                    missed += usize::from(!came);
                    // What is left of the round is spent half with and half without a session.
                    sleep(next.saturating_duration_since(Instant::now()) / 2).await;
                }
                anyhow::Ok((rounds, missed))
            }
        };
        let all: Vec<(usize, usize)> = join_all((0..count).map(one)).await.into_iter().collect::<Result<_>>()?;
        let (rounds, missed): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        Ok(json!({"registrations": counted(&rounds), "missed": missed.iter().sum::<usize>()}))
    }
}

/// The most moments that any window of this length has.
fn most_within(window: Duration, moments: &[Instant]) -> usize {
    let mut most = 0;
    for (place, &end) in moments.iter().enumerate() {
        let begin = moments.partition_point(|&moment| moment + window <= end);
        most = most.max(place + 1 - begin);
    }
    most
}
