//! `peer join`: shares a folder until it is told to end.

use std::sync::Arc;

use p2p_ci::{
    address::AllowedSources,
    document::DocumentKey,
    failure::{Failure, Reason},
    message::Reachability,
    shutdown::Signals,
};
use tokio::{sync::broadcast::error::RecvError, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    mirror::{keep_mirroring, shown},
    open_library,
};
use crate::{
    config::{JoinArgs, SharingArgs},
    error::{Exit, PeerError},
    library::{Durability, Library, Target},
    limits,
    mirror::{Mirror, Selection},
    node::{Node, NodeConfig},
    output::{Output, human, is_reader_gone, json::JoinEvent},
    state::{PeerState, StateDir, StateFile},
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
        reflection: !args.no_reflection,
        watches_folder: true,
    }
}

/// Shares a folder until a signal arrives, or until the registry refuses this peer for good.
///
/// # Errors
///
/// [`PeerError`] when the folder cannot be shared, or the name or address belongs to somebody else.
pub async fn run(context: &Context, args: &JoinArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.json);
    let state = StateDir::resolve(&args.sharing.state)?;
    let (library, report) = tokio::select! {
        opened = open_library(&args.dir, state.path(), &mut output) => opened?,
        name = signals.next() => {
            tracing::info!("{name}: ending before anything was shared");
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
    let node = Node::start(
        node_config(context, &args.sharing),
        library.clone(),
        Arc::clone(&context.dialer),
    )?;
    let mirroring = if args.mirror {
        Some(start_mirroring(context, args, library, node.vital("the mirror"))?)
    } else {
        None
    };
    let mut follower = Follower {
        state,
        written: None,
        events: node.events(),
        output,
        told_reason: None,
        was_registered: false,
    };
    let ended = tokio::select! {
        ended = follower.follow(args) => ended,
        name = signals.next() => { tracing::info!("{name}: leaving"); Ok(()) }
    };
    if let Some((stop, task)) = mirroring {
        stop.cancel();
        // It ends at its next step; what it has begun to store is complete or absent either way.
        task.abort();
    }
    signals.or_exit(node.shutdown(limits::DRAIN_GRACE)).await;
    ended?;
    follower.left()?;
    Ok(Exit::Done)
}

fn start_mirroring(
    context: &Context,
    args: &JoinArgs,
    library: Library,
    vital: Vital,
) -> Result<(CancellationToken, tokio::task::JoinHandle<()>), PeerError> {
    let stop = CancellationToken::new();
    let mirror = Mirror {
        dialer: Arc::clone(&context.dialer),
        library,
        target: Target::open(&args.dir, Durability::End)?,
        selection: Selection::default(),
        replace: false,
        stop: stop.clone(),
    };
    let context = context.clone();
    let task = tokio::spawn(async move {
        let _vital = vital;
        keep_mirroring(context, mirror).await;
    });
    Ok((stop, task))
}

/// Whether a refusal may be over soon: a name is free once its former bearer is known to be gone, and a registry that is
/// full or about to end may not be so for long.
fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        Reason::NameTaken
            | Reason::AddressTaken
            | Reason::Overloaded
            | Reason::LimitExceeded
            | Reason::ShuttingDown
            | Reason::Internal
    )
}

/// Waits until a refusal has been borne for long enough; for ever where there is none.
async fn borne(refusal: &Option<(String, Instant)>) -> String {
    match refusal {
        Some((reason, until)) => {
            tokio::time::sleep_until(*until).await;
            reason.clone()
        }
        None => std::future::pending().await,
    }
}

/// Sharing goes on, whether or not somebody reads about it.
fn courtesy(told: Result<(), PeerError>) -> Result<(), PeerError> {
    match told {
        Err(error) if is_reader_gone(&error) => Ok(()),
        told => told,
    }
}

/// Tells people and programs what happens to the peer.
struct Follower {
    state: StateDir,
    /// The state file as long as it describes this peer.
    written: Option<StateFile>,
    events: tokio::sync::broadcast::Receiver<NodeEvent>,
    output: Output,
    /// Why there is no session, as people were last told.
    told_reason: Option<String>,
    /// Whether there ever was a session to leave.
    was_registered: bool,
}

impl Follower {
    async fn follow(&mut self, args: &JoinArgs) -> Result<(), PeerError> {
        let mut serving = None;
        // Why this peer is not taken in, and until when that is borne.
        let mut refusal: Option<(String, Instant)> = None;
        loop {
            let received = tokio::select! {
                received = self.events.recv() => received,
                reason = borne(&refusal) => return Err(PeerError::Refused(reason)),
            };
            let event = match received {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events passed by unseen");
                    continue;
                }
                Err(RecvError::Closed) => return Ok(()),
            };
            if let NodeEvent::Broken(part) = &event {
                return Err(PeerError::Broken(part));
            }
            if let NodeEvent::Serving(address) = &event {
                serving = Some(*address);
            }
            if let NodeEvent::Registered { name, .. } = &event {
                self.was_registered = true;
                refusal = None;
                if let Some(address) = serving {
                    let root = args.dir.to_string_lossy().into_owned();
                    let state = PeerState {
                        pid: std::process::id(),
                        name: name.clone(),
                        address,
                        root,
                    };
                    // Sharing goes on without it; only `peer healthcheck` needs the file.
                    if let Err(error) = self.write_state(&state) {
                        self.output.message(error);
                    }
                }
            }
            // Only a newcomer gives up: one that was registered before is wanted back by somebody.
            if let NodeEvent::Refused(failure) = &event
                && !self.was_registered
            {
                if !may_pass(failure) {
                    return Err(PeerError::Refused(failure.message.clone()));
                }
                let until = refusal.map_or_else(|| Instant::now() + limits::TAKEN_PATIENCE, |(_, until)| until);
                refusal = Some((failure.message.clone(), until));
            }
            self.tell(&event)?;
        }
    }

    fn write_state(&mut self, state: &PeerState) -> Result<(), PeerError> {
        match &self.written {
            Some(file) => file.update(state),
            None => {
                self.written = Some(StateFile::create(&self.state, state)?);
                Ok(())
            }
        }
    }

    fn left(&mut self) -> Result<(), PeerError> {
        if self.was_registered {
            self.tell(&NodeEvent::Left)
        } else {
            Ok(())
        }
    }

    fn tell(&mut self, event: &NodeEvent) -> Result<(), PeerError> {
        let told = if self.output.is_json() {
            self.tell_programs(event)
        } else {
            self.tell_people(event)
        };
        courtesy(told)
    }

    fn tell_programs(&mut self, event: &NodeEvent) -> Result<(), PeerError> {
        let count = |keys: &[DocumentKey]| keys.len() as u64;
        match event {
            NodeEvent::Serving(address) => self.output.object(&JoinEvent::Serving { address: *address }),
            NodeEvent::Registered { name, welcome } => self.output.object(&JoinEvent::registered(
                name.as_str(),
                welcome.session_id,
                welcome.address,
            )),
            NodeEvent::Reachability(notice) => self.output.object(&JoinEvent::reachability(
                notice.reachability,
                notice.address,
                &notice.detail,
            )),
            NodeEvent::Announced(keys) => self.output.object(&JoinEvent::Announced { documents: count(keys) }),
            NodeEvent::Withdrawn(keys) => self.output.object(&JoinEvent::Withdrawn { documents: count(keys) }),
            NodeEvent::Disconnected { reason, retry_in } => {
                self.output.object(&JoinEvent::disconnected(reason, *retry_in))
            }
            NodeEvent::Left => self.output.object(&JoinEvent::Left),
            NodeEvent::Rejected(..) | NodeEvent::Refused(_) | NodeEvent::Broken(_) => Ok(()),
        }
    }

    fn tell_people(&mut self, event: &NodeEvent) -> Result<(), PeerError> {
        // `Disconnected` follows and says the same; and what is still so is said once.
        if matches!(event, NodeEvent::Refused(_)) {
            return Ok(());
        }
        if let NodeEvent::Disconnected { reason, .. } = event {
            if self.told_reason.as_ref() == Some(reason) {
                return Ok(());
            }
            self.told_reason = Some(reason.clone());
        } else {
            self.told_reason = None;
        }
        let line = sentence(event);
        self.output.lines(p2p_ci::text::escaped(&line))
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
                "not registered: {reason}; trying again in {}, and then on",
                human::span(*retry_in)
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
