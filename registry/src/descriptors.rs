//! How many file descriptors, and so how many connections, this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::RESERVED_DESCRIPTORS;

/// Raises the soft limit of open files to the hard one, and returns how many connections fit in.
#[must_use]
pub fn connection_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let raised = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            limit.current
        }
    };
    connections_within(raised)
}

/// The connections that fit into so many descriptors; `None` means that there is no limit.
fn connections_within(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // Where there are few, the registry's own work gets half of them, so that it still does both.
    descriptors.saturating_sub(RESERVED_DESCRIPTORS.min(descriptors / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_back() {
        assert_eq!(connections_within(Some(20_000)), 19_488);
        assert_eq!(connections_within(Some(256)), 128);
        assert_eq!(connections_within(Some(0)), 0);
        assert!(connections_within(None) > 1_000_000);
    }
}
