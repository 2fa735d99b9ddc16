//! Many measurements of the same thing, summed up as JSON.

use std::time::Duration;

/// How long each of many things took.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Notes one.
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Notes those of another one, too.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that so many of a thousand do not exceed, in milliseconds.
    fn quantile(&self, of_thousand: usize) -> f64 {
        let place = (self.0.len() * of_thousand / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    /// `"PREFIX_p50_ms": …, "PREFIX_p99_ms": …, "PREFIX_max_ms": …`
    pub(crate) fn summed_up(&mut self, prefix: &str) -> String {
        self.0.sort_unstable();
        format!(
            r#""{prefix}_p50_ms": {:.3}, "{prefix}_p99_ms": {:.3}, "{prefix}_max_ms": {:.3}"#,
            self.quantile(500),
            self.quantile(990),
            self.quantile(1000)
        )
    }
}

/// How many a second that is.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn rate(count: usize, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64().max(f64::EPSILON)
}
