//! The FileTransfer service: gRPC in front of [`uploads`](crate::uploads).

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use p2p_ci::{
    failure::{Failure, Reason},
    framed::{self, Framing, Unencoded},
    limits as shared_limits,
    line::Line,
    message::{DownloadQuery, ManyBody, ManyPart},
    pb::{
        self,
        file_transfer_server::{FileTransfer, FileTransferServer},
    },
    serving::of_undecoded,
    wire::{file_transfer::decode_many_request, many::encode_many_parts},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use crate::{
    limits::IDLE_DOWNLOADS,
    uploads::{Batch, Bulk, Downloader, Ended, Sender, Uploads, answer, leaving, report},
};

/// The gRPC service for these uploads.
#[must_use]
pub fn service(uploads: &Uploads) -> Framing<FileTransferServer<impl FileTransfer + use<>>> {
    let service = FileTransferServer::new(Service(uploads.clone()))
        .max_decoding_message_size(shared_limits::MAX_TRANSFER_REQUEST_BYTES)
        .max_encoding_message_size(shared_limits::MAX_TRANSFER_MESSAGE_BYTES);
    Framing::new(service)
}

/// The generated trait's implementation.
struct Service(Uploads);

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Where a request comes from.
pub(crate) fn source_of<T>(request: &Request<T>) -> Result<SocketAddr, Failure> {
    let line = request.extensions().get::<Line>();
    line.map(Line::source)
        .ok_or_else(|| Failure::new(Reason::Internal, "the source of this connection is not known"))
}

#[tonic::async_trait]
impl FileTransfer for Service {
    type DownloadStream = Answers<pb::DownloadResponse>;
    type DownloadManyStream = Unencoded<pb::DownloadManyResponse>;

    async fn download(&self, request: Request<pb::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        let source = source_of(&request)?;
        let query = DownloadQuery::try_from(request.into_inner())?;
        let uploads = self.0.clone();
        let (sender, answer) = answer(uploads.take_slot(source.ip())?, uploads.ending.clone());
        let span = tracing::debug_span!("upload", to = %source, document = %query.key, offset = query.offset);
        self.0.tasks.spawn(
            async move {
                let downloader = Downloader {
                    sender: &sender,
                    encode: Box::new(|part| part.map(pb::DownloadResponse::from).map_err(Status::from)),
                };
                let ended = uploads.upload(query, &downloader).await;
                drop(downloader);
                sender.end(&ended);
                report(ended);
            }
            .instrument(span),
        );
        Ok(Response::new(Box::pin(answer)))
    }

    async fn download_many(
        &self,
        request: Request<Streaming<pb::DownloadManyRequest>>,
    ) -> Result<Response<Self::DownloadManyStream>, Status> {
        let source = source_of(&request)?;
        let uploads = self.0.clone();
        let (sender, answer) = answer(uploads.take_slot(source.ip())?, uploads.ending.clone());
        let span = tracing::debug_span!("uploads", to = %source);
        let many = Many {
            uploads,
            unanswered: AtomicUsize::new(0),
            is_sending: AtomicBool::new(false),
            sender,
        };
        let requests = request.into_inner();
        self.0.tasks.spawn(
            async move {
                let ended = many.serve(requests).await;
                many.sender.end(&ended);
                report(ended);
            }
            .instrument(span),
        );
        Ok(framed::respond(answer))
    }
}

/// One stream of downloads.
struct Many {
    uploads: Uploads,
    /// Requests that were read and not yet answered.
    unanswered: AtomicUsize,
    /// Whether answers wait to be taken, which may take long where the link is slow or uploads are capped.
    is_sending: AtomicBool,
    sender: Sender<Bytes>,
}

impl Many {
    /// Answers requests in order until the client half-closes. Requests are read ahead so that too many are noticed.
    async fn serve(&self, requests: Streaming<pb::DownloadManyRequest>) -> Result<u64, Ended> {
        let (queue, mut queued) = mpsc::channel(shared_limits::MAX_OUTSTANDING_DOWNLOADS);
        let failure = {
            let answer = self.answer(&mut queued);
            tokio::pin!(answer);
            tokio::select! {
                ended = &mut answer => return ended,
                read = self.read_ahead(requests, queue) => match read {
                    Ok(()) => return answer.await,
                    Err(failure) => failure,
                },
            }
        };
        // Only now that nothing is being answered: it may have had the place that this takes, or the turn of all others.
        self.sender.send(Err(failure.into())).await.map(|()| 0)
    }

    /// Answers what is queued, until nothing more will be. Reads a batch while the one before is on its way.
    async fn answer(&self, queued: &mut mpsc::Receiver<pb::DownloadManyRequest>) -> Result<u64, Ended> {
        let mut bulk = self.uploads.bulk();
        let mut ready = Batch::default();
        let mut sent_bytes = 0;
        loop {
            if bulk.is_idle() && ready.parts.is_empty() {
                match queued.recv().await {
                    Some(request) => self.take(&request, &mut bulk),
                    None => return Ok(sent_bytes),
                }
            }
            while let Ok(request) = queued.try_recv() {
                self.take(&request, &mut bulk);
            }
            let Batch { parts, answered } = ready;
            sent_bytes += parts.iter().map(bytes_of).sum::<u64>();
            // Before they are sent: whoever has an answer may ask again at once.
            self.unanswered.fetch_sub(answered, Ordering::Relaxed);
            let (read, sent) = tokio::join!(self.read(bulk), self.send(parts));
            sent?;
            match read {
                Ok(next) => (bulk, ready) = next,
                Err(failure) => return self.sender.send(Err(failure.into())).await.map(|()| sent_bytes),
            }
        }
    }

    async fn read(&self, bulk: Bulk) -> Result<(Bulk, Batch), Failure> {
        if bulk.is_idle() {
            return Ok((bulk, Batch::default()));
        }
        self.uploads.read_batch(bulk).await
    }

    fn take(&self, request: &pb::DownloadManyRequest, bulk: &mut Bulk) {
        let (request_id, query) = decode_many_request(request);
        let query = match query {
            _ if self.uploads.closing.is_cancelled() => Err(leaving()),
            Ok(query) => {
                tracing::debug!(document = %query.document.key, "asked for");
                Ok(query)
            }
            Err(error) => Err(error.into()),
        };
        bulk.ask(request_id, query);
    }

    async fn send(&self, parts: Vec<ManyPart>) -> Result<(), Ended> {
        if parts.is_empty() {
            return Ok(());
        }
        self.is_sending.store(true, Ordering::Relaxed);
        if self.sender.takes_turns() {
            for part in parts {
                let bytes = bytes_of(&part);
                self.sender.send_in_turn(bytes, pieces_of([part])).await?;
            }
        } else {
            self.sender.send_all(pieces_of(parts)).await?;
        }
        self.is_sending.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether there is something to answer, or to send of an answer.
    fn is_busy(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0 || self.is_sending.load(Ordering::Relaxed)
    }

    /// Queues requests until the client half-closes.
    async fn read_ahead(
        &self,
        mut requests: Streaming<pb::DownloadManyRequest>,
        queue: mpsc::Sender<pb::DownloadManyRequest>,
    ) -> Result<(), Failure> {
        loop {
            let request = tokio::select! {
                request = timeout(IDLE_DOWNLOADS, requests.next()) => request,
                failure = self.closing_and_idle() => return Err(failure),
            };
            let request = match request {
                Ok(Some(Ok(request))) => request,
                Ok(Some(Err(status))) => return Err(of_broken_request(&status)),
                Ok(None) => return Ok(()),
                // A slow downloader is still busy with what it asked for.
                Err(_) if self.is_busy() => continue,
                Err(_) => {
                    let message = format!(
                        "no request for {} s; open a new stream when there is one",
                        IDLE_DOWNLOADS.as_secs()
                    );
                    return Err(Failure::new(Reason::TooSlow, message));
                }
            };
            let unanswered = self.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
            if unanswered > shared_limits::MAX_OUTSTANDING_DOWNLOADS || queue.try_send(request).is_err() {
                let message = format!(
                    "more than {} requests are unanswered",
                    shared_limits::MAX_OUTSTANDING_DOWNLOADS
                );
                return Err(Failure::new(Reason::LimitExceeded, message));
            }
        }
    }

    /// Waits until this peer is to end and nothing is left to answer.
    async fn closing_and_idle(&self) -> Failure {
        /// How soon a stream ends after its last answer.
        const LOOK: Duration = Duration::from_millis(100);
        self.uploads.closing.cancelled().await;
        while self.is_busy() {
            tokio::time::sleep(LOOK).await;
        }
        leaving()
    }
}

/// Parts of answers as they go into the stream.
fn pieces_of(parts: impl IntoIterator<Item = ManyPart>) -> VecDeque<Result<Bytes, Status>> {
    encode_many_parts(parts).into_iter().map(Ok).collect()
}

/// Bytes of a document in a part of an answer, as they are sent.
fn bytes_of(part: &ManyPart) -> u64 {
    match &part.part {
        Ok(ManyBody::Chunk(chunk) | ManyBody::ZstdChunk(chunk)) => chunk.len() as u64,
        Ok(ManyBody::Header(_)) | Err(_) => 0,
    }
}

/// Why a request of a stream could not be read.
fn of_broken_request(status: &Status) -> Failure {
    of_undecoded(status).unwrap_or_else(|| {
        Failure::new(
            Reason::InvalidRequest,
            format!("the request cannot be read: {}", status.message()),
        )
    })
}
