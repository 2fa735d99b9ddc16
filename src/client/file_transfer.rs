//! The client of FileTransfer.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

pub use super::many::ManyAnswers;
use super::{Answers, CallError, many, within};
use crate::{
    limits,
    message::{DownloadPart, DownloadQuery, ManyQuery},
    pb,
    transport::{Dialer, Received, Traffic, connect},
    wire::file_transfer::encode_many_request,
};

/// A connection to one holder.
#[derive(Debug, Clone)]
pub struct FileTransferClient {
    inner: pb::file_transfer_client::FileTransferClient<Channel>,
    channel: Channel,
    address: SocketAddr,
    received: Received,
}

impl FileTransferClient {
    /// Connects to the holder at `address`; `window_bytes` bounds what it may send ahead of what is read.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] or [`CallError::TimedOut`].
    pub async fn connect(dialer: &Dialer, address: SocketAddr, window_bytes: u32) -> Result<Self, CallError> {
        let (channel, received) = connect(dialer, address, Traffic::Bulk { window_bytes }).await?;
        let inner = pb::file_transfer_client::FileTransferClient::new(channel.clone())
            .max_decoding_message_size(limits::MAX_TRANSFER_MESSAGE_BYTES)
            .max_encoding_message_size(limits::MAX_TRANSFER_REQUEST_BYTES);
        Ok(Self {
            inner,
            channel,
            address,
            received,
        })
    }

    /// How many bytes have come over this connection, now and from now on.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received.clone()
    }

    /// Starts a download: a header, then chunks.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn download(
        &self,
        query: &DownloadQuery,
    ) -> Result<Answers<pb::DownloadResponse, DownloadPart>, CallError> {
        let mut client = self.inner.clone();
        let call = client.download(pb::DownloadRequest::from(query));
        let response = within("the download", call)
            .await
            .map_err(|error| error.at(&self.address))?;
        Ok(Answers::new(
            response.into_inner(),
            Some(limits::HOLDER_SILENCE),
            self.received.clone(),
        ))
    }

    /// Starts a stream of downloads with its first request, for which some servers wait before they answer at all. The
    /// sender takes at most [`limits::MAX_OUTSTANDING_DOWNLOADS`] requests ahead of
    /// the network; how many are unanswered is the caller's to count. Dropping it ends the stream after the last answer.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn download_many(
        &self,
        first_id: u64,
        first: &ManyQuery,
    ) -> Result<(ManySender, ManyAnswers), CallError> {
        let (sender, receiver) = mpsc::channel(limits::MAX_OUTSTANDING_DOWNLOADS);
        let sender = ManySender { requests: sender };
        sender.ask(first_id, first).await?;
        let call = many::call(self.channel.clone(), ReceiverStream::new(receiver));
        let body = within("the downloads", call)
            .await
            .map_err(|error| error.at(&self.address))?;
        Ok((sender, ManyAnswers::new(body, self.received.clone())))
    }
}

/// The asking half of a stream of downloads.
#[derive(Debug)]
pub struct ManySender {
    requests: mpsc::Sender<pb::DownloadManyRequest>,
}

impl ManySender {
    /// Asks for one more document.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] when the stream has ended; its answers tell why. [`CallError::TimedOut`] when the
    /// holder takes nothing for [`limits::HOLDER_SILENCE`].
    pub async fn ask(&self, request_id: u64, query: &ManyQuery) -> Result<(), CallError> {
        tokio::time::timeout(
            limits::HOLDER_SILENCE,
            self.requests.send(encode_many_request(request_id, query)),
        )
        .await
        .map_err(|_| CallError::TimedOut {
            what: "asking the holder".to_owned(),
        })?
        .map_err(|_| CallError::Unreachable {
            address: "the holder".to_owned(),
            detail: "the stream has ended".to_owned(),
        })
    }
}
