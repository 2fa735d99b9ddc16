//! Faults as they begin and end.

use super::World;
use crate::{checker::Way, hosts::REGISTRY, script::Fault};

impl World<'_> {
    pub(super) fn begin(&mut self, fault: Fault) {
        let now = self.now();
        match fault {
            Fault::CutOff(peer) => self.sim.partition(self.name(peer), REGISTRY),
            Fault::Mute(peer) => self.sim.partition_oneway(self.name(peer), REGISTRY),
            Fault::Deaf(peer) => self.sim.partition_oneway(REGISTRY, self.name(peer)),
            Fault::Held(peer) => self.sim.hold(self.name(peer), REGISTRY),
            Fault::Apart(peer, other) => self.sim.partition(self.name(peer), self.name(other)),
            Fault::Killed(peer) => self.kill(peer),
            Fault::RegistryKilled => {
                self.registry_down += 1;
                if self.registry_down == 1 {
                    self.sim.crash(REGISTRY);
                }
            }
        }
        self.ways_of(fault).into_iter().for_each(|way| way.begin(now));
    }

    pub(super) fn end(&mut self, fault: Fault) {
        let now = self.now();
        match fault {
            Fault::CutOff(peer) | Fault::Mute(peer) | Fault::Deaf(peer) => self.sim.repair(self.name(peer), REGISTRY),
            Fault::Held(peer) => self.sim.release(self.name(peer), REGISTRY),
            Fault::Apart(peer, other) => self.sim.repair(self.name(peer), self.name(other)),
            Fault::Killed(peer) => self.revive(peer),
            Fault::RegistryKilled => {
                self.registry_down = self.registry_down.saturating_sub(1);
                if self.registry_down == 0 {
                    self.sim.bounce(REGISTRY);
                }
            }
        }
        self.ways_of(fault).into_iter().for_each(|way| way.end(now));
    }

    /// The ways to the registry that a fault is on.
    fn ways_of(&mut self, fault: Fault) -> Vec<&mut Way> {
        match fault {
            Fault::CutOff(peer) | Fault::Mute(peer) | Fault::Deaf(peer) | Fault::Held(peer) => {
                self.ways.get_mut(peer).into_iter().collect()
            }
            Fault::RegistryKilled => self.ways.iter_mut().collect(),
            Fault::Apart(..) | Fault::Killed(_) => Vec::new(),
        }
    }

    fn kill(&mut self, peer: usize) {
        let Some(down) = self.down.get_mut(peer) else { return };
        *down += 1;
        if *down > 1 {
            return;
        }
        let name = self.name(peer);
        self.sim.crash(name);
        let now = self.now();
        if let Some(truth) = self.truth.lock().peers.get_mut(peer) {
            (truth.down_since, truth.session) = (Some(now), None);
        }
    }

    fn revive(&mut self, peer: usize) {
        let Some(down) = self.down.get_mut(peer) else { return };
        *down = down.saturating_sub(1);
        if *down == 0 {
            let name = self.name(peer);
            self.sim.bounce(name);
        }
    }
}
