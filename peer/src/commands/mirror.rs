//! `peer mirror`: downloads everything that the peers around hold and a folder lacks.

mod bars;
mod report;
mod rounds;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use p2p_ci::shutdown::Signals;
use tokio::{sync::broadcast::error::RecvError, time::Instant};
use tokio_util::sync::CancellationToken;

pub(super) use self::rounds::keep_mirroring;
use self::{bars::Bars, report::report, rounds::until_complete};
use super::{
    Context, blocking, durability_of,
    join::{check_port, node_config},
    leaving::leave,
    open_library,
};
use crate::{
    config::MirrorArgs,
    error::{Exit, PeerError},
    library::Target,
    limits,
    mirror::{Mirror, MirrorError, Observer, Selection},
    node::Node,
    output::Output,
    state::StateDir,
    uplink::NodeEvent,
    wanted::format_of,
};

/// Failures that are shown one by one; the rest is counted.
const SHOWN_FAILURES: usize = 10;

/// Downloads what is missing, sharing it meanwhile unless that is not wanted.
///
/// # Errors
///
/// [`PeerError`] when the registry or the folder cannot be used.
pub async fn run(context: &Context, args: &MirrorArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.target.json);
    let selection = selection_of(args)?;
    check_port(&args.sharing)?;
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
        config.gathers_facts = false;
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
        let running = until_complete(context, &mirror, &client, &bars);
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
    bars.finish();
    if let Some(node) = node {
        leave(node.shutdown(limits::DRAIN_GRACE), &mut signals, &mut output).await;
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

/// The folder as messages show it.
pub(super) fn shown(path: &Path) -> String {
    let path: PathBuf = path.components().collect();
    p2p_ci::text::escaped(&path.to_string_lossy()).to_string()
}
