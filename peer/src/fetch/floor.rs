//! How slow a download may be.

use tokio::time::{Instant, timeout_at};

use crate::limits;

/// The least speed of a download: what does not keep it is better fetched elsewhere, where that is possible. From the only
/// holder there is it may come as slowly as it likes until the deadline: many downloads may share a slow link.
pub(super) struct Floor<R> {
    /// Tells how many bytes the connection has received.
    received_bytes: R,
    /// What had been received when the span began that is measured now.
    before_bytes: u64,
    span_ends: Instant,
    /// Whether somebody else could be asked.
    has_others: bool,
    /// When all of it must be here.
    deadline: Instant,
}

impl<R: Fn() -> u64> Floor<R> {
    pub(super) fn new(received_bytes: R, has_others: bool, deadline: Instant) -> Self {
        Self {
            before_bytes: received_bytes(),
            received_bytes,
            span_ends: Instant::now() + limits::SPEED_SPAN,
            has_others,
            deadline,
        }
    }

    /// Waits for the next part; `None` once the connection is too slow. Bytes of a part that is still on its way count.
    pub(super) async fn keep<T>(&mut self, part: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(part);
        loop {
            match timeout_at(self.span_ends.min(self.deadline), &mut part).await {
                Ok(part) => return Some(part),
                Err(_) if Instant::now() >= self.deadline => return None,
                Err(_) => {}
            }
            let received_bytes = (self.received_bytes)();
            let least_bytes = limits::SLOWEST_BYTES_PER_SECOND * limits::SPEED_SPAN.as_secs();
            if self.has_others && received_bytes - self.before_bytes < least_bytes {
                return None;
            }
            self.before_bytes = received_bytes;
            self.span_ends = Instant::now() + limits::SPEED_SPAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::*;

    /// For how long a connection that carries half of the least is kept.
    async fn kept(has_others: bool, at_most: Duration) -> Duration {
        let received_bytes = Cell::new(0);
        let began = Instant::now();
        let mut floor = Floor::new(|| received_bytes.get(), has_others, began + at_most);
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                received_bytes.set(received_bytes.get() + limits::SLOWEST_BYTES_PER_SECOND / 2);
            }
        };
        let never: Option<std::convert::Infallible> = floor.keep(trickle).await;
        assert!(never.is_none());
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_is_left_where_there_are_others_and_borne_to_the_deadline_where_not() {
        let at_most = 10 * limits::SPEED_SPAN;
        assert_eq!(kept(true, at_most).await, limits::SPEED_SPAN);
        assert_eq!(kept(false, at_most).await, at_most);
    }
}
