//! The same peer twice, and another peer that wants its name.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use p2p_ci::{
    client::{
        CallError,
        registry::{RegistryClient, SessionReceiver, SessionSender},
    },
    failure::Reason,
    identity::ResumeToken,
    limits::PROTOCOL_VERSION,
    message::{Hello, PeerRequest, RegistryReply, Welcome},
    registry_url::RegistryUrl,
    transport::tcp_dialer,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::figures::summed_up;

const NAME: &str = "claimed";

/// No answer takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open session, on a connection of its own.
struct Claim {
    sender: SessionSender,
    receiver: SessionReceiver,
    welcome: Welcome,
    _client: RegistryClient,
}

/// Comes again and again with the secret of the session before, which has to end, and between two times without it,
/// which has to be refused and to disturb nobody.
pub(crate) async fn run(registry: &RegistryUrl, rounds: usize) -> Result<Value> {
    let mut incumbent = open(registry, None).await?;
    let (mut ended, mut denied) = (Vec::new(), 0_usize);
    for _ in 0..rounds {
        for token in [None, Some(ResumeToken::from_bytes(rand::random()))] {
            let refused = open(registry, token).await.err().context("a stranger got the name")?;
            let failure = refused.downcast_ref::<CallError>().and_then(CallError::failure);
            let reason = failure.map(|failure| failure.reason);
            ensure!(
                reason == Some(Reason::NameTaken),
                "refused for another reason: {refused:#}"
            );
            denied += 1;
        }
        incumbent.check_open().await?;
        let again = Instant::now();
        let next = open(registry, Some(incumbent.welcome.resume_token)).await?;
        ensure!(
            next.welcome.session_id != incumbent.welcome.session_id,
            "two sessions with one id"
        );
        incumbent.check_superseded().await?;
        ended.push(again.elapsed());
        incumbent = next;
    }
    incumbent.check_open().await?;
    let mut told = json!({"rounds": rounds, "denied": denied});
    if let (Some(told), Value::Object(times)) = (told.as_object_mut(), summed_up(ended)) {
        told.extend(times);
    }
    Ok(told)
}

async fn open(registry: &RegistryUrl, resume_token: Option<ResumeToken>) -> Result<Claim> {
    let client = RegistryClient::connect(&tcp_dialer(), registry).await?;
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION,
        name: NAME.parse().ok().context("a name")?,
        port: None,
        advertise: None,
        resume_token,
        fingerprints: Vec::new(),
    };
    let (sender, mut receiver) = client.register(1, PeerRequest::Hello(hello)).await?;
    match timeout(PATIENCE, receiver.next()).await?? {
        Some((_, RegistryReply::Welcome(welcome))) => Ok(Claim {
            sender,
            receiver,
            welcome,
            _client: client,
        }),
        other => bail!("no welcome: {other:?}"),
    }
}

impl Claim {
    /// The session answers as before.
    async fn check_open(&mut self) -> Result<()> {
        let beat = PeerRequest::Heartbeat {
            upload_count: 0,
            fingerprints: Vec::new(),
        };
        self.sender.send(2, beat).await?;
        loop {
            let reply = timeout(PATIENCE, self.receiver.next()).await??;
            match reply.ok_or_else(|| anyhow!("the incumbent's session has ended"))? {
                (2, RegistryReply::HeartbeatAck { .. }) => return Ok(()),
                (_, RegistryReply::Reachability(_)) => {}
                other => bail!("no answer to a heartbeat: {other:?}"),
            }
        }
    }

    /// The session has ended because its peer came again.
    async fn check_superseded(&mut self) -> Result<()> {
        loop {
            match timeout(PATIENCE, self.receiver.next()).await? {
                Ok(Some((_, RegistryReply::Reachability(_)))) => {}
                Ok(other) => bail!("the old session goes on: {other:?}"),
                Err(error) => {
                    let reason = error.failure().map(|failure| failure.reason);
                    ensure!(
                        reason == Some(Reason::Superseded),
                        "the old session ended for another reason: {error}"
                    );
                    return Ok(());
                }
            }
        }
    }
}
