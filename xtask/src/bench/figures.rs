//! Figures: what one run cost, and how many such runs are summed up.

use std::time::Duration;

use crate::console;

/// What one run cost. What could not be measured, or means nothing, is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// From the start of the first process to the end of the last one; or what `Report::conditions` say. Zero where
    /// nothing was timed.
    pub wall: Duration,
    /// Processor time of the processes that were run.
    pub client_cpu: Option<Duration>,
    /// Processor time of the servers meanwhile.
    pub server_cpu: Option<Duration>,
    /// The most memory that was resident at a time in the processes that were run, in bytes.
    pub peak_memory: Option<u64>,
    /// How many times over the seed of a swarm has sent what there is.
    pub copies: Option<f64>,
    /// How many requests were answered each second.
    pub per_second: Option<f64>,
    /// How long half of the answers took at most, and 99 of a hundred, in milliseconds.
    pub answer_ms: Option<(f64, f64)>,
    /// What a server has resident for each of its sessions, in KiB.
    pub kib_each: Option<f64>,
}

impl Sample {
    /// Says on the way what a contestant of a benchmark took in its `repetition`, which is counted from 0.
    pub fn tell(&self, benchmark: &str, contestant: &str, repetition: usize, repetitions: usize) {
        let (number, took) = (repetition + 1, console::seconds(self.wall));
        eprintln!("{benchmark} {number}/{repetitions}: {contestant}: {took}");
    }
}

/// Several measurements of the same thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest one.
    pub min: f64,
    /// The largest one.
    pub max: f64,
}

impl Spread {
    /// Sums values up; none when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            min,
            max,
        })
    }
}

/// How many times the other one this is; none where the other one is nothing.
pub fn ratio(this: f64, other: f64) -> Option<f64> {
    (other > 0.0).then(|| this / other)
}

/// A number with three digits that matter: 12345 is "12345", 12.345 is "12.3", 0.012345 is "0.012".
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Bytes in the decimal unit that suits them: "494 MB".
pub fn bytes(count: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let size = count as f64;
    let unit = UNITS.into_iter().find(|(unit, _)| size >= *unit);
    unit.map_or_else(
        || format!("{count} bytes"),
        |(unit, name)| format!("{} {name}", short(size / unit)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        let spread = Spread::of(&[3.0, 1.0, 9.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (3.0, 1.0, 9.0));
        assert!((Spread::of(&[4.0, 1.0, 2.0, 9.0]).unwrap().median - 3.0).abs() < 1e-9);
        assert!((Spread::of(&[5.0]).unwrap().median - 5.0).abs() < 1e-9);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        assert_eq!(ratio(1.0, 2.0), Some(0.5));
        assert_eq!(ratio(1.0, 0.0), None);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let texts = [12_345.0, 123.4, 12.34, 1.234, 0.1234].map(short);
        assert_eq!(texts, ["12345", "123", "12.3", "1.23", "0.123"]);
        assert_eq!(
            [493_719_354, 999, 36_615, 1_074_000_000].map(bytes),
            ["494 MB", "999 bytes", "36.6 kB", "1.07 GB"]
        );
    }
}
