//! Many peers that register and are gone without a word, again and again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{COMMAND_LIMIT, Stage};
use crate::{
    ci::Outcome,
    cluster::SOON,
    faults::{Amount, Bench},
    json, procfs, wait,
};

const FLAPPERS: Amount = Amount {
    full: 1_000,
    short: 100,
};

/// Peers that stay, and are looked up.
const HONEST: usize = 50;

/// The first fifth of it is for the allocator: it hands memory that connections have used on to others, which touch more
/// of it, and what is in use at a time grows by some hundredths in the first minutes, whoever uses it.
const SECONDS: Amount = Amount { full: 600, short: 15 };

/// Lookups a second.
const RATE: usize = 100;

/// From one look at the registry's memory to the next.
const SAMPLE: Duration = Duration::from_millis(250);

/// What the most memory in the last third may have over the most in the first third, in hundredths, once that fifth is over.
const GROWTH: u64 = 5;

/// What each connection adds that there was not in the first third: 45 KB of heap, 25 of them the buffers of HTTP/2, and
/// what lies between them, which makes 57 KB where 361 more came at a time. On a busy machine the crowd is late to close what
/// it has left, and there are more.
const CONNECTION_BYTES: u64 = 56 * 1024;

/// What the registry takes at a moment, or at most in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taken {
    memory: u64,
    descriptors: u64,
}

impl Taken {
    fn now(registry: u32) -> Result<Self> {
        let descriptors = procfs::descriptors(registry);
        let memory = procfs::resident_memory(registry);
        Ok(Self {
            memory: memory.context("the registry has ended")?,
            descriptors: u64::try_from(descriptors.context("the registry has ended")?)?,
        })
    }

    fn most(samples: &[Self]) -> Self {
        samples.iter().fold(Self::default(), |most, sample| Self {
            memory: most.memory.max(sample.memory),
            descriptors: most.descriptors.max(sample.descriptors),
        })
    }

    /// The memory that is no growth after this, with so many descriptors at most.
    fn allows(self, descriptors: u64) -> u64 {
        let more = descriptors.saturating_sub(self.descriptors);
        self.memory + self.memory * GROWTH / 100 + more * CONNECTION_BYTES
    }
}

/// Has peers flap, looks up meanwhile, and watches the registry's memory.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut stage = Stage::new(bench)?;
    let (count, seconds) = (bench.pick(FLAPPERS), bench.pick(SECONDS));
    let honest = stage.gather("honest", 0, HONEST)?;
    stage.wait_for_exact(HONEST, SOON)?;
    let (mut flapping, mut asking) = (stage.crowd("flapping", HONEST)?, stage.crowd("asking", 0)?);
    let (registry, start) = (stage.cluster.registry()?.id(), wait::now());
    flapping.tell(&format!("flap {count} {seconds}"))?;
    asking.tell(&format!("lookup {RATE} {seconds}"))?;
    let (span, mut samples) = (Duration::from_secs(u64::try_from(seconds)?), Vec::new());
    while start.elapsed() < span {
        wait::let_pass(SAMPLE)?;
        samples.push(Taken::now(registry)?);
    }
    let looked_up = asking.answer(COMMAND_LIMIT)?;
    let flapped = flapping.answer(COMMAND_LIMIT)?;
    let failed = json::number(&looked_up, "/failed")? + json::number(&looked_up, "/not_found")?;
    ensure!(failed == 0, "lookups failed: {looked_up}");
    // On a busy machine some take longer than their round; but most must come for this to be a flood.
    let (came, missed) = (
        json::number(&flapped, "/registrations/total")?,
        json::number(&flapped, "/missed")?,
    );
    ensure!(came > 4 * missed, "too few registrations: {flapped}");
    let settled = samples.get(samples.len() / 5..).unwrap_or_default();
    let third = settled.len() / 3;
    let most = |part: Option<&[Taken]>| Taken::most(part.unwrap_or_default());
    let (early, late) = (most(settled.get(..third)), most(settled.get(2 * third..)));
    ensure!(
        late.memory <= early.allows(late.descriptors),
        "the registry grew: {early:?} at most in the first third after a fifth of the time, {late:?} in the last"
    );
    stage.wait_for_exact(HONEST, SOON)?;
    stage.finish(vec![(honest, HONEST), (flapping, 0), (asking, 0)])?;
    Ok(Outcome::Passed(format!(
        "{count} peers that flap every 3 s for {seconds} s: {came} registrations, and {missed} that took longer; the registry at most {:.1} MB with {} \
         descriptors in the first third after a fifth of the time, and {:.1} MB with {} in the last; {} lookups, p50 {} ms, p99 {} ms, longest {} ms",
        megabytes(early.memory),
        early.descriptors,
        megabytes(late.memory),
        late.descriptors,
        json::number(&looked_up, "/lookups")?,
        json::number(&looked_up, "/p50_ms")?,
        json::number(&looked_up, "/p99_ms")?,
        json::number(&looked_up, "/max_ms")?,
    )))
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(memory: u64, descriptors: u64) -> Taken {
        Taken { memory, descriptors }
    }

    #[test]
    fn more_connections_may_take_more_and_as_many_may_not() {
        let early = Taken::most(&[taken(30_000_000, 700), taken(40_000_000, 600)]);
        assert_eq!(early, taken(40_000_000, 700));
        assert_eq!(early.allows(600), 42_000_000, "fewer of them give nothing back");
        assert_eq!(early.allows(700), 42_000_000);
        assert_eq!(early.allows(1_000), 42_000_000 + 300 * CONNECTION_BYTES);
    }
}
