//! Sessions with a registry: what peers do in any order, beside a naive notion of who is registered with what.

mod model;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use p2p_ci::{
    document::Format,
    fingerprint::Fingerprint,
    identity::ResumeToken,
    limits::PROTOCOL_VERSION,
    message::{Hello, PeerRequest, RegistryReply, Welcome},
    wire::ProtocolError,
};
use registry::{
    admission::Admission,
    error::InboundError,
    index::IndexLimits,
    reach::Prober,
    session::{Environment, Inbound, Replies, outbox, serve},
    swarm::{Swarm, SwarmLimits},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;

use self::model::{Holdings, Item, Model};
use crate::network;

/// Few enough that sequences of a dozen actions meet each of them.
const LIMITS: SwarmLimits = SwarmLimits {
    index: IndexLimits {
        session_documents: 6,
        documents: 10,
        documents_per_source: 8,
        sessions_per_address: 3,
        lists: 4,
        list_documents: 12,
    },
    watchers: 1,
};

const SOURCES: [&str; 3] = ["127.0.0.1:9", "10.0.0.1:9", "[fd00::1]:9"];
const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Actions that are tried in one sequence.
const MOST_ACTIONS: usize = 64;

/// An answer within a session comes at once; nothing else is waited for.
const ANSWER: Duration = Duration::from_secs(1);

/// The shortest time that the clock knows. All of them together are too short for anything to be too late.
const MOMENT: Duration = Duration::from_millis(1);

#[derive(Debug, Arbitrary)]
enum Action {
    Open {
        name: u8,
        source: u8,
        port: Option<u8>,
        /// Whose token.
        resume: Option<u8>,
        version: bool,
        /// What it says to hold.
        holds: Vec<Item>,
    },
    Announce(u8, Vec<Item>),
    Withdraw(u8, Vec<Item>, bool),
    Heartbeat(u8, Option<Vec<Item>>),
    Lookup(u8, u8),
    HelloAgain(u8),
    Wrong(u8),
    Leave(u8),
    Close(u8),
    Break(u8),
    HangUp(u8),
    Wait(u8),
}

/// A session as its peer has it.
struct Session {
    requests: Option<mpsc::Sender<Result<Inbound, InboundError>>>,
    replies: Option<Replies>,
    task: JoinHandle<()>,
}

struct World {
    environment: Environment,
    model: Model,
    sessions: BTreeMap<usize, Session>,
    opened: usize,
}

pub(crate) fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut actions = Vec::new();
    while actions.len() < MOST_ACTIONS && !input.is_empty() {
        match Action::arbitrary(&mut input) {
            Ok(action) => actions.push(action),
            Err(_) => break,
        }
    }
    network::run(async {
        let mut world = World::new();
        for action in actions {
            world.act(action).await;
            world.settle().await;
            world.check().await;
        }
        world.end().await;
    });
}

impl World {
    fn new() -> Self {
        // Whoever is dialled hangs up.
        let dialer = network::dialer_of(|_, _| std::future::ready(()));
        let runtime = tokio::runtime::Handle::current();
        let listening: SocketAddr = "192.0.2.1:7734".parse().expect("an address");
        Self {
            environment: Environment {
                swarm: Swarm::new(LIMITS).expect("the system has random numbers"),
                prober: Arc::new(Prober::new(dialer, runtime)),
                effects: Arc::default(),
                admission: Arc::new(Admission::new(Vec::new(), listening)),
                stop: CancellationToken::new(),
            },
            model: Model::new(LIMITS.index),
            sessions: BTreeMap::new(),
            opened: 0,
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Open {
                name,
                source,
                port,
                resume,
                version,
                holds,
            } => {
                let source = SOURCES[usize::from(source) % SOURCES.len()]
                    .parse()
                    .expect("an address");
                let resume = resume.and_then(|whose| self.model.token_of(usize::from(whose)));
                let name = NAMES[usize::from(name) % NAMES.len()];
                self.open(name, source, port, resume, version, &Holdings::of(&holds))
                    .await;
            }
            Action::Announce(who, items) => self.announce(who, &items).await,
            Action::Withdraw(who, items, all_texts) => self.withdraw(who, &items, all_texts).await,
            Action::Heartbeat(who, believed) => self.heartbeat(who, believed).await,
            Action::Lookup(who, number) => self.lookup(who, number).await,
            Action::HelloAgain(who) => self.hello_again(who).await,
            Action::Wrong(who) => self.wrong(who).await,
            Action::Leave(who) => self.leave(who).await,
            Action::Close(who) => self.end_one(who, |session| session.requests = None),
            Action::Break(who) => self.end_one(who, |session| {
                if let Some(requests) = &session.requests {
                    let _ = requests.try_send(Err(InboundError::Malformed("no message".to_owned())));
                }
            }),
            Action::HangUp(who) => self.end_one(who, |session| session.replies = None),
            Action::Wait(seconds) => tokio::time::advance(Duration::from_secs(seconds.into())).await,
        }
    }

    async fn open(
        &mut self,
        name: &str,
        source: SocketAddr,
        port: Option<u8>,
        resume: Option<ResumeToken>,
        version: bool,
        holds: &Holdings,
    ) {
        let port = port.map(|port| 5000 + u16::from(port % 2));
        let address = port.map(|port| SocketAddr::new(source.ip(), port));
        let hello = Hello {
            protocol_version: if version {
                PROTOCOL_VERSION
            } else {
                PROTOCOL_VERSION + 1
            },
            name: name.parse().expect("a name"),
            port,
            advertise: None,
            resume_token: resume,
            fingerprints: holds.fingerprints(),
        };
        let (requests, inbound) = mpsc::channel(1);
        let (queue, replies) = outbox();
        let environment = self.environment.clone();
        let task = tokio::spawn(serve(environment, source, ReceiverStream::new(inbound), queue));
        let mut session = Session {
            requests: Some(requests),
            replies: Some(replies),
            task,
        };
        let answer = session.ask(PeerRequest::Hello(hello), true).await;
        let replaced = self
            .model
            .would_replace(name, address, source, resume)
            .filter(|_| version);
        match (answer, replaced) {
            (Some(RegistryReply::Welcome(welcome)), Some(replaced)) => {
                let known = self.welcomed(&welcome, holds, address);
                for old in replaced {
                    self.model.leave(old);
                }
                self.model
                    .join(self.opened, name, address, source, welcome.resume_token, known);
                self.sessions.insert(self.opened, session);
                self.opened += 1;
            }
            (None, None) => {}
            (answer, replaced) => panic!("{name} from {source}: {answer:?}, but it would replace {replaced:?}"),
        }
    }

    /// What the registry takes a newcomer to hold.
    fn welcomed(&self, welcome: &Welcome, holds: &Holdings, address: Option<SocketAddr>) -> Holdings {
        assert_eq!(welcome.address, address);
        assert!(
            welcome.known_formats.is_empty() || address.is_some(),
            "an observer holds nothing"
        );
        let known = holds.only(&welcome.known_formats);
        assert!(
            known.is_empty() || self.model.was_ever_held(&known),
            "a list that nobody was found to hold is known"
        );
        known
    }

    async fn announce(&mut self, who: u8, items: &[Item]) {
        let Some((id, session)) = self.pick(who) else { return };
        let documents = items.iter().map(Item::document).collect();
        let answer = session.ask(PeerRequest::Announce(documents), false).await;
        match (answer, self.model.announce(id, items)) {
            (Some(RegistryReply::Announced(total)), Some(held)) => assert_eq!(total as usize, held),
            (Some(RegistryReply::Failed(_)), None) => {}
            (answer, held) => panic!("{answer:?} to an announcement after which it should hold {held:?}"),
        }
    }

    async fn withdraw(&mut self, who: u8, items: &[Item], all_texts: bool) {
        let Some((id, session)) = self.pick(who) else { return };
        let keys = items.iter().map(|item| item.document().id.key).collect();
        let formats = if all_texts { vec![Format::Txt] } else { Vec::new() };
        let answer = session.ask(PeerRequest::Withdraw(keys, formats), false).await;
        let held = self.model.withdraw(id, items, all_texts);
        assert_eq!(
            answer,
            Some(RegistryReply::Withdrawn(u32::try_from(held).expect("few")))
        );
    }

    /// What a peer believes to hold is right, or found to be wrong.
    async fn heartbeat(&mut self, who: u8, believed: Option<Vec<Item>>) {
        let Some((id, _)) = self.pick(who) else { return };
        let held = self.model.held(id).clone();
        let believed = believed.map_or_else(|| held.clone(), |items| Holdings::of(&items));
        let fingerprints: Vec<Fingerprint> = believed.fingerprints();
        let wrong: Vec<Format> = fingerprints
            .iter()
            .filter(|one| !held.fingerprints_of_all().contains(one))
            .map(|one| one.format)
            .collect();
        let Some((_, session)) = self.pick(who) else { return };
        let request = PeerRequest::Heartbeat {
            upload_count: 1,
            fingerprints,
        };
        let answer = session.ask(request, false).await;
        let Some(RegistryReply::HeartbeatAck {
            document_count,
            mismatched,
        }) = answer
        else {
            panic!("{answer:?} to a heartbeat");
        };
        assert_eq!((document_count as usize, mismatched), (held.len(), wrong));
        self.model.confirm(id);
    }

    /// Nobody could be reached, so nobody is handed out.
    async fn lookup(&mut self, who: u8, number: u8) {
        let Some((_, session)) = self.pick(who) else { return };
        let query = model::query(number);
        let answer = session.ask(PeerRequest::Lookup(query), false).await;
        assert!(matches!(answer, Some(RegistryReply::Failed(_))), "{answer:?}");
    }

    async fn hello_again(&mut self, who: u8) {
        let Some((id, session)) = self.pick(who) else { return };
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            name: NAMES[0].parse().expect("a name"),
            port: None,
            advertise: None,
            resume_token: None,
            fingerprints: Vec::new(),
        };
        let answer = session.ask(PeerRequest::Hello(hello), true).await;
        assert_eq!(answer, None, "a second hello ends the session");
        self.model.leave(id);
    }

    /// A request that is not valid is answered, and changes nothing.
    async fn wrong(&mut self, who: u8) {
        let Some((_, session)) = self.pick(who) else { return };
        let answer = session.ask_any(Err(ProtocolError::missing("body")), false).await;
        assert!(matches!(answer, Some(RegistryReply::Failed(_))), "{answer:?}");
    }

    async fn leave(&mut self, who: u8) {
        let Some((id, session)) = self.pick(who) else { return };
        assert_eq!(session.ask(PeerRequest::Leave, false).await, Some(RegistryReply::Left));
        self.model.leave(id);
    }

    fn end_one(&mut self, who: u8, how: impl FnOnce(&mut Session)) {
        if let Some((id, session)) = self.pick(who) {
            how(session);
            self.model.leave(id);
        }
    }

    /// One of the sessions that are open.
    fn pick(&mut self, who: u8) -> Option<(usize, &mut Session)> {
        let open = self.model.open();
        let id = *open.get(usize::from(who) % open.len().max(1))?;
        Some((id, self.sessions.get_mut(&id)?))
    }

    /// Lets everybody do what can be done now: only then does the clock go on, and by no more than this.
    async fn settle(&self) {
        tokio::time::sleep(MOMENT).await;
    }

    /// Sessions are open as long as they should be, and the index is what they hold.
    async fn check(&mut self) {
        let open = self.model.open();
        for (id, session) in &self.sessions {
            assert_eq!(session.task.is_finished(), !open.contains(id), "session {id}");
        }
        self.sessions.retain(|id, _| open.contains(id));
        assert_eq!(self.environment.swarm.session_count(), open.len());
        assert_eq!(model::listed(&self.environment.swarm).await, self.model.listed());
    }

    async fn end(mut self) {
        for session in self.sessions.values_mut() {
            session.requests = None;
        }
        self.settle().await;
        assert_eq!(self.environment.swarm.session_count(), 0);
        assert_eq!(model::listed(&self.environment.swarm).await, BTreeMap::new());
    }
}

impl Session {
    async fn ask(&mut self, request: PeerRequest, is_hello: bool) -> Option<RegistryReply> {
        self.ask_any(Ok(request), is_hello).await
    }

    /// The answer to a request; `None` when the session ended instead.
    async fn ask_any(&mut self, request: Result<PeerRequest, ProtocolError>, is_hello: bool) -> Option<RegistryReply> {
        /// The id of every request; notices have none.
        const REQUEST: u64 = 7;
        let inbound = Inbound {
            request_id: REQUEST,
            is_hello,
            request,
        };
        self.requests.as_ref()?.send(Ok(inbound)).await.ok()?;
        loop {
            let next = tokio::time::timeout(ANSWER, self.replies.as_mut()?.next());
            match next.await.expect("an answer comes at once") {
                Some(Ok((REQUEST, reply))) => return Some(reply),
                Some(Ok((id, reply))) => assert!(id == 0, "an answer to nothing: {reply:?}"),
                Some(Err(error)) => {
                    let failure = p2p_ci::failure::Failure::from(error);
                    crate::plain::assert_message(&failure.message);
                    return None;
                }
                None => return None,
            }
        }
    }
}
