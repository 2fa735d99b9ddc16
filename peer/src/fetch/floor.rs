//! How slow a download may be.

use p2p_ci::transport::Received;
use tokio::time::{Instant, timeout_at};

use crate::limits;

/// The least speed of a download: what does not keep it is better fetched elsewhere.
pub(super) struct Floor {
    received: Received,
    /// What had been received when the span began that is measured now.
    before_bytes: u64,
    span_ends: Instant,
    /// When all of it must be here.
    deadline: Instant,
}

impl Floor {
    pub(super) fn new(received: Received, deadline: Instant) -> Self {
        Self {
            before_bytes: received.bytes(),
            received,
            span_ends: Instant::now() + limits::SPEED_SPAN,
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
            let received_bytes = self.received.bytes();
            if received_bytes - self.before_bytes < limits::SLOWEST_BYTES_PER_SECOND * limits::SPEED_SPAN.as_secs() {
                return None;
            }
            self.before_bytes = received_bytes;
            self.span_ends = Instant::now() + limits::SPEED_SPAN;
        }
    }
}
