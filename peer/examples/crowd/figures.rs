//! Many measurements of the same thing, and what this process has taken of the system.

use std::{fs, time::Duration};

use serde_json::{Value, json};

/// The middle, the 99th of 100 and the longest of some times, in milliseconds.
pub(crate) fn summed_up(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let quantile = |of_thousand: usize| {
        let place = (times.len() * of_thousand / 1000).min(times.len().saturating_sub(1));
        times.get(place).map_or(0, Duration::as_millis)
    };
    let [middle, nearly_all, longest] = [500, 990, 1000].map(|part| u64::try_from(quantile(part)).unwrap_or(u64::MAX));
    json!({"p50_ms": middle, "p99_ms": nearly_all, "max_ms": longest})
}

/// The sum, the mean and the largest of some counts.
pub(crate) fn counted(counts: &[usize]) -> Value {
    let total: usize = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "three digits are of interest")]
    let mean = total as f64 / counts.len().max(1) as f64;
    json!({"total": total, "mean": mean, "max": counts.iter().max().copied().unwrap_or(0)})
}

/// How many descriptors this process has open; none where the system does not tell.
pub(crate) fn descriptors() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}
