//! What is done to the network, the hosts and the folders, drawn from a seed.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{documents::NUMBERS, truth::Time};

/// Peers of a simulation.
pub(crate) const PEERS: usize = 5;

/// When the first thing is done: everybody has registered by then.
pub(crate) const QUIET_START: Duration = Duration::from_secs(5);

/// Until when faults begin.
pub(crate) const FAULTS_END: Duration = Duration::from_secs(75);

/// The longest time that a fault lasts. Longer than it takes to notice that a host is gone, so that both sides of that
/// are met.
const LONGEST: Duration = Duration::from_secs(40);

/// What goes wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing passes between a peer and the registry.
    CutOff(usize),
    /// Nothing of what a peer says reaches the registry.
    Mute(usize),
    /// Nothing of what the registry says reaches a peer.
    Deaf(usize),
    /// What a peer and the registry say is held back, and delivered at the end.
    Held(usize),
    /// Nothing passes between two peers.
    Apart(usize, usize),
    /// A peer is killed, and started again at the end.
    Killed(usize),
    /// The registry is killed, and started again at the end.
    RegistryKilled,
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A fault begins.
    Begin(Fault),
    /// It ends.
    End(Fault),
    /// A peer downloads a document.
    Get(usize, u32),
    /// A peer downloads whatever it lacks.
    Mirror(usize),
    /// A document is put into a peer's folder.
    Put(usize, u32),
    /// One is taken out of it.
    Take(usize, u32),
}

/// All deeds of a simulation, in order of time.
#[derive(Debug)]
pub(crate) struct Script {
    /// What each peer has at first.
    pub(crate) folders: Vec<Vec<u32>>,
    /// What the liar says to have; nothing where there is none.
    pub(crate) lies: Vec<u32>,
    pub(crate) deeds: Vec<(Time, Deed)>,
    /// How likely it is that a message breaks its link until the next one.
    pub(crate) loss: f64,
}

impl Script {
    /// What follows from a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let folders = (0..PEERS)
            .map(|_| (1..=NUMBERS).filter(|_| rng.random_bool(0.4)).collect())
            .collect();
        let share = if rng.random_bool(0.5) { 0.5 } else { 0.0 };
        let lies = (1..=NUMBERS).filter(|_| rng.random_bool(share)).collect();
        let mut deeds = Vec::new();
        for _ in 0..rng.random_range(1..8) {
            let fault = draw_fault(&mut rng);
            let begin = rng.random_range(QUIET_START..FAULTS_END);
            let end = begin + rng.random_range(Duration::from_millis(10)..LONGEST);
            deeds.push((begin, Deed::Begin(fault)));
            deeds.push((end.min(FAULTS_END), Deed::End(fault)));
        }
        for _ in 0..rng.random_range(5..30) {
            let (peer, number) = (rng.random_range(0..PEERS), rng.random_range(1..=NUMBERS));
            let deed = match rng.random_range(0..4) {
                0 => Deed::Put(peer, number),
                1 => Deed::Take(peer, number),
                _ => Deed::Get(peer, number),
            };
            deeds.push((rng.random_range(QUIET_START..FAULTS_END), deed));
        }
        if rng.random_bool(0.5) {
            let mirror = Deed::Mirror(rng.random_range(0..PEERS));
            deeds.push((rng.random_range(QUIET_START..FAULTS_END), mirror));
        }
        deeds.sort_by_key(|(time, _)| *time);
        let loss = if rng.random_bool(0.25) { 0.002 } else { 0.0 };
        Self {
            folders,
            lies,
            deeds,
            loss,
        }
    }
}

fn draw_fault(rng: &mut StdRng) -> Fault {
    let peer = rng.random_range(0..PEERS);
    let other = (peer + rng.random_range(1..PEERS)) % PEERS;
    match rng.random_range(0..8) {
        0 => Fault::CutOff(peer),
        1 => Fault::Mute(peer),
        2 => Fault::Deaf(peer),
        3 => Fault::Held(peer),
        4 => Fault::Apart(peer, other),
        5 => Fault::RegistryKilled,
        _ => Fault::Killed(peer),
    }
}
