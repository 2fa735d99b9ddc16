//! Downloads one document: from whom, in which order, and what to do when a holder fails.
//!
//! A holder that is gone or slow costs the bytes not yet received only: the next one, which holds the *same digest*,
//! goes on at the offset. A holder whose bytes do not have that digest costs all of them.

use std::time::{Duration, Instant as WallInstant};

use p2p_ci::{
    address,
    client::{CallError, file_transfer::FileTransferClient},
    digest::Sha256,
    failure::Reason,
    message::{DocumentEntry, DownloadPart, DownloadQuery, Holder},
    transport::Dialer,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    library::{PartFile, StoreError, Target},
    limits,
};

/// What a download did, for whoever asked for it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where the document is.
    pub path: std::path::PathBuf,
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

/// Why one holder could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HolderError {
    /// It could not be asked, or said no.
    #[error("{0}")]
    Call(#[from] CallError),
    /// It sent something else than was asked for.
    #[error("it sent {0}")]
    Lied(String),
    /// It is too slow.
    #[error("it is slower than {} bytes a second", limits::SLOWEST_BYTES_PER_SECOND)]
    Slow,
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
    /// Whether every holder that answered sent wrong bytes.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Integrity { .. }),
            Self::Holders(detours) => detours.iter().any(|detour| is_lie(&detour.error)),
        }
    }
}

/// Whether an error means that wrong bytes were sent, or that the holder noticed that it would send some.
#[must_use]
pub fn is_lie(error: &HolderError) -> bool {
    match error {
        HolderError::Lied(_) => true,
        HolderError::Call(error) => error
            .failure()
            .is_some_and(|failure| failure.reason == Reason::DocumentChanged),
        HolderError::Slow | HolderError::Narrow(_) => false,
    }
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
    for holder in &job.entry.holders {
        match receive(dialer, holder, &job, &mut sink, &mut received_bytes).await {
            Ok(modified) => {
                let replace = job.replace;
                match sink.commit(modified.or(document.modified), replace).await {
                    Ok(path) => {
                        let holder = holder.clone();
                        return Ok(Fetched {
                            path,
                            holder,
                            received_bytes,
                            duration: started.elapsed(),
                            detours,
                        });
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(Stop::Holder(error)) => {
                tracing::info!(holder = %holder.name, address = %holder.address, document = %id.key, %error, "holder failed");
                if is_lie(&error) {
                    sink.restart().await?;
                }
                detours.push(Detour {
                    holder: holder.clone(),
                    error,
                });
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

/// Receives what is missing from one holder, and checks it. Returns when the holder says the file was modified.
async fn receive(
    dialer: &Dialer,
    holder: &Holder,
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
        None => return Err(lied("nothing at all")),
    };
    if header.id != document.id || header.size_bytes != document.size_bytes {
        return Err(lied("another document than the one that was asked for"));
    }
    while let Some(part) = timeout_at(deadline, parts.next())
        .await
        .map_err(|_| HolderError::Slow)??
    {
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
        return Err(lied(format!(
            "{} of {} bytes, and said that was all",
            sink.written(),
            document.size_bytes
        )));
    }
    match sink.digest().await.map_err(Stop::Store)? {
        digest if digest == document.id.sha256 => Ok(header.modified),
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

/// A file being written, with its blocking work kept off the async threads.
pub struct Sink {
    /// Absent only while blocking work has it.
    part: Option<PartFile>,
    written: u64,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Sink {
    /// Writes into `part`.
    #[must_use]
    pub fn new(part: PartFile) -> Self {
        let written = part.written();
        Self {
            part: Some(part),
            written,
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut PartFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut part = self.part.take().ok_or_else(interrupted)?;
        let (part, result) = blocking(move || {
            let result = work(&mut part);
            Ok((part, result))
        })
        .await?;
        self.part = Some(part);
        result
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be written; the temporary file is of no more use then.
    pub async fn write(&mut self, chunk: bytes::Bytes) -> Result<(), StoreError> {
        self.written += chunk.len() as u64;
        self.with(move |part| part.write(&chunk)).await
    }

    /// Forgets everything written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the temporary file cannot be emptied.
    pub async fn restart(&mut self) -> Result<(), StoreError> {
        self.written = 0;
        self.with(PartFile::restart).await
    }

    /// The digest of everything written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the temporary file is of no more use.
    pub async fn digest(&mut self) -> Result<Sha256, StoreError> {
        self.with(|part| Ok(part.digest())).await
    }

    /// Gives the file its name, once its length and digest are those of the document.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is left behind then.
    pub async fn commit(
        mut self,
        modified: Option<p2p_ci::document::UnixSeconds>,
        replace: bool,
    ) -> Result<std::path::PathBuf, StoreError> {
        let part = self.part.take().ok_or_else(interrupted)?;
        blocking(move || part.commit(modified, replace)).await
    }
}

/// Runs blocking work of the target off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(interrupted()),
    }
}

/// The process is ending: blocking work that had not begun yet is dropped.
fn interrupted() -> StoreError {
    StoreError::Io {
        action: "finish",
        path: std::path::PathBuf::from("the download"),
        source: std::io::Error::from(std::io::ErrorKind::Interrupted),
    }
}
