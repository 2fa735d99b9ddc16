//! A peer that comes twice, and a stranger with its name.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{COMMAND_LIMIT, Stage, milliseconds};
use crate::{
    ci::Outcome,
    console,
    faults::{Amount, Bench},
    json,
};

const ROUNDS: Amount = Amount { full: 1_000, short: 50 };

/// How soon the older session must have ended.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Comes again with the secret of the session before, and without it or with another one.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let stage = Stage::new(bench)?;
    let rounds = bench.pick(ROUNDS);
    let mut crowd = stage.crowd("claiming", 0)?;
    // It fails by itself when a stranger is let in, or the one who is there loses anything by it.
    let told = crowd.ask(&format!("claim {rounds}"), COMMAND_LIMIT)?;
    let slowest = milliseconds(&told, "/max_ms")?;
    ensure!(slowest <= END_LIMIT, "an older session went on: {told}");
    let denied = json::number(&told, "/denied")?;
    ensure!(denied == 2 * u64::try_from(rounds)?, "{told}");
    stage.finish(vec![(crowd, 0)])?;
    Ok(Outcome::Passed(format!(
        "the same peer twice, {rounds} times: the older session told that it was superseded within {} s, slowest {}; \
         {denied} of {denied} strangers with its name denied, and the one who was there undisturbed",
        END_LIMIT.as_secs(),
        console::seconds(slowest)
    )))
}
