//! Documents that are made up: a series whose sizes are distributed as those of the real one, and noise.
//!
//! The real sizes follow a log-normal distribution closely: half of the texts are shorter than 36.6 kB, the mean is 56 kB,
//! and the longest has 1.6 MB. The content is passages of the samples, so that it compresses much as RFCs do. The same
//! bytes come out every time.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    documents::{self, SAMPLE_FOLDERS},
    wait, workspace,
};

/// How many texts the series had at the beginning of 2023, as Debian distributes it.
pub const SERIES_COUNT: usize = 9_148;

/// The length that half of the real texts do not reach, in bytes.
const MEDIAN_LENGTH: f64 = 36_615.0;

/// The deviation of the natural logarithm of the lengths: by it the mean is 1.53 times the median, as it is in reality.
const DEVIATION: f64 = 0.92;

/// The length of the longest real text, in bytes.
const MAX_LENGTH: usize = 1_593_486;

/// Lines of a sample that stay together: about a page, so that what a page repeats is repeated here too.
const PASSAGE_LINES: usize = 40;

/// Where the numbers of noise begin: far above those of any RFC.
const FIRST_NOISE: u32 = 100_001;

/// Pseudo-random numbers (xorshift64*), the same ones every time.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`, which must not be 0.
    fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.next()) * end as u128;
        usize::try_from(wide >> 64).unwrap_or_default()
    }
}

/// Writes `rfc1.txt`, `rfc2.txt` and so on: every `step`th document of the series.
pub fn write_series(folder: &Path, step: usize) -> Result<()> {
    let passages = passages()?;
    let mut random = Random(0x5eed);
    for (index, length) in lengths(SERIES_COUNT).into_iter().enumerate().step_by(step.max(1)) {
        wait::check_interrupt()?;
        let mut text = String::with_capacity(length + (8 << 10));
        while text.len() < length {
            if let Some(passage) = passages.get(random.below(passages.len())) {
                text.push_str(passage);
            }
        }
        let bytes = text.as_bytes().get(..length).unwrap_or_default();
        write(folder, &format!("rfc{}.txt", index + 1), bytes)?;
    }
    Ok(())
}

/// Writes `rfc100001.txt` and so on, of random bytes.
pub fn write_noise(folder: &Path, count: u32, length: usize) -> Result<()> {
    let mut random = Random(0x5eed);
    for number in 0..count {
        wait::check_interrupt()?;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(random.next().to_le_bytes());
        }
        bytes.truncate(length);
        write(folder, &format!("rfc{}.txt", FIRST_NOISE + number), &bytes)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The samples, cut into passages.
fn passages() -> Result<Vec<String>> {
    let samples = workspace::root().join("xtask/samples");
    let mut passages = Vec::new();
    for folder in SAMPLE_FOLDERS {
        for rfc in documents::scan(&samples.join(folder))? {
            let text = String::from_utf8_lossy(&fs::read(&rfc.text)?).into_owned();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            passages.extend(lines.chunks(PASSAGE_LINES).map(<[&str]>::concat));
        }
    }
    // Without content, filling a document would not end.
    passages.retain(|passage| !passage.is_empty());
    anyhow::ensure!(!passages.is_empty(), "there is no text in {}", samples.display());
    Ok(passages)
}

/// The lengths of a series of so many documents, long and short ones mixed.
fn lengths(count: usize) -> Vec<usize> {
    /// A prime that divides no count in question: going round in such steps visits everything once, mixed.
    const STRIDE: usize = 7_919;
    let place = |index: usize| index.wrapping_mul(STRIDE) % count.max(1);
    (0..count).map(|index| length_at(place(index), count)).collect()
}

/// The length of the document that comes in this place when they are sorted by length.
fn length_at(place: usize, count: usize) -> usize {
    if place + 1 == count {
        return MAX_LENGTH;
    }
    #[expect(clippy::cast_precision_loss, reason = "there are thousands of documents, no more")]
    let share = (place as f64 + 0.5) / count as f64;
    let length = MEDIAN_LENGTH * (DEVIATION * normal_quantile(share)).exp();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a length is positive, and bounded in the next step"
    )]
    let length = length as usize;
    length.clamp(1, MAX_LENGTH)
}

/// The value below which this share of a normal distribution lies: found by halving, from its density alone.
fn normal_quantile(share: f64) -> f64 {
    /// Beyond eight deviations lies less than one document of a quadrillion.
    const BOUND: f64 = 8.0;
    /// Halving so often leaves less than a billionth.
    const HALVINGS: usize = 40;
    let (mut low, mut high) = (-BOUND, BOUND);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if normal_share(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The share of a normal distribution below a value: the series of Marsaglia, exact to the precision of the type within
/// a few deviations.
fn normal_share(value: f64) -> f64 {
    let (mut sum, mut term, mut divisor) = (value, value, 3.0);
    loop {
        term *= value * value / divisor;
        let next = sum + term;
        if next == sum {
            break;
        }
        sum = next;
        divisor += 2.0;
    }
    0.5 + sum * (-value * value / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_distributed_as_those_of_the_real_series() {
        let mut lengths = lengths(SERIES_COUNT);
        let total: usize = lengths.iter().sum();
        // Mixed: the first hundred are not the shortest ones.
        assert!(lengths[..100].iter().sum::<usize>() > 100 * 20_000);
        lengths.sort_unstable();
        let (median, mean) = (lengths[SERIES_COUNT / 2], total / SERIES_COUNT);
        assert!((36_000..37_300).contains(&median), "{median}");
        assert!((54_000..58_000).contains(&mean), "{mean}");
        assert_eq!(lengths.last(), Some(&MAX_LENGTH));
        assert!(lengths[0] > 500, "{}", lengths[0]);
    }

    #[test]
    fn quantiles_of_the_normal_distribution_are_those_of_the_tables() {
        for (share, value) in [(0.5, 0.0), (0.975, 1.959_964), (0.001, -3.090_232)] {
            assert!((normal_quantile(share) - value).abs() < 1e-5, "{share}");
        }
    }

    #[test]
    fn noise_and_text_are_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        for path in [&one, &two] {
            fs::create_dir(path).unwrap();
            write_noise(path, 2, 1000).unwrap();
            write_series(path, 4000).unwrap();
        }
        for name in [
            "rfc100001.txt",
            "rfc100002.txt",
            "rfc1.txt",
            "rfc4001.txt",
            "rfc8001.txt",
        ] {
            assert_eq!(fs::read(one.join(name)).unwrap(), fs::read(two.join(name)).unwrap());
        }
        assert_eq!(fs::read(one.join("rfc100002.txt")).unwrap().len(), 1000);
    }
}
