//! `peer join`: shares a folder until it is told to end.

mod follow;
mod site;

use std::sync::Arc;

use p2p_ci::{
    address::AllowedSources, document::DocumentKey, limits::LOWEST_PEER_PORT, message::Reachability, shutdown::Signals,
};
use tokio_util::sync::CancellationToken;

use self::follow::{Follower, courtesy};
use super::{
    Context, blocking,
    leaving::leave,
    mirror::{keep_mirroring, shown},
    open_library,
};
use crate::{
    config::{JoinArgs, SharingArgs},
    error::{Exit, PeerError},
    gateway::BoundGateway,
    known::keep_learning,
    library::{Durability, Library, Target},
    limits,
    mirror::{Compress, Mirror, Selection},
    node::{Node, NodeConfig},
    output::{Output, human},
    search::Keeping,
    state::StateDir,
    uplink::NodeEvent,
    vital::Vital,
};

/// How a node is to take part, as the command line says.
#[must_use]
pub fn node_config(context: &Context, args: &SharingArgs) -> NodeConfig {
    NodeConfig {
        registry: context.registry.clone(),
        name: args.name.clone(),
        listen: args.listen,
        advertise: args.advertise,
        advertise_port: args.advertise_port,
        allowed: AllowedSources::private_and(args.allow_from.clone()),
        max_uploads: args.max_uploads,
        max_upload: args.max_upload,
        reflection: !args.no_reflection,
        watches_folder: true,
        gathers_facts: true,
        http: None,
        asks_upstream: false,
    }
}

/// Makes sure that others can be told the port that is listened on.
///
/// # Errors
///
/// [`PeerError::Usage`].
pub(super) fn check_port(args: &SharingArgs) -> Result<(), PeerError> {
    let port = args.listen.map_or(0, |listen| listen.port());
    if (1..LOWEST_PEER_PORT).contains(&port) && args.advertise.is_none() && args.advertise_port.is_none() {
        return Err(PeerError::Usage(format!(
            "--listen names port {port}, but a peer has one from {LOWEST_PEER_PORT} on, or 0; where another one leads \
             to it, name that with --advertise-port"
        )));
    }
    Ok(())
}

/// Shares a folder until a signal arrives, or until the registry refuses this peer for good.
///
/// # Errors
///
/// [`PeerError`] when the folder cannot be shared, or the name or address belongs to somebody else.
pub async fn run(context: &Context, args: &JoinArgs) -> Result<Exit, PeerError> {
    check_port(&args.sharing)?;
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.json);
    let state = StateDir::resolve(&args.sharing.state)?;
    let context = &context.remembering(&state);
    // A folder that is to be filled need not be there yet.
    let target = if args.mirror {
        let dir = args.dir.clone();
        Some(blocking("opening the folder", move || Target::open(&dir, Durability::End)).await??)
    } else {
        None
    };
    let (library, report) = tokio::select! {
        opened = open_library(&args.dir, state.path(), &mut output) => opened?,
        name = signals.next() => {
            tracing::info!("{name}: ending before anything was shared");
            output.wipe_key();
            return Ok(Exit::Done);
        }
    };
    if !args.json {
        let documents = human::count(report.documents as u64, "document");
        let ignored = human::count(report.skipped.total(), "other file");
        courtesy(output.lines(format_args!(
            "sharing {documents} of {} ({ignored} ignored)",
            shown(&args.dir)
        )))?;
    }
    let bound = args.http.map(|listen| site::bind(listen, &args.sharing)).transpose()?;
    let mut config = node_config(context, &args.sharing);
    config.http = bound.as_ref().map(BoundGateway::address);
    config.asks_upstream = args.upstream.is_some();
    let node = Node::start(config, library.clone(), Arc::clone(&context.dialer))?;
    let keeping = args.search.then(|| keep_index(&node, &state)).flatten();
    let index = keeping.as_ref().map(|keeping| keeping.place().clone());
    let site = site::start(bound, context, &state, args, &node, target.as_ref(), index).await;
    if let Some(site) = &site {
        courtesy(site.tell(&mut output))?;
    }
    let mirroring = target.map(|target| start_mirroring(context, target, library, node.vital("the mirror")));
    let mut follower = Follower::new(context.clone(), state, node.events(), output);
    let ended = tokio::select! {
        ended = follower.follow(args) => ended,
        never = keep_learning(&node, context) => match never {},
        name = signals.next() => { tracing::info!("{name}: leaving"); Ok(()) }
    };
    drop(keeping);
    let at_work = AtWork { node, site, mirroring };
    let mirrored = leave(at_work.end(), &mut signals, follower.output()).await;
    let (memory, registry) = (context.memory.clone(), context.registry.clone());
    blocking("remembering peers", move || memory.save(&registry)).await?;
    ended?;
    mirrored?;
    follower.left()?;
    Ok(Exit::Done)
}

/// Keeps an index of what `node` shares; what it shares is shared without one, too.
fn keep_index(node: &Node, state: &StateDir) -> Option<Keeping> {
    let started = Keeping::start(node.library().clone(), node.catalogue().clone(), state, node.link());
    let warned = |error: &std::io::Error| tracing::warn!(%error, "there is no search index of the shared folder");
    started.inspect_err(warned).ok()
}

/// Everything that a peer does until it leaves.
struct AtWork {
    node: Node,
    site: Option<site::Running>,
    mirroring: Option<Mirroring>,
}

impl AtWork {
    /// Ends all of it in good order.
    async fn end(self) -> Result<(), PeerError> {
        let mirrored = async {
            match self.mirroring {
                Some(mirroring) => mirroring.end().await,
                None => Ok(()),
            }
        };
        let closed = async {
            if let Some(site) = self.site {
                site.close().await;
            }
        };
        tokio::join!(closed, self.node.shutdown(limits::DRAIN_GRACE), mirrored).2
    }
}

/// A folder that is filled while it is shared.
struct Mirroring {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    target: Target,
}

impl Mirroring {
    /// Ends the round that goes on, and forces to the disk what it stored.
    async fn end(self) -> Result<(), PeerError> {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        if tokio::time::timeout(limits::MIRROR_GRACE, self.task).await.is_err() {
            // What it has begun to store is complete or absent either way.
            abort.abort();
        }
        blocking("forcing to the disk", move || self.target.finish()).await??;
        Ok(())
    }
}

fn start_mirroring(context: &Context, target: Target, library: Library, vital: Vital) -> Mirroring {
    let stop = CancellationToken::new();
    let kept = target.clone();
    let mirror = Mirror {
        dialer: Arc::clone(&context.dialer),
        library,
        target,
        selection: Selection::default(),
        replace: false,
        compress: Compress::Auto,
        known: context.memory.clone(),
        stop: stop.clone(),
    };
    let context = context.clone();
    let task = tokio::spawn(async move {
        let _vital = vital;
        keep_mirroring(context, mirror).await;
    });
    Mirroring {
        stop,
        task,
        target: kept,
    }
}

/// One line for people.
#[must_use]
pub fn sentence(event: &NodeEvent) -> String {
    match event {
        NodeEvent::Serving(address) => format!("serving on {address}"),
        NodeEvent::Registered { name, welcome } => format!("registered as {name}, seen as {}", welcome.observed),
        NodeEvent::Reachability(notice) => {
            let address = notice.address.map(|address| address.to_string()).unwrap_or_default();
            match notice.reachability {
                Reachability::Reachable => format!("others can reach {address}"),
                Reachability::Unreachable => unreachable_advice(&address, &notice.detail),
                Reachability::Pending => format!("the registry tries to reach {address}"),
                Reachability::Observer => "observing; nothing is shared".to_owned(),
            }
        }
        NodeEvent::Announced(keys) => format!("announced {}", named(keys)),
        NodeEvent::Withdrawn(keys) => format!("withdrawn {}", named(keys)),
        NodeEvent::Rejected(keys, why) => format!("the registry does not take {}: {why}", named(keys)),
        NodeEvent::Refused(failure) => format!("the registry refused this peer: {}", failure.message),
        NodeEvent::Disconnected { reason, retry_in } => {
            format!(
                "not registered: {reason}; trying again in {}, then at least every {}",
                human::span(*retry_in),
                human::span(limits::BACKOFF_CAP)
            )
        }
        NodeEvent::Left => "left".to_owned(),
        NodeEvent::Broken(part) => PeerError::Broken(part).to_string(),
    }
}

fn unreachable_advice(address: &str, detail: &str) -> String {
    format!(
        "registered, but others cannot reach {address}: {detail}. Open the port in the firewall; behind a router or in Docker, \
         forward a port and give it with --advertise-port, or use host networking; with several networks, name one with --listen"
    )
}

/// A single document by its name, several by their number.
fn named(keys: &[DocumentKey]) -> String {
    match keys {
        [only] => only.to_string(),
        many => human::count(many.len() as u64, "document"),
    }
}
