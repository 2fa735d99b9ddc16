//! Whose bytes a download was put together from, and who sent the wrong ones, as far as that turns out.

use p2p_ci::message::Holder;

/// Who has to do with the bytes that are here.
#[derive(Debug, Default)]
pub(super) struct Blame<'a> {
    /// Those whose bytes are here.
    senders: Vec<&'a Holder>,
    /// Those whose bytes were wrong together with the rest of another one, who is asked for all of them.
    suspects: Vec<&'a Holder>,
    witness: Option<&'a Holder>,
}

impl<'a> Blame<'a> {
    /// Bytes of `holder` are here, and it sends no more.
    pub(super) fn sent(&mut self, holder: &'a Holder) {
        self.senders.push(holder);
    }

    /// What is here was thrown away.
    pub(super) fn dropped(&mut self) {
        self.senders.clear();
    }

    /// With the rest of `holder`, what is here is wrong, and was thrown away.
    pub(super) fn mixed(&mut self, holder: &'a Holder) {
        self.suspects = std::mem::take(&mut self.senders);
        self.suspects.retain(|other| other.address != holder.address);
        self.witness = Some(holder);
    }

    /// All bytes are right, and `holder` sent all of them or the rest of them. Returns who must have sent wrong ones before:
    /// the only other one to whom the same `holder` had sent the rest.
    pub(super) fn settled(&self, holder: &Holder) -> Option<&'a Holder> {
        let is_witness = self.witness.is_some_and(|witness| witness.address == holder.address);
        match self.suspects.as_slice() {
            [only] if is_witness && self.senders.is_empty() => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p_ci::identity::SessionId;

    use super::*;

    fn holder(port: u16) -> Holder {
        Holder {
            id: SessionId::from_bytes([7; 16]),
            name: "alice".parse().unwrap(),
            address: ([127, 0, 0, 1], port).into(),
        }
    }

    #[test]
    fn whoever_sent_the_beginning_is_found_out_by_who_sends_all_of_it_rightly() {
        let [liar, honest, third] = [4001, 4002, 4003].map(holder);
        let mut blame = Blame::default();
        assert_eq!(blame.settled(&honest), None);
        blame.sent(&liar);
        blame.mixed(&honest);
        assert_eq!(blame.settled(&honest), Some(&liar));
        assert_eq!(blame.settled(&third), None, "this one was not there");

        blame.sent(&liar);
        blame.sent(&third);
        blame.mixed(&honest);
        assert_eq!(blame.settled(&honest), None, "it may have been either of two");

        blame.sent(&liar);
        blame.mixed(&honest);
        blame.sent(&third);
        assert_eq!(blame.settled(&honest), None, "the same bytes were not sent twice");

        blame.sent(&honest);
        blame.dropped();
        blame.mixed(&honest);
        assert_eq!(blame.settled(&honest), None, "nobody else has sent anything");
    }
}
