//! Which processor the honest work on, and which one attackers have.

use anyhow::{Context, Result};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// A processor for the registry and those who look up, and one for attackers, so that an attack is felt by what it makes the
/// registry do, and not by what it takes from a machine that both share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    pub(super) honest: usize,
    pub(super) attacker: usize,
}

impl Cores {
    /// The first two that this process may use; or the reason why there are none.
    pub(super) fn find() -> Result<Self, String> {
        let allowed = sched_getaffinity(None).map_err(|error| format!("the processors are not known: {error}"))?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (Some(honest), Some(attacker)) = (usable.next(), usable.next()) else {
            return Err("there is one processor only, for attackers and registry together".to_owned());
        };
        Ok(Self { honest, attacker })
    }
}

/// Keeps this thread, and whatever it starts, on one processor, until this is dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub(super) fn to(core: usize) -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).with_context(|| format!("cannot stay on processor {core}"))?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// Lets this process have as many open files as the system grants, and tells how many that is.
pub(super) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let granted = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    granted.unwrap_or(u64::MAX)
}
