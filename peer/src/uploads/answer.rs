//! The way of an upload's pieces into the network.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use p2p_ci::{failure::Failure, message::DownloadPart, quota::Place};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Slot, cap::Seat, leaving};
use crate::limits;

/// Why an upload ends before all is sent.
pub(crate) enum Ended {
    /// The downloader is gone.
    Gone,
    /// This peer's grace is over.
    Cut,
}

/// Makes a message of one kind of stream out of a piece of a document.
pub(crate) type Encode<M> = Box<dyn Fn(Result<DownloadPart, Failure>) -> Result<M, Status> + Send + Sync>;

/// Both ends of one answer: what an upload writes to, and what the network reads from and which holds the `slot`.
pub(crate) fn answer<M>(slot: Slot, ending: CancellationToken) -> (Sender<M>, Answer<M>) {
    let (sender, receiver) = mpsc::channel(limits::UPLOAD_QUEUE_BATCHES);
    let (last_word, end) = oneshot::channel();
    let Slot { place, seat } = slot;
    let sender = Sender {
        batches: sender,
        seat: seat.map(AsyncMutex::new),
        ending,
        last_word,
    };
    let answer = Answer {
        batch: VecDeque::new(),
        batches: receiver,
        end: Some(end),
        _slot: place,
    };
    (sender, answer)
}

/// The writing end.
pub(crate) struct Sender<M> {
    batches: mpsc::Sender<VecDeque<Result<M, Status>>>,
    /// Where uploads are capped: waited for by one piece at a time.
    seat: Option<AsyncMutex<Seat>>,
    ending: CancellationToken,
    /// Passes by the messages that the downloader has not taken.
    last_word: oneshot::Sender<Status>,
}

impl<M> Sender<M> {
    /// Waits until there is room for a message, and puts it there.
    pub(crate) async fn send(&self, message: Result<M, Status>) -> Result<(), Ended> {
        self.send_all(VecDeque::from([message])).await
    }

    /// The same, for several messages at once.
    pub(crate) async fn send_all(&self, messages: VecDeque<Result<M, Status>>) -> Result<(), Ended> {
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(Ended::Cut),
            sent = self.batches.send(messages) => sent.map_err(|_| Ended::Gone),
        }
    }

    /// Whether messages should come one by one, each in its turn.
    pub(crate) fn takes_turns(&self) -> bool {
        self.seat.is_some()
    }

    /// Waits until there is room for messages with `bytes` of a document and, where uploads are capped, for their turn; and
    /// puts them there. Whoever takes nothing waits for no turn, and leaves them to others.
    pub(crate) async fn send_in_turn(&self, bytes: u64, messages: VecDeque<Result<M, Status>>) -> Result<(), Ended> {
        let Some(seat) = &self.seat else {
            return self.send_all(messages).await;
        };
        let in_turn = async {
            let room = self.batches.reserve().await.map_err(|_| Ended::Gone)?;
            tokio::select! {
                () = self.batches.closed() => return Err(Ended::Gone),
                () = async { seat.lock().await.turn(bytes).await } => {}
            }
            room.send(messages);
            Ok(())
        };
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(Ended::Cut),
            sent = in_turn => sent,
        }
    }

    /// Ends the answer. One that was cut off says so at once: what is short must not look whole.
    pub(crate) fn end(self, ended: &Result<u64, Ended>) {
        if matches!(ended, Err(Ended::Cut)) {
            // A downloader that is gone has nobody to tell.
            let _ = self.last_word.send(leaving().into());
        }
    }
}

/// Turns the pieces of one document into messages.
pub(crate) struct Downloader<'a, M> {
    pub(crate) sender: &'a Sender<M>,
    pub(crate) encode: Encode<M>,
}

impl<M> Downloader<'_, M> {
    pub(crate) async fn send(&self, part: Result<DownloadPart, Failure>) -> Result<(), Ended> {
        let bytes = match &part {
            Ok(DownloadPart::Chunk(chunk)) => chunk.len() as u64,
            Ok(DownloadPart::Header(_)) | Err(_) => 0,
        };
        self.sender
            .send_in_turn(bytes, VecDeque::from([(self.encode)(part)]))
            .await
    }
}

/// The reading end, as the network takes it. It keeps the upload's slot until the network has done with it.
pub(crate) struct Answer<M> {
    /// Messages that can be taken at once.
    batch: VecDeque<Result<M, Status>>,
    batches: mpsc::Receiver<VecDeque<Result<M, Status>>>,
    end: Option<oneshot::Receiver<Status>>,
    _slot: Place,
}

impl<M> Unpin for Answer<M> {}

impl<M> Stream for Answer<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(end) = &mut self.end
            && let Poll::Ready(last_word) = Pin::new(end).poll(cx)
        {
            self.end = None;
            if let Ok(status) = last_word {
                self.batch.clear();
                self.batches.close();
                while self.batches.try_recv().is_ok() {}
                return Poll::Ready(Some(Err(status)));
            }
        }
        loop {
            if let Some(message) = self.batch.pop_front() {
                return Poll::Ready(Some(message));
            }
            match std::task::ready!(self.batches.poll_recv(cx)) {
                Some(batch) => self.batch = batch,
                None => return Poll::Ready(None),
            }
        }
    }
}
