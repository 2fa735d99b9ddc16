//! Upload slots: how many downloads there are at a time, in all and for one source.

use std::net::IpAddr;

use p2p_ci::{
    failure::{Failure, Reason},
    quota::{Full, Place, Quota, QuotaLimits},
};

use super::cap::Seat;
use crate::limits::{BUSY_RETRY, MAX_UPLOADS_PER_SOURCE};

/// The slots of one peer.
#[derive(Debug, Clone)]
pub(super) struct Slots(Quota);

/// A slot, which is free again when its place is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) place: Place,
    /// Where uploads are capped.
    pub(super) seat: Option<Seat>,
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self(Quota::new(QuotaLimits {
            total: max,
            per_source: MAX_UPLOADS_PER_SOURCE,
            spare_loopback: true,
        }))
    }

    /// How many slots are taken.
    pub(super) fn taken(&self) -> u32 {
        u32::try_from(self.0.taken()).unwrap_or(u32::MAX)
    }

    /// Takes a slot for a downloader at `ip`.
    pub(super) fn take(&self, ip: IpAddr) -> Result<Place, Failure> {
        self.0.take(ip).map_err(|full| {
            let message = match full {
                Full::Total => format!(
                    "all {} upload slots of this peer are taken; try another holder",
                    self.0.limits().total
                ),
                Full::Source(source) => format!(
                    "{source} has {MAX_UPLOADS_PER_SOURCE} upload slots of this peer already, which is all for one \
                     address; end a download first, or try another holder"
                ),
            };
            Failure::new(Reason::Overloaded, message).with_retry_after(BUSY_RETRY)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_its_share() {
        let slots = Slots::new(MAX_UPLOADS_PER_SOURCE + 1);
        let greedy: IpAddr = "10.0.0.1".parse().unwrap();
        let taken: Vec<Place> = (0..MAX_UPLOADS_PER_SOURCE)
            .map(|_| slots.take(greedy).unwrap())
            .collect();
        let failure = slots.take(greedy).unwrap_err();
        assert_eq!(failure.reason, Reason::Overloaded);
        assert_eq!(failure.retry_after, Some(BUSY_RETRY));
        let _other = slots.take("10.0.0.2".parse().unwrap()).unwrap();
        assert_eq!(slots.taken() as usize, taken.len() + 1);
    }
}
