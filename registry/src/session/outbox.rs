//! What a session says to its peer: a bounded queue of replies, and then why it ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use p2p_ci::message::RegistryReply;
use tokio::sync::{
    mpsc::{
        self,
        error::{SendTimeoutError, TrySendError},
    },
    oneshot,
};

use crate::{
    error::{InboundError, RegistryError, StreamEnd},
    limits::{OUTBOX_DEPTH, OUTBOX_PATIENCE},
};

/// A reply with the id of the request that it answers, 0 for none.
pub type Reply = (u64, RegistryReply);

/// The session's end of the queue.
#[derive(Debug)]
pub struct Outbox {
    // Boxed, because an idle queue keeps room for 32 items.
    queue: mpsc::Sender<Box<Reply>>,
    end: oneshot::Sender<Result<(), RegistryError>>,
}

/// The peer's end: the replies in order, then nothing, or one error.
#[derive(Debug)]
pub struct Replies {
    queue: mpsc::Receiver<Box<Reply>>,
    end: Option<oneshot::Receiver<Result<(), RegistryError>>>,
}

/// A queue for one session.
#[must_use]
pub fn outbox() -> (Outbox, Replies) {
    let (queue_in, queue_out) = mpsc::channel(OUTBOX_DEPTH);
    let (end_in, end_out) = oneshot::channel();
    let outbox = Outbox {
        queue: queue_in,
        end: end_in,
    };
    let replies = Replies {
        queue: queue_out,
        end: Some(end_out),
    };
    (outbox, replies)
}

impl Outbox {
    /// Queues a reply, if there is room; gives it back if not. Where nobody reads any more, it is gone:
    /// [`closed`](Self::closed) tells.
    pub fn try_send(&self, request_id: u64, reply: RegistryReply) -> Option<RegistryReply> {
        match self.queue.try_send(Box::new((request_id, reply))) {
            Ok(()) | Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(item)) => Some(item.1),
        }
    }

    /// Queues a reply; waits while the queue is full, which makes only this session's peer wait.
    ///
    /// # Errors
    ///
    /// [`StreamEnd::TooSlow`] when the peer reads nothing for [`OUTBOX_PATIENCE`], [`InboundError::ConnectionLost`]
    /// when it is gone.
    pub async fn send(&self, request_id: u64, reply: RegistryReply) -> Result<(), RegistryError> {
        self.send_within(OUTBOX_PATIENCE, request_id, reply).await
    }

    /// The same, for as long as `patience`.
    ///
    /// # Errors
    ///
    /// As [`Outbox::send`].
    pub async fn send_within(
        &self,
        patience: Duration,
        request_id: u64,
        reply: RegistryReply,
    ) -> Result<(), RegistryError> {
        match self.queue.send_timeout(Box::new((request_id, reply)), patience).await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Timeout(_)) => Err(StreamEnd::TooSlow.into()),
            Err(SendTimeoutError::Closed(_)) => Err(InboundError::ConnectionLost.into()),
        }
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Ends the stream, after what is queued, in good order or with an error.
    pub fn finish(self, result: Result<(), RegistryError>) {
        // Nobody listens when the peer is gone; then there is nobody to tell.
        let _ = self.end.send(result);
    }
}

impl Stream for Replies {
    type Item = Result<Reply, RegistryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(reply) = ready!(self.queue.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(*reply)));
        }
        let Some(end) = &mut self.end else {
            return Poll::Ready(None);
        };
        let result = ready!(Pin::new(end).poll(cx));
        self.end = None;
        // A session that did not say how it ended has panicked, or its task was dropped.
        let result = result.unwrap_or(Err(StreamEnd::Internal("the session failed").into()));
        Poll::Ready(result.err().map(Err))
    }
}
