//! Downloads one document: from whom, in which order, and what to do when a holder fails.
//!
//! A holder that is gone or slow costs the bytes not yet received only: the next one, which holds the *same digest*,
//! goes on at the offset. A holder whose bytes do not have that digest costs all of them; one that sent none costs nothing.

mod blame;
mod candidates;
mod floor;
mod sink;

use std::time::{Duration, Instant as WallInstant};

use p2p_ci::{
    address,
    client::{CallError, file_transfer::FileTransferClient},
    failure::Reason,
    message::{DocumentEntry, DownloadPart, DownloadQuery, Holder},
    transport::Dialer,
};
use tokio::time::{Instant, timeout_at};

pub use self::sink::Sink;
pub(crate) use self::sink::blocking;
use self::{blame::Blame, candidates::Candidates, floor::Floor};
use crate::{
    known::{BAN_S, Memory, STRIKE_SPAN_S, STRIKES},
    library::{StoreError, Stored, Target},
    limits,
};

/// What a download did, for whoever asked for it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where the document is.
    pub path: std::path::PathBuf,
    /// Whether somebody else had stored the same bytes there meanwhile.
    pub was_there: bool,
    /// The holder that sent the last byte.
    pub holder: Holder,
    /// Bytes that crossed the network, those in vain included.
    pub received_bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// What the holders that failed did.
    pub detours: Vec<Detour>,
}

/// A holder that did not help.
#[derive(Debug, Clone)]
pub struct Detour {
    /// The holder.
    pub holder: Holder,
    /// What it did.
    pub error: HolderError,
}

impl Detour {
    fn of(holder: &Holder, error: HolderError) -> Self {
        Self {
            holder: holder.clone(),
            error,
        }
    }
}

/// Why one holder could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HolderError {
    /// It could not be asked, or said no.
    #[error("{0}")]
    Call(#[from] CallError),
    /// It ended before it had sent everything.
    #[error("it sent {sent_bytes} of {asked_bytes} bytes and ended")]
    Short {
        /// Bytes that it sent.
        sent_bytes: u64,
        /// Bytes of the document that it was asked for.
        asked_bytes: u64,
    },
    /// It sent something else than was asked for.
    #[error("it sent {0}")]
    Lied(String),
    /// It is too slow.
    #[error("it is slower than {} bytes a second", limits::SLOWEST_BYTES_PER_SECOND)]
    Slow,
    /// It lied several times of late, and is left alone for a while.
    #[error("it sent wrong bytes {STRIKES} times within {} minutes, and is left alone for {} minutes", STRIKE_SPAN_S / 60, BAN_S / 60)]
    Banned,
    /// Its address means another machine here than at the registry.
    #[error("its address {0} cannot be the one that the registry means")]
    Narrow(std::net::IpAddr),
}

/// Why a document could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The target cannot be written to; no other holder would help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No holder helped.
    #[error("{}", tried(.0))]
    Holders(Vec<Detour>),
}

fn tried(detours: &[Detour]) -> String {
    match detours {
        [] => "no holder that can be reached from here".to_owned(),
        [only] => format!("{} ({}): {}", only.holder.name, only.holder.address, only.error),
        [.., last] => {
            format!(
                "{} holders failed, the last one {} ({}): {}",
                detours.len(),
                last.holder.name,
                last.holder.address,
                last.error
            )
        }
    }
}

impl FetchError {
    /// Whether all holders that could be asked sent wrong bytes.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Integrity { .. }),
            Self::Holders(detours) => {
                let mut asked = detours.iter().filter(|detour| !is_absence(&detour.error)).peekable();
                asked.peek().is_some() && asked.all(|detour| is_lie(&detour.error))
            }
        }
    }
}

/// For how long to leave a holder alone whose upload slots are all taken: about the time that it names, spread so that
/// not all who wait come back at once. `None` for every other error.
#[must_use]
pub fn busy_for(error: &CallError) -> Option<Duration> {
    let failure = error.failure().filter(|failure| failure.reason == Reason::Overloaded)?;
    let named = failure
        .retry_after
        .unwrap_or(limits::BUSY_RETRY)
        .clamp(limits::BUSY_RETRY_SHORTEST, limits::BUSY_RETRY_LONGEST);
    Some(named.mul_f64(0.5 + rand::random::<f64>()))
}

/// Whether an error means that wrong bytes were sent, or that the holder noticed that it would send some.
#[must_use]
pub fn is_lie(error: &HolderError) -> bool {
    match error {
        HolderError::Lied(_) => true,
        HolderError::Call(error) => error
            .failure()
            .is_some_and(|failure| failure.reason == Reason::DocumentChanged),
        HolderError::Slow | HolderError::Banned | HolderError::Narrow(_) | HolderError::Short { .. } => false,
    }
}

/// Whether an error counts against a holder in every download from now on: it sent what no honest holder sends.
#[must_use]
pub fn earns_strike(error: &HolderError) -> bool {
    matches!(error, HolderError::Lied(_))
}

/// Whether a holder failed only because it was away, and may be back a moment later.
#[must_use]
pub fn may_come_back(error: &HolderError) -> bool {
    let HolderError::Call(error) = error else {
        return false;
    };
    match error {
        CallError::Unreachable { .. } | CallError::TimedOut { .. } => true,
        CallError::Refused(failure) => failure.reason == Reason::ShuttingDown,
        CallError::Violation(_) => false,
    }
}

/// Whether an error means that a holder could not be asked at all.
fn is_absence(error: &HolderError) -> bool {
    matches!(
        error,
        HolderError::Narrow(_)
            | HolderError::Banned
            | HolderError::Call(CallError::Unreachable { .. } | CallError::TimedOut { .. })
    )
}

/// What is wanted, and where to put it.
pub struct FetchJob<'a> {
    /// The document, with the holders to try in this order.
    pub entry: &'a DocumentEntry,
    /// The folder to write to.
    pub target: &'a Target,
    /// Replaces a file of other bytes.
    pub replace: bool,
    /// The registry's address, which tells how far a holder's address must reach.
    pub registry: std::net::IpAddr,
    /// What is known of holders that lied.
    pub memory: &'a Memory,
    /// Told of each piece that arrives.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl std::fmt::Debug for FetchJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchJob")
            .field("document", &self.entry.document.id)
            .finish_non_exhaustive()
    }
}

/// Downloads a document from the first holder that delivers it.
///
/// # Errors
///
/// [`FetchError`] when none does, or when the target fails.
pub async fn fetch(dialer: &Dialer, job: FetchJob<'_>) -> Result<Fetched, FetchError> {
    let started = WallClock::start();
    let document = &job.entry.document;
    let target = job.target.clone();
    let (id, size_bytes) = (document.id, document.size_bytes);
    let mut sink = Sink::new(blocking(move || target.begin(id, size_bytes)).await?);
    let mut detours = Vec::new();
    let mut received_bytes = 0;
    let (banned, trusted): (Vec<&Holder>, Vec<&Holder>) = job
        .entry
        .holders
        .iter()
        .partition(|holder| job.memory.is_banned(holder));
    detours.extend(banned.into_iter().map(|holder| Detour::of(holder, HolderError::Banned)));
    let mut holders = Candidates::new(trusted);
    let mut blame = Blame::default();
    while let Some(holder) = holders.next().await {
        let before = sink.written();
        let has_others = holders.has_others();
        match receive(dialer, holder, has_others, &job, &mut sink, &mut received_bytes).await {
            Ok(modified) => {
                if let Some(liar) = blame.settled(holder) {
                    job.memory.strike(liar);
                }
                let Stored { path, was_there, .. } = sink.commit(modified.or(document.modified), job.replace).await?;
                return Ok(Fetched {
                    path,
                    was_there,
                    holder: holder.clone(),
                    received_bytes,
                    duration: started.elapsed(),
                    detours,
                });
            }
            Err(Stop::Mixed) => {
                sink.restart().await?;
                blame.mixed(holder);
                holders.again(holder);
            }
            Err(Stop::Holder(error)) => {
                let has_sent = sink.written() > before;
                // Who sends something has a slot for it, whatever it says then.
                if let HolderError::Call(call) = &error
                    && !has_sent
                    && let Some(pause) = busy_for(call)
                    && holders.later(holder, pause)
                {
                    continue;
                }
                tracing::info!(holder = %holder.name, address = %holder.address, document = %id.key, %error, "holder failed");
                if earns_strike(&error) {
                    job.memory.strike(holder);
                }
                if has_sent && is_lie(&error) {
                    sink.restart().await?;
                    blame.dropped();
                } else if has_sent {
                    blame.sent(holder);
                }
                detours.push(Detour::of(holder, error));
            }
            Err(Stop::Store(error)) => return Err(error.into()),
        }
    }
    Err(FetchError::Holders(detours))
}

/// How long things really take, which paused test clocks must not change.
struct WallClock(WallInstant);

impl WallClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "a duration shown to people, on which nothing waits"
    )]
    fn start() -> Self {
        Self(WallInstant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Why receiving from one holder ended.
enum Stop {
    /// What several holders sent together is wrong.
    Mixed,
    Holder(HolderError),
    Store(StoreError),
}

impl<E: Into<HolderError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Holder(error.into())
    }
}

fn lied(what: impl Into<String>) -> Stop {
    Stop::Holder(HolderError::Lied(what.into()))
}

/// A holder that was asked from `offset` on has ended well, with too little.
fn short(sink: &Sink, offset: u64, size_bytes: u64) -> Stop {
    Stop::Holder(HolderError::Short {
        sent_bytes: sink.written() - offset,
        asked_bytes: size_bytes - offset,
    })
}

/// Receives what is missing from one holder, and checks it; it may be slow where there are no others. Returns when the holder says the file was modified.
async fn receive(
    dialer: &Dialer,
    holder: &Holder,
    has_others: bool,
    job: &FetchJob<'_>,
    sink: &mut Sink,
    received_bytes: &mut u64,
) -> Result<Option<p2p_ci::document::UnixSeconds>, Stop> {
    let document = &job.entry.document;
    if !address::reaches(job.registry, holder.address.ip()) {
        return Err(Stop::Holder(HolderError::Narrow(holder.address.ip())));
    }
    let offset = sink.written();
    let deadline = Instant::now() + allowance(document.size_bytes);
    let client = FileTransferClient::connect(dialer, holder.address, limits::MAX_WINDOW_BYTES).await?;
    let query = DownloadQuery {
        key: document.id.key,
        sha256: Some(document.id.sha256),
        offset,
    };
    let mut parts = client.download(&query).await?;
    let header = match timeout_at(deadline, parts.next())
        .await
        .map_err(|_| HolderError::Slow)??
    {
        Some(DownloadPart::Header(header)) => header,
        Some(DownloadPart::Chunk(_)) => return Err(lied("bytes before it said of what")),
        None => return Err(short(sink, offset, document.size_bytes)),
    };
    if header.id != document.id || header.size_bytes != document.size_bytes {
        return Err(lied("another document than the one that was asked for"));
    }
    let received = client.received();
    let mut floor = Floor::new(move || received.bytes(), has_others, deadline);
    while let Some(part) = floor.keep(parts.next()).await.ok_or(HolderError::Slow)?? {
        let DownloadPart::Chunk(chunk) = part else {
            return Err(lied("two headers"));
        };
        *received_bytes += chunk.len() as u64;
        if sink.written() + chunk.len() as u64 > document.size_bytes {
            return Err(lied(format!(
                "more than the {} bytes that it announced",
                document.size_bytes
            )));
        }
        (job.progress)(chunk.len() as u64);
        sink.write(chunk).await.map_err(Stop::Store)?;
    }
    if sink.written() < document.size_bytes {
        return Err(short(sink, offset, document.size_bytes));
    }
    match sink.digest().await.map_err(Stop::Store)? {
        digest if digest == document.id.sha256 => Ok(header.modified),
        // Who sent the wrong ones of bytes from several holders is not known.
        _ if offset > 0 => Err(Stop::Mixed),
        digest => Err(lied(format!(
            "bytes with the SHA-256 {} instead of {}",
            digest.fmt_short(),
            document.id.sha256.fmt_short()
        ))),
    }
}

/// How long a holder may take for a document of this size.
#[must_use]
pub fn allowance(size_bytes: u64) -> Duration {
    limits::DOWNLOAD_BASE + Duration::from_secs(size_bytes / limits::SLOWEST_BYTES_PER_SECOND)
}
