//! A mirror that goes on: round after round into a folder that is shared, or until what a holder had that went away is here.

use std::{convert::Infallible, sync::Arc, time::Duration};

use p2p_ci::{
    client::registry::RegistryClient,
    document::Document,
    message::{Holder, Reachability, WatchEvent},
};
use tokio::{sync::Notify, time::Instant};

use super::{bars::Bars, explained};
use crate::{
    backoff::Backoff,
    commands::Context,
    error::PeerError,
    mirror::{Cause, Mirror, MirrorError, Observer, Summary},
};

/// After a round that has found nothing, between half of this and all of it: whoever announces what nobody can have must not
/// drive all who mirror. Each one more that finds nothing doubles it, up to the most.
const PAUSE_IN_VAIN: Duration = Duration::from_secs(2);
const MOST_PAUSE: Duration = Duration::from_secs(30);

/// A pause after asking the registry failed, so that one that is away is not asked without end.
const PAUSE_WITHOUT_REGISTRY: Duration = Duration::from_secs(5);

/// Pauses before it is tried again what nobody delivers who went away: 15 s in a row, in which a holder is started again,
/// or its host is back on the network.
const PAUSES_FOR_HOLDERS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// After so long, a registry that had just been started knows everybody; peers spread their return over half of it.
const STARTED_LONG_AGO: Duration = Duration::from_secs(20);

/// Mirrors until nothing is missing but what holders did not deliver who are there, or who have not come back in time: the one
/// that went away in the middle may be the only one.
///
/// # Errors
///
/// As [`Mirror::run`], of the first round.
pub(super) async fn until_complete(
    context: &Context,
    mirror: &Mirror,
    client: &RegistryClient,
    bars: &Arc<Bars>,
) -> Result<Summary, MirrorError> {
    let began = Instant::now();
    let mut summary = mirror.run(client, Arc::clone(bars) as Arc<dyn Observer>).await?;
    let mut was_just_started = summary.converging && began.elapsed() >= STARTED_LONG_AGO;
    let mut pauses = PAUSES_FOR_HOLDERS.iter();
    while !summary.interrupted && summary.failed.is_none() {
        if !std::mem::take(&mut was_just_started) {
            let Some(pause) = pauses.next().filter(|_| awaits_holders(&summary)) else {
                break;
            };
            tracing::info!(documents = summary.failures.len(), "waiting for holders to come back");
            mirror.stop.run_until_cancelled(tokio::time::sleep(*pause)).await;
        }
        bars.another_round(&summary);
        match round(context, mirror, Arc::clone(bars) as Arc<dyn Observer>).await {
            Ok(round) => {
                if round.fetched > 0 {
                    pauses = PAUSES_FOR_HOLDERS.iter();
                }
                summary.goes_on(round, |key| mirror.library.get(key).is_some());
            }
            // It was there before, and may be back as well.
            Err(error) => tracing::debug!(%error, "another round has failed"),
        }
        summary.interrupted |= mirror.stop.is_cancelled();
    }
    Ok(summary)
}

/// Whether something is missing only because those went away who have it.
pub(super) fn awaits_holders(summary: &Summary) -> bool {
    let mut causes = summary.failures.iter().map(|(_, problem)| problem.cause);
    causes.any(|cause| cause == Cause::Absence)
}

/// Connects to the registry, and downloads what is missing now; nothing where the mirror was told to stop before.
async fn round(context: &Context, mirror: &Mirror, observer: Arc<dyn Observer>) -> Result<Summary, PeerError> {
    let Some(client) = mirror.stop.run_until_cancelled(context.connect()).await else {
        return Ok(Summary::default());
    };
    let summary = mirror.run(&client?, observer).await;
    summary.map_err(|error| explained(context, error))
}

/// Mirrors into a shared folder for as long as it is shared: at once, and whenever peers come or announce.
pub(in crate::commands) async fn keep_mirroring(context: Context, mirror: Mirror) {
    let news = Notify::new();
    tokio::select! {
        () = rounds(&context, &mirror, &news) => {}
        never = tell_news(&context, &news) => match never {},
    }
}

/// Goes round after round until the mirror is told to stop. Each costs the registry a list of all that it knows, so the more
/// of them have found nothing, the longer it takes until the next one, whoever announces what.
async fn rounds(context: &Context, mirror: &Mirror, news: &Notify) {
    /// Announcements come in bursts; one round takes them all.
    const BURST: Duration = Duration::from_millis(250);
    /// Rounds without a reason, as a safety net.
    const ROUND: Duration = Duration::from_secs(60);
    let mut in_vain = Backoff::new(PAUSE_IN_VAIN, MOST_PAUSE);
    let mut told = None;
    while !mirror.stop.is_cancelled() {
        let round = one_round(context, mirror).await;
        let pause = async {
            match round {
                Ok(fetched) => {
                    told = None;
                    if fetched > 0 {
                        in_vain.reset();
                    } else {
                        let spread = 0.5 + rand::random::<f64>() / 2.0;
                        tokio::time::sleep(in_vain.next(spread)).await;
                    }
                    // Either there is something new, or it is time to look.
                    let _ = tokio::time::timeout(ROUND, news.notified()).await;
                }
                Err(error) => {
                    // What is still so is said once.
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "mirroring pauses");
                    }
                    told = Some(error);
                    tokio::time::sleep(PAUSE_WITHOUT_REGISTRY).await;
                }
            }
            tokio::time::sleep(BURST).await;
        };
        mirror.stop.run_until_cancelled(pause).await;
    }
}

/// Downloads what is missing now; returns how many documents that were.
async fn one_round(context: &Context, mirror: &Mirror) -> Result<u64, PeerError> {
    let summary = round(context, mirror, Arc::new(Log)).await?;
    if let Some(error) = summary.failed {
        return Err(error.into());
    }
    if summary.fetched > 0 {
        tracing::info!(documents = summary.fetched, bytes = summary.bytes, "mirrored");
    }
    Ok(summary.fetched)
}

/// Tells whenever something new may be had. It reads what the registry tells also while a round goes on: who does not is cut
/// off.
async fn tell_news(context: &Context, news: &Notify) -> Infallible {
    loop {
        if let Err(error) = watch_for_news(context, news).await {
            tracing::debug!(%error, "cannot watch the registry");
        }
        tokio::time::sleep(PAUSE_WITHOUT_REGISTRY).await;
    }
}

async fn watch_for_news(context: &Context, news: &Notify) -> Result<(), PeerError> {
    let client = context.connect().await?;
    let broken = |error| context.registry_error(error);
    let mut events = client.watch().await.map_err(broken)?;
    // Nobody knows what happened before.
    news.notify_one();
    while let Some(event) = events.next().await.map_err(broken)? {
        if matches!(
            event,
            WatchEvent::Announced(_) | WatchEvent::Reachability(_, Reachability::Reachable) | WatchEvent::Reset
        ) {
            news.notify_one();
        }
    }
    Ok(())
}

/// Follows a mirror in the log.
struct Log;

impl Observer for Log {
    fn planned(&self, documents: u64, bytes: u64) {
        tracing::debug!(documents, bytes, "to be mirrored");
    }

    fn received(&self, _: u64) {}

    fn stored(&self, document: &Document, holder: &Holder) {
        tracing::debug!(document = %document.id.key, holder = %holder.name, "mirrored");
    }

    fn note(&self, line: &str) {
        tracing::info!("{}", p2p_ci::text::escaped(line));
    }
}
