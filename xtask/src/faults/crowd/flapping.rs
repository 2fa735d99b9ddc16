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

const SECONDS: Amount = Amount { full: 120, short: 15 };

/// Lookups a second.
const RATE: usize = 100;

/// From one look at the registry's memory to the next.
const SAMPLE: Duration = Duration::from_millis(250);

/// What the most memory in the last third may have over the most in the first third, in hundredths.
const GROWTH: u64 = 5;

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
        samples.push(procfs::resident_memory(registry).context("the registry has ended")?);
    }
    let looked_up = asking.answer(COMMAND_LIMIT)?;
    let flapped = flapping.answer(COMMAND_LIMIT)?;
    let third = samples.len() / 3;
    let most = |part: Option<&[u64]>| part.and_then(|part| part.iter().max().copied()).unwrap_or_default();
    let (early, late) = (most(samples.get(..third)), most(samples.get(2 * third..)));
    ensure!(
        late <= early + early * GROWTH / 100,
        "the registry grew from {early} bytes in the first third to {late} in the last"
    );
    let failed = json::number(&looked_up, "/failed")? + json::number(&looked_up, "/not_found")?;
    ensure!(failed == 0, "lookups failed: {looked_up}");
    // On a busy machine some take longer than their round; but most must come for this to be a flood.
    let (came, missed) = (
        json::number(&flapped, "/registrations/total")?,
        json::number(&flapped, "/missed")?,
    );
    ensure!(came > 4 * missed, "too few registrations: {flapped}");
    stage.wait_for_exact(HONEST, SOON)?;
    stage.finish(vec![(honest, HONEST), (flapping, 0), (asking, 0)])?;
    Ok(Outcome::Passed(format!(
        "{count} peers that flap every 3 s for {seconds} s: {came} registrations, and {missed} that took longer; the registry's memory at most {:.1} MB in the \
         first third and {:.1} MB in the last; {} lookups, p50 {} ms, p99 {} ms, longest {} ms",
        megabytes(early),
        megabytes(late),
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
