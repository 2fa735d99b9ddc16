//! Uploads: documents of the library on their way to other peers, whatever carries them.
//!
//! A slot is held until the network has taken the last byte, since limits on requests end with the head of a response.
//! Bytes are read off the async threads. A downloader that takes nothing loses its connection, see
//! [`p2p_ci::line`].

mod answer;
mod bulk;
mod cap;
mod rate;
mod slots;

use std::{net::IpAddr, time::Duration};

use p2p_ci::{
    failure::{Failure, Reason},
    limits::CHUNK_BYTES,
    message::{DownloadPart, DownloadQuery},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::rate::{RateError, UploadRate};
pub(crate) use self::{
    answer::{Downloader, Ended, Sender, answer},
    bulk::{Batch, Bulk},
    slots::Slot,
};
use self::{bulk::pieces, cap::Cap, slots::Slots};
use crate::{
    library::{DocumentReader, Library, LibraryError},
    packing::Packers,
};

/// What uploads share: the library, the slots, and the wish to end.
#[derive(Debug, Clone)]
pub struct Uploads {
    library: Library,
    slots: Slots,
    cap: Option<Cap>,
    packers: Packers,
    /// Bytes of a document that are sent in one turn.
    piece_bytes: usize,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
    pub(crate) ending: CancellationToken,
}

impl Uploads {
    /// Serves `library` to at most `max` downloaders at a time, at no more than `rate` in all: to as many of them as can
    /// have a share of it that none gives up on.
    #[must_use]
    pub fn new(library: Library, max: usize, rate: Option<UploadRate>) -> Self {
        let max = rate.map_or(max, |rate| rate.slots(max));
        let piece_bytes = rate.map_or(CHUNK_BYTES, |rate| rate.piece_bytes(max));
        if let Some(rate) = rate {
            tracing::info!(%rate, at_a_time = max, piece_bytes, "uploads are capped");
        }
        Self {
            library,
            slots: Slots::new(max),
            cap: rate.map(|rate| Cap::new(rate, rate.burst_bytes(piece_bytes))),
            packers: Packers::default(),
            piece_bytes,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            ending: CancellationToken::new(),
        }
    }

    /// How many uploads there are now.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.slots.taken()
    }

    /// Takes no more requests, and waits at most `grace` for the running uploads, which are cut off then.
    pub async fn drain(&self, grace: Duration) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(uploads = self.count(), "uploads did not end in time; cutting them off");
            self.ending.cancel();
        }
    }

    /// Takes a slot for a downloader at `source`.
    ///
    /// # Errors
    ///
    /// When this peer is about to leave, or when all slots, or all for one source, are taken.
    pub(crate) fn take_slot(&self, source: IpAddr) -> Result<Slot, Failure> {
        if self.closing.is_cancelled() {
            return Err(leaving());
        }
        let place = self.slots.take(source)?;
        let seat = self.cap.as_ref().map(|cap| cap.seat(source));
        Ok(Slot { place, seat })
    }

    /// Opens a document as it was asked for.
    async fn open(&self, query: DownloadQuery) -> Result<Upload, Failure> {
        let library = self.library.clone();
        let reader = blocking(move || bulk::open(&library, query)).await??;
        Ok(Upload { reader: Some(reader) })
    }

    /// Downloads for one downloader that asks for many documents.
    pub(crate) fn bulk(&self) -> Bulk {
        Bulk::new(self.library.clone(), self.packers.clone(), self.piece_bytes)
    }

    /// Reads the next batch of what a downloader asked for.
    pub(crate) async fn read_batch(&self, mut bulk: Bulk) -> Result<(Bulk, Batch), Failure> {
        blocking(move || {
            let batch = bulk.read();
            (bulk, batch)
        })
        .await
    }

    /// Sends one document's header and chunks to `downloader`; returns how many bytes that were.
    pub(crate) async fn upload<M: Send + 'static>(
        &self,
        query: DownloadQuery,
        downloader: &Downloader<'_, M>,
    ) -> Result<u64, Ended> {
        let mut upload = match self.open(query).await {
            Ok(upload) => upload,
            Err(failure) => return downloader.send(Err(failure)).await.map(|()| 0),
        };
        if let Some(header) = upload.header() {
            downloader.send(Ok(header)).await?;
        }
        let mut sent_bytes = 0;
        loop {
            let chunk = match upload.next().await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(sent_bytes),
                Ok(Err(error)) => return downloader.send(Err(failed(&error))).await.map(|()| sent_bytes),
                Err(failure) => return downloader.send(Err(failure)).await.map(|()| sent_bytes),
            };
            for piece in pieces(chunk, self.piece_bytes) {
                sent_bytes += piece.len() as u64;
                downloader.send(Ok(DownloadPart::Chunk(piece))).await?;
            }
        }
    }
}

/// Turns an error of the library into an answer. The library looks at such a file again by itself.
fn failed(error: &LibraryError) -> Failure {
    let failure = failure_of(error);
    if failure.reason != Reason::OffsetOutOfRange && failure.reason != Reason::DocumentNotFound {
        tracing::warn!(%error, "a shared file cannot be served");
    }
    failure
}

fn failure_of(error: &LibraryError) -> Failure {
    match error {
        LibraryError::NotFound(_) => Failure::new(Reason::DocumentNotFound, error.to_string()),
        LibraryError::OffsetOutOfRange { .. } => {
            Failure::new(Reason::OffsetOutOfRange, error.to_string()).with_field("offset")
        }
        LibraryError::Changed(_) => Failure::new(Reason::DocumentChanged, error.to_string()),
        // Its bytes may be what they were; they cannot be had here now.
        LibraryError::Read { .. } => Failure::new(Reason::Internal, error.to_string()),
        // Where the folder lies is nobody's business but its owner's, who finds the whole error in the log.
        LibraryError::Missing(_)
        | LibraryError::NotAFolder(_)
        | LibraryError::Unreadable { .. }
        | LibraryError::NotAdopted(_)
        | LibraryError::Cancelled(_)
        | LibraryError::Thread { .. } => Failure::new(
            Reason::Internal,
            "the shared folder cannot be read now; try another holder",
        ),
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    crate::blocking::run(work).await.map_err(|error| {
        tracing::error!(%error, "reading a document failed unexpectedly");
        Failure::new(
            Reason::Internal,
            "this peer could not read the document; try another holder",
        )
    })
}

/// A document being read.
struct Upload {
    /// Absent only while a chunk is being read.
    reader: Option<DocumentReader>,
}

impl Upload {
    fn header(&self) -> Option<DownloadPart> {
        self.reader
            .as_ref()
            .map(|reader| DownloadPart::Header(reader.header().clone()))
    }

    async fn next(&mut self) -> Result<Result<Option<bytes::Bytes>, LibraryError>, Failure> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(Ok(None));
        };
        let (reader, chunk) = blocking(move || {
            let chunk = reader.next_chunk();
            (reader, chunk)
        })
        .await?;
        self.reader = Some(reader);
        Ok(chunk)
    }
}

/// What a request is answered that comes while this peer is about to leave.
pub(crate) fn leaving() -> Failure {
    Failure::new(Reason::ShuttingDown, "this peer is about to leave; try another holder")
}

/// Notes how an upload ended.
pub(crate) fn report(ended: Result<u64, Ended>) {
    match ended {
        Ok(sent_bytes) => tracing::debug!(sent_bytes, "upload ended"),
        Err(Ended::Gone) => tracing::debug!("downloader went away"),
        Err(Ended::Cut) => tracing::info!("upload cut off"),
    }
}
