//! What happens to those who take part, as a seed decides.

use std::{
    fs,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use rustix::process::Signal;

use super::{
    downloads::Shared,
    observer::{CLOSED_LIMIT, SILENT_LIMIT},
    random::Random,
    world::{CHANGING, CHURNING, COMMAND_LIMIT, KILLED, STOPPED, World, churning_name, struck_names},
};
use crate::{faults::link::Break, wait};

/// From one fault to the next, in seconds.
const PAUSE: (u64, u64) = (2, 6);

/// For how long the registry stands still, in seconds: less than the five after which a ping counts as lost.
const STILL: (u64, u64) = (1, 3);

/// For how long peers stand still, in seconds: with or without being taken for dead.
const STOPPED_FOR: (u64, u64) = (3, 30);

/// For how long killed peers are away, in seconds.
const AWAY: (u64, u64) = (1, 10);

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Churn,
    KillCrowd,
    StopCrowd,
    Cut,
    KillPeer,
    StopPeer,
    ChangeFolder,
    StopRegistry,
}

/// How often each happens, as one of so many.
const FAULTS: [Fault; 12] = [
    Fault::Churn,
    Fault::Churn,
    Fault::Churn,
    Fault::KillCrowd,
    Fault::StopCrowd,
    Fault::Cut,
    Fault::Cut,
    Fault::KillPeer,
    Fault::StopPeer,
    Fault::ChangeFolder,
    Fault::ChangeFolder,
    Fault::StopRegistry,
];

/// What ends a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relief {
    ReviveCrowd,
    ContinueCrowd,
    Release,
    StartPeer,
    ContinuePeer,
    ContinueRegistry(Instant),
}

/// The choices, and what is under way.
#[derive(Debug)]
pub struct Script {
    random: Random,
    next: Instant,
    under_way: Vec<(Instant, Relief)>,
    /// How many faults there were.
    pub count: u64,
}

impl Script {
    /// Nothing has happened so far.
    pub fn new(random: Random) -> Self {
        Self {
            random,
            next: wait::now(),
            under_way: Vec::new(),
            count: 0,
        }
    }

    /// Whether the registry stands still.
    pub fn holds_registry(&self) -> bool {
        self.under_way.iter().any(|(_, relief)| relief.continues_registry())
    }

    /// Does what is due.
    pub fn go_on(&mut self, world: &mut World, shared: &Shared) -> Result<()> {
        let now = wait::now();
        self.relieve(world, shared, |due| due <= now)?;
        // While the registry stands still, a crowd could not tell when it is registered.
        if now >= self.next && !self.holds_registry() {
            let fault = *self.random.one_of(&FAULTS).ok_or_else(|| anyhow!("no faults"))?;
            if !self.is_under_way(fault) {
                self.cause(fault, world, shared)?;
                self.count += 1;
            }
            self.next = wait::now() + self.random.seconds(PAUSE.0, PAUSE.1);
        }
        Ok(())
    }

    /// Ends all that is under way.
    pub fn end_all(&mut self, world: &mut World, shared: &Shared) -> Result<()> {
        self.relieve(world, shared, |_| true)
    }

    fn relieve(&mut self, world: &mut World, shared: &Shared, is_due: impl Fn(Instant) -> bool) -> Result<()> {
        self.take_due(is_due)
            .into_iter()
            .try_for_each(|relief| relief.come(world, shared))
    }

    /// What may come now of that which is due, in this order: the registry first, since others need it to come back. While it
    /// stands still, those wait of whom it is waited until they are registered.
    fn take_due(&mut self, is_due: impl Fn(Instant) -> bool) -> Vec<Relief> {
        let (mut due, mut rest): (Vec<_>, Vec<_>) = self.under_way.drain(..).partition(|(at, _)| is_due(*at));
        if rest.iter().any(|(_, relief)| relief.continues_registry()) {
            rest.extend(due.extract_if(.., |(_, relief)| relief.needs_registry()));
        }
        self.under_way = rest;
        due.sort_by_key(|(_, relief)| !relief.continues_registry());
        due.into_iter().map(|(_, relief)| relief).collect()
    }

    /// Whether what this would happen to is not back from something else.
    fn is_under_way(&self, fault: Fault) -> bool {
        self.under_way.iter().any(|(_, relief)| match fault {
            Fault::KillCrowd | Fault::StopCrowd => matches!(relief, Relief::ReviveCrowd | Relief::ContinueCrowd),
            Fault::Cut => *relief == Relief::Release,
            Fault::KillPeer => *relief == Relief::StartPeer,
            Fault::StopPeer => *relief == Relief::ContinuePeer,
            Fault::Churn | Fault::ChangeFolder | Fault::StopRegistry => false,
        })
    }

    fn cause(&mut self, fault: Fault, world: &mut World, shared: &Shared) -> Result<()> {
        let (away, still) = (
            self.random.seconds(AWAY.0, AWAY.1),
            self.random.seconds(STOPPED_FOR.0, STOPPED_FOR.1),
        );
        let relief = match fault {
            Fault::Churn => return self.churn(world),
            Fault::ChangeFolder => return change_folder(world),
            Fault::KillCrowd => {
                if let Some(mut crowd) = world.struck.take() {
                    crowd.process().kill()?;
                }
                struck_names().for_each(|name| world.observer.goes(name, CLOSED_LIMIT));
                (away, Relief::ReviveCrowd)
            }
            Fault::StopCrowd => {
                if let Some(crowd) = &mut world.struck {
                    crowd.process().signal(Signal::STOP)?;
                }
                struck_names().for_each(|name| world.observer.goes(name, SILENT_LIMIT));
                (still, Relief::ContinueCrowd)
            }
            Fault::Cut => {
                let late = Break::Late(self.random.seconds(0, 2));
                let how = *self
                    .random
                    .one_of(&[Break::Closed, Break::Reset, Break::HalfOpen, late])
                    .unwrap_or(&late);
                world.link.cut(how);
                (away, Relief::Release)
            }
            Fault::KillPeer => {
                world.cluster.peer(KILLED)?.kill()?;
                world.observer.goes(KILLED.to_owned(), CLOSED_LIMIT);
                (away, Relief::StartPeer)
            }
            Fault::StopPeer => {
                world.cluster.peer(STOPPED)?.signal(Signal::STOP)?;
                world.observer.goes(STOPPED.to_owned(), SILENT_LIMIT);
                (still, Relief::ContinuePeer)
            }
            Fault::StopRegistry => {
                shared.turns.fetch_add(1, Ordering::SeqCst);
                world.cluster.registry()?.signal(Signal::STOP)?;
                (
                    self.random.seconds(STILL.0, STILL.1),
                    Relief::ContinueRegistry(wait::now()),
                )
            }
        };
        self.under_way.push((wait::now() + relief.0, relief.1));
        Ok(())
    }

    /// Some of the churning half leave, in good order or not, and as many come.
    fn churn(&mut self, world: &mut World) -> Result<()> {
        let here = world.churning_count;
        let going = usize::try_from(self.random.between(1, (CHURNING / 2) as u64))?.min(here - CHURNING / 2);
        let how = *self.random.one_of(&["leave", "drop"]).unwrap_or(&"leave");
        if going > 0 {
            world.churning.ask(&format!("{how} {going}"), COMMAND_LIMIT)?;
            (here - going..here).for_each(|place| world.observer.goes(churning_name(place), CLOSED_LIMIT));
        }
        let here = here - going;
        let coming = usize::try_from(self.random.between(0, (CHURNING - here) as u64))?;
        if coming > 0 {
            world.churning.ask(&format!("start {coming}"), COMMAND_LIMIT)?;
            (here..here + coming).for_each(|place| world.observer.comes(churning_name(place)));
        }
        world.churning_count = here + coming;
        Ok(())
    }
}

impl Relief {
    fn continues_registry(&self) -> bool {
        matches!(self, Self::ContinueRegistry(_))
    }

    /// Whether it has come only when somebody is registered.
    fn needs_registry(&self) -> bool {
        matches!(self, Self::ReviveCrowd | Self::StartPeer)
    }

    fn come(self, world: &mut World, shared: &Shared) -> Result<()> {
        match self {
            Self::ReviveCrowd => world.revive()?,
            Self::ContinueCrowd => {
                if let Some(crowd) = &mut world.struck {
                    crowd.process().signal(Signal::CONT)?;
                }
                struck_names().for_each(|name| world.observer.comes(name));
            }
            Self::Release => world.link.release(),
            Self::StartPeer => {
                world.cluster.join(KILLED, KILLED)?;
                world.observer.comes(KILLED.to_owned());
            }
            Self::ContinuePeer => {
                world.cluster.peer(STOPPED)?.signal(Signal::CONT)?;
                world.observer.comes(STOPPED.to_owned());
            }
            Self::ContinueRegistry(since) => {
                world.cluster.registry()?.signal(Signal::CONT)?;
                world
                    .observer
                    .registry_stood_still(since.elapsed() + Duration::from_secs(1));
                shared.turns.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    }
}

/// A document comes into the linked peer's folder, or goes.
fn change_folder(world: &mut World) -> Result<()> {
    let file = world.changing_file();
    if world.is_changed {
        fs::remove_file(file)?;
    } else {
        fs::write(file, format!("A document that stands in for RFC {CHANGING}.\n"))?;
    }
    world.is_changed = !world.is_changed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_the_registry_to_come_back_waits_until_it_goes_on() {
        let now = wait::now();
        let later = now + Duration::from_secs(1);
        let mut script = Script::new(Random::of(1));
        script.under_way = vec![
            (now, Relief::ReviveCrowd),
            (now, Relief::StartPeer),
            (now, Relief::Release),
            (later, Relief::ContinueRegistry(now)),
        ];
        assert_eq!(script.take_due(|due| due <= now), [Relief::Release]);
        assert!(script.holds_registry());
        let all = [Relief::ContinueRegistry(now), Relief::ReviveCrowd, Relief::StartPeer];
        assert_eq!(script.take_due(|due| due <= later), all);
        assert!(script.under_way.is_empty());
    }
}
