//! What processes take over time, and whether that grows.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::procfs;

/// Growth that is let pass, in hundredths for each ten minutes.
pub const LIMIT: f64 = 1.0;

/// The span that growth is told for.
const SPAN_SECONDS: f64 = 600.0;

/// Samples of which the middle one counts: what comes and goes within half a minute is no growth.
const WINDOW: usize = 6;

/// What a process took at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Since the beginning.
    pub at: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

/// A process that lives from the beginning to the end, and what it took.
#[derive(Debug)]
pub struct Series {
    /// What it is called.
    pub name: String,
    process: u32,
    /// In order of time.
    pub samples: Vec<Sample>,
}

/// How memory grows, as a line through the middles of windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// In hundredths of the mean for each ten minutes.
    pub percent: f64,
    /// The standard error of that.
    pub error: f64,
}

impl Growth {
    /// Whether that is more than is let pass, and more than the noise by itself may show.
    pub fn is_too_much(self) -> bool {
        self.percent > LIMIT && self.percent > 2.0 * self.error
    }
}

impl Series {
    /// Nothing known so far.
    pub fn of(name: &str, process: u32) -> Self {
        Self {
            name: name.to_owned(),
            process,
            samples: Vec::new(),
        }
    }

    /// Looks at the process now.
    pub fn sample(&mut self, at: Duration) -> Result<()> {
        let sample = look(self.process, at).with_context(|| format!("{} has ended", self.name))?;
        self.samples.push(sample);
        Ok(())
    }

    /// How memory grew after this time.
    pub fn growth(&self, after: Duration) -> Option<Growth> {
        let late: Vec<&Sample> = self.samples.iter().filter(|sample| sample.at >= after).collect();
        let middles: Vec<(f64, f64)> = late.chunks_exact(WINDOW).filter_map(middle).collect();
        fit(&middles)
    }

    /// The latest sample.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.last().copied()
    }
}

/// What a process takes now; none when it has ended.
pub fn look(process: u32, at: Duration) -> Option<Sample> {
    Some(Sample {
        at,
        memory: procfs::resident_memory(process)?,
        descriptors: procfs::descriptors(process)?,
        threads: procfs::threads(process)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "memory has fewer than 52 bits")]
fn middle(window: &[&Sample]) -> Option<(f64, f64)> {
    let mut sorted: Vec<u64> = window.iter().map(|sample| sample.memory).collect();
    sorted.sort_unstable();
    let at = window.get(window.len() / 2)?.at;
    Some((at.as_secs_f64(), *sorted.get(sorted.len() / 2)? as f64))
}

/// The line of least squares through some points, and how sure its slope is; none of fewer than three.
#[expect(clippy::cast_precision_loss, reason = "there are a few hundred")]
fn fit(points: &[(f64, f64)]) -> Option<Growth> {
    let count = points.len() as f64;
    if count < 3.0 {
        return None;
    }
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let residue: f64 = points
        .iter()
        .map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum();
    let error = (residue / (count - 2.0) / spread).sqrt();
    let scale = SPAN_SECONDS / mean_y * 100.0;
    Some(Growth {
        percent: slope * scale,
        error: error * scale,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(memory: impl Fn(u64) -> u64) -> Series {
        let mut series = Series::of("test", 1);
        series.samples = (0..360)
            .map(|index| Sample {
                at: Duration::from_secs(5 * index),
                memory: memory(index),
                descriptors: 1,
                threads: 1,
            })
            .collect();
        series
    }

    #[test]
    fn steady_growth_is_found_and_noise_and_the_beginning_are_not_taken_for_it() {
        let after = Duration::from_secs(600);
        // 24 kB each five seconds are 2.9 % of 100 MB in ten minutes.
        let grown = series(|index| 100_000_000 + 24_000 * index).growth(after).unwrap();
        assert!((2.6..2.9).contains(&grown.percent) && grown.is_too_much(), "{grown:?}");
        let noise = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 4_000_000;
        let noisy = series(|index| 100_000_000 + noise(index)).growth(after).unwrap();
        assert!(!noisy.is_too_much() && noisy.error > 0.0, "{noisy:?}");
        let both = series(|index| 100_000_000 + 24_000 * index + noise(index));
        assert!(both.growth(after).unwrap().is_too_much());
        let filled = series(|index| 1_000_000 * index.min(100)).growth(after).unwrap();
        assert!(filled.percent.abs() < 0.001, "{filled:?}");
    }

    #[test]
    fn too_little_is_no_growth_at_all() {
        assert_eq!(series(|_| 1).growth(Duration::from_secs(1_770)), None);
    }
}
