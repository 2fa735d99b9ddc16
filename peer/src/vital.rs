//! Parts of a peer without which it is no peer: a defect that ends one of them must end the process, not leave it
//! running as a shell of itself.

use tokio::sync::broadcast;

use crate::uplink::NodeEvent;

/// Stands guard in a task or thread: when that panics, [`NodeEvent::Broken`] says so.
#[derive(Debug)]
pub struct Vital {
    part: &'static str,
    events: broadcast::Sender<NodeEvent>,
}

impl Vital {
    /// Guards `part`, named for people, until it is dropped.
    #[must_use]
    pub(crate) fn new(part: &'static str, events: broadcast::Sender<NodeEvent>) -> Self {
        Self { part, events }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Where nobody listens, nobody has a peer to end either.
            let _ = self.events.send(NodeEvent::Broken(self.part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_a_good_end_is_not() {
        let (events, mut told) = broadcast::channel(4);
        let guarded = |ends_well: bool| {
            let vital = Vital::new("the test", events.clone());
            tokio::spawn(async move {
                let _vital = vital;
                tokio::task::yield_now().await;
                assert!(ends_well, "this panic is wanted");
            })
        };
        guarded(true).await.unwrap();
        assert!(told.try_recv().is_err());
        guarded(false).await.unwrap_err();
        assert!(matches!(told.try_recv(), Ok(NodeEvent::Broken("the test"))));
    }
}
