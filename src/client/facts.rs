//! The client of Facts.

use std::net::SocketAddr;

use tonic::transport::Channel;

use super::{Answers, CallError, within};
use crate::{
    limits,
    message::{DescribeQuery, Described},
    pb,
    transport::{Dialer, Received, Traffic, connect},
};

/// A connection to a peer that is asked what it knows.
#[derive(Debug, Clone)]
pub struct FactsClient {
    inner: pb::facts_client::FactsClient<Channel>,
    address: SocketAddr,
    received: Received,
}

impl FactsClient {
    /// Connects to the peer at `address`; `window_bytes` bounds what it may send ahead of what is read.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] or [`CallError::TimedOut`].
    pub async fn connect(dialer: &Dialer, address: SocketAddr, window_bytes: u32) -> Result<Self, CallError> {
        let (channel, received) = connect(dialer, address, Traffic::Bulk { window_bytes }).await?;
        let inner = pb::facts_client::FactsClient::new(channel)
            .max_decoding_message_size(limits::MAX_TRANSFER_MESSAGE_BYTES)
            .max_encoding_message_size(limits::MAX_TRANSFER_REQUEST_BYTES);
        Ok(Self {
            inner,
            address,
            received,
        })
    }

    /// How many bytes have come over this connection, now and from now on.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received.clone()
    }

    /// Asks what the peer knows about RFCs: first comes the version of that, then facts.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn describe(&self, query: &DescribeQuery) -> Result<Answers<pb::DescribeResponse, Described>, CallError> {
        let mut client = self.inner.clone();
        let call = client.describe(pb::DescribeRequest::from(query));
        let response = within("what it knows about RFCs", call)
            .await
            .map_err(|error| error.at(&self.address))?;
        Ok(Answers::new(
            response.into_inner(),
            Some(limits::HOLDER_SILENCE),
            self.received.clone(),
        ))
    }
}
