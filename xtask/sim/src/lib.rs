//! The real registry and real peers on a simulated network, with faults drawn from a seed, and what must hold all the while.
//!
//! One thread runs all hosts, one after the other, by a clock that goes as fast as they do: two minutes take a second. What
//! the programs draw at random comes from the seed as well, so a seed that fails fails again, in every detail.

mod checker;
mod documents;
mod hosts;
mod liar;
mod mirror;
mod network;
mod script;
mod system;
mod truth;
mod watcher;
mod world;

pub use self::{checker::Violation, world::Outcome};

/// Simulates what follows from `seed`.
///
/// # Errors
///
/// When the machine gives no folders or threads. What the simulated programs do wrong is in the outcome.
pub fn run(seed: u64) -> anyhow::Result<Outcome> {
    system::stop_the_wall_clock();
    // A thread of its own, which has drawn nothing yet.
    let simulation = std::thread::Builder::new()
        .name(format!("seed {seed}"))
        .spawn(move || {
            system::seed(seed);
            world::run(seed)
        })?;
    match simulation.join() {
        Ok(outcome) => outcome,
        Err(panicked) => std::panic::resume_unwind(panicked),
    }
}
