//! `peer mirror`: downloads everything that the peers around hold and a folder lacks.

mod report;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use p2p_ci::{
    document::Document,
    message::{Holder, Reachability, WatchEvent},
    shutdown::Signals,
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::report::report;
use super::{Context, blocking, durability_of, join::node_config, open_library};
use crate::{
    backoff::Backoff,
    config::MirrorArgs,
    error::{Exit, PeerError},
    library::Target,
    limits,
    mirror::{Mirror, MirrorError, Observer, Selection},
    node::Node,
    output::{Output, progress::Progress},
    state::StateDir,
    uplink::NodeEvent,
    wanted::format_of,
};

/// Failures that are shown one by one; the rest is counted.
const SHOWN_FAILURES: usize = 10;

/// After a round that has found nothing, between half of this and all of it: whoever announces what nobody can have must not
/// drive all who mirror. Each one more that finds nothing doubles it, up to the most.
const PAUSE_IN_VAIN: Duration = Duration::from_secs(2);
const MOST_PAUSE: Duration = Duration::from_secs(30);

/// A pause after asking the registry failed, so that one that is away is not asked without end.
const PAUSE_WITHOUT_REGISTRY: Duration = Duration::from_secs(5);

/// Downloads what is missing, sharing it meanwhile unless that is not wanted.
///
/// # Errors
///
/// [`PeerError`] when the registry or the folder cannot be used.
pub async fn run(context: &Context, args: &MirrorArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.target.json);
    let selection = selection_of(args)?;
    let state = StateDir::resolve(&args.sharing.state)?;
    let context = &context.remembering(&state);
    let client = tokio::select! {
        client = context.connect() => client?,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    let (to, durability) = (args.target.to.clone(), durability_of(&args.target));
    let target = blocking("opening the target folder", move || Target::open(&to, durability)).await??;
    let (library, _report) = tokio::select! {
        opened = open_library(&args.target.to, state.path(), &mut output) => opened?,
        _ = signals.next() => return Ok(Exit::Interrupted),
    };
    let node = if args.no_share {
        None
    } else {
        let mut config = node_config(context, &args.sharing);
        config.watches_folder = false;
        Some(Node::start(config, library.clone(), Arc::clone(&context.dialer))?)
    };
    let mirror = Mirror {
        dialer: Arc::clone(&context.dialer),
        library,
        target,
        selection,
        replace: args.target.force,
        compress: args.compress,
        known: context.memory.clone(),
        stop: CancellationToken::new(),
    };
    let bars = Arc::new(Bars::new(&output));
    let sharing = follow(node.as_ref(), &bars);
    let began = Instant::now();
    let result = {
        let running = mirror.run(&client, Arc::clone(&bars) as Arc<dyn Observer>);
        tokio::pin!(running);
        tokio::select! {
            result = &mut running => result,
            part = sharing => return Err(PeerError::Broken(part)),
            _ = signals.next() => {
                mirror.stop.cancel();
                signals.or_exit(running).await
            }
        }
    };
    bars.bar.finish();
    if let Some(node) = node {
        signals.or_exit(node.shutdown(limits::DRAIN_GRACE)).await;
    }
    for line in bars.notes() {
        output.message(line);
    }
    let (memory, registry) = (context.memory.clone(), context.registry.clone());
    blocking("remembering peers", move || memory.save(&registry)).await?;
    let summary = result.map_err(|error| explained(context, error))?;
    report(&summary, began.elapsed(), &mut output)
}

/// What a mirror failed of, as a command tells it.
fn explained(context: &Context, error: MirrorError) -> PeerError {
    match error {
        MirrorError::Registry(error) => context.registry_error(error),
        MirrorError::Threads(error) => PeerError::system("cannot start a thread")(error),
    }
}

/// What is to be mirrored.
fn selection_of(args: &MirrorArgs) -> Result<Selection, PeerError> {
    let named = format_of(args.ranges.iter().map(|wanted| wanted.format), None)?;
    let formats = match named {
        Some(named) if args.format.iter().any(|format| *format != named) => {
            let mistake = format!("a file name says {named}, but --format another one; leave one of them out");
            return Err(PeerError::Usage(mistake));
        }
        Some(named) => vec![named],
        None => args.format.clone(),
    };
    Ok(Selection {
        ranges: args.ranges.iter().map(|wanted| wanted.range).collect(),
        formats,
    })
}

/// Notes once why nothing is shared, if so, and waits until a part has failed without which this peer is none; for ever where
/// nothing is to be shared.
fn follow(node: Option<&Node>, bars: &Arc<Bars>) -> impl Future<Output = &'static str> + use<> {
    // From now on: nothing that the node tells meanwhile is missed.
    let events = node.map(Node::events);
    let bars = Arc::clone(bars);
    async move {
        let Some(mut events) = events else {
            return std::future::pending().await;
        };
        let mut told = None;
        loop {
            match events.recv().await {
                Ok(NodeEvent::Broken(part)) => return part,
                Ok(NodeEvent::Refused(failure)) if told != Some(failure.reason) => {
                    told = Some(failure.reason);
                    bars.note(&format!("nothing is shared meanwhile: {failure}"));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}

/// The progress bar of a mirror, and what people should be told once it is gone.
struct Bars {
    bar: Progress,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    left_out: u64,
}

impl Bars {
    fn new(output: &Output) -> Self {
        Self {
            bar: Progress::mirror(output, 0, 0),
            notes: Mutex::default(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = std::mem::take(&mut notes.lines);
        if notes.left_out > 0 {
            lines.push(format!("and {} more such lines", notes.left_out));
        }
        lines
    }
}

impl Observer for Bars {
    fn planned(&self, documents: u64, bytes: u64) {
        self.bar.expect(documents, bytes);
    }

    fn received(&self, bytes: u64) {
        self.bar.advance(bytes);
    }

    fn stored(&self, document: &Document, holder: &Holder) {
        self.bar.document_done(holder.name.as_str(), document.size_bytes);
    }

    fn note(&self, line: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.lines.len() < SHOWN_FAILURES {
            notes.lines.push(p2p_ci::text::escaped(line).to_string());
        } else {
            notes.left_out += 1;
        }
    }
}

/// Mirrors into a shared folder for as long as it is shared: at once, and whenever peers come or announce.
pub(super) async fn keep_mirroring(context: Context, mirror: Mirror) {
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
    let Some(client) = mirror.stop.run_until_cancelled(context.connect()).await else {
        return Ok(0);
    };
    let client = client?;
    let summary = mirror
        .run(&client, Arc::new(Log))
        .await
        .map_err(|error| explained(context, error))?;
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

/// The folder as messages show it.
pub(super) fn shown(path: &Path) -> String {
    let path: PathBuf = path.components().collect();
    p2p_ci::text::escaped(&path.to_string_lossy()).to_string()
}
