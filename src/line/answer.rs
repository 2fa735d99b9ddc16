//! Answers on their way: each is entered into the ledger, and takes the turns of its source.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tonic::{Status, body::Body};

use super::{Entry, Unread};
use crate::turns::Share;

/// One answer on its way, from the request to the last byte.
pub(crate) struct Answer {
    entry: Arc<Entry>,
    number: u64,
    unread_bytes: usize,
    share: Option<Share>,
    polls: usize,
    is_long: bool,
    /// Of a long one.
    place: Option<OwnedSemaphorePermit>,
}

/// Pieces of an answer that come with the turn of its request: all of them, where it is one message and its end.
const PIECES_WITH_REQUEST: usize = 2;

impl Answer {
    /// A request for `path` has come on the connection of `entry`, where sources take turns if it has a share of them.
    pub(crate) fn begin(entry: Arc<Entry>, share: Option<Share>, path: &str) -> Self {
        let number = {
            let mut usage = entry.line.usage();
            usage.open_answers += 1;
            usage.last_answer += 1;
            usage.last_answer
        };
        Self {
            is_long: entry.allowance.long_answers.contains(&path),
            entry,
            share,
            number,
            unread_bytes: 0,
            polls: 0,
            place: None,
        }
    }

    /// Waits until the source may have the answer, before anything of the request is read; then has `response` made, and
    /// keeps account of its body.
    pub(crate) async fn with(
        mut self,
        response: impl Future<Output = Result<http::Response<Body>, Infallible>>,
    ) -> Result<http::Response<Body>, Infallible> {
        if self.is_long {
            self.place = self.entry.account.place().await;
        }
        self.turn().await;
        let response = response.await?;
        Ok(response.map(|body| {
            Body::new(Attended {
                body,
                answer: self,
                last: None,
            })
        }))
    }

    /// Waits until the source has a turn for the request.
    async fn turn(&mut self) {
        if let Some(share) = &mut self.share {
            std::future::poll_fn(|cx| share.poll_left(cx)).await;
            share.take();
        }
    }

    /// Whether the source has a turn for the next piece.
    fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<()> {
        match &mut self.share {
            Some(share) if self.polls >= PIECES_WITH_REQUEST => share.poll_left(cx),
            Some(_) | None => Poll::Ready(()),
        }
    }

    fn took_piece(&mut self) {
        if let Some(share) = &self.share
            && self.polls >= PIECES_WITH_REQUEST
        {
            share.take();
        }
        self.polls += 1;
    }

    pub(super) fn handed_over(&mut self, bytes: usize) {
        self.unread_bytes = bytes;
        self.entry.line.usage().unread.push(Unread {
            answer: self.number,
            since: Instant::now(),
            bytes,
        });
        self.entry.hold(bytes);
    }

    pub(super) fn taken(&mut self) {
        if self.unread_bytes > 0 {
            let number = self.number;
            self.entry.line.usage().unread.retain(|piece| piece.answer != number);
            self.entry.account.let_go(std::mem::take(&mut self.unread_bytes));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.taken();
        let mut usage = self.entry.line.usage();
        usage.open_answers = usage.open_answers.saturating_sub(1);
        usage.idle_since = Instant::now();
    }
}

/// The body of an answer. hyper (1.12, `proto/h2`) asks for a piece, keeps it until the stream has room for one byte, then
/// puts all of it there and asks for the next; what waits in the stream is out of sight. So the last byte of a long piece
/// is a piece of its own, for which there is room only when of those before it no more are left than may be sent ahead.
struct Attended {
    body: Body,
    answer: Answer,
    last: Option<Bytes>,
}

impl Attended {
    /// Enters a piece that is handed over, without its last byte if it is long.
    fn hand_over(&mut self, mut piece: Bytes) -> Bytes {
        if !piece.is_empty() {
            self.answer.handed_over(piece.len());
        }
        if piece.len() > self.answer.entry.allowance.sent_ahead_bytes {
            self.last = Some(piece.split_off(piece.len() - 1));
        }
        piece
    }
}

impl http_body::Body for Attended {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        self.answer.taken();
        ready!(self.answer.poll_piece(cx));
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.answer.took_piece();
        Poll::Ready(polled.map(|frame| Ok(frame?.map_data(|piece| self.hand_over(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        let held_back = self.last.as_ref().map_or(0, Bytes::len) as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(held_back));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(held_back));
        }
        hint
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.is_end_stream()
    }
}
