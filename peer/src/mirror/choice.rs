//! Whether to have a holder compress what it sends. Pure: the time is passed in.
//!
//! Compressing is worth it where the link is slower than zstd, and a waste elsewhere. The downloader sees only how fast a
//! holder delivers, and a holder is also slow whose processor is busy, which compressing would make slower still. So a
//! slow holder is tried: if it then delivers no more plain bytes a second than before, that was not the link.

use std::time::Duration;

use clap::ValueEnum;
use p2p_ci::message::Compression;

/// When holders are asked to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Compress {
    /// Where the link is slow, as far as can be seen, and compressing shows to help.
    #[default]
    Auto,
    /// Always; a holder that cannot sends plain bytes.
    Always,
    /// Never.
    Never,
}

/// What a slow link carries at most, in bytes a second: 160 Mbit/s. To fill such a link, zstd packs 90 MB/s, which is a
/// whole processor at the holder; a link of 1 Gbit/s would take six.
const SLOW_BYTES_PER_SECOND: u64 = 20_000_000;

/// What a link carries, compressed or not, that is not slow after all. Far from [`SLOW_BYTES_PER_SECOND`], so that it is
/// not one and then the other.
const FAST_BYTES_PER_SECOND: u64 = 4 * SLOW_BYTES_PER_SECOND;

/// Waiting over which a holder counts as slow or not: many round trips, and on a slow link still few bytes.
const LOOK: Duration = Duration::from_millis(125);

/// Looks in a row that must find a holder slow: one may just have caught it at a bad moment.
const LOOKS: u32 = 2;

/// Waiting over which compressing must show that it helps. It takes longer to tell than that a link is slow, since what
/// was asked for before still comes as it is.
const TRIAL: Duration = Duration::from_secs(1);

/// What came in a span of waiting for it.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    waited: Duration,
    plain_bytes: u64,
    wire_bytes: u64,
}

impl Span {
    fn rate(&self, bytes: u64) -> u64 {
        let micros = u64::try_from(self.waited.as_micros()).unwrap_or(u64::MAX).max(1);
        bytes.saturating_mul(1_000_000) / micros
    }

    /// Bytes of documents a second.
    fn plain_rate(&self) -> u64 {
        self.rate(self.plain_bytes)
    }

    /// Bytes that crossed the network a second.
    fn wire_rate(&self) -> u64 {
        self.rate(self.wire_bytes)
    }
}

/// How far `auto` is with one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is compressed; so many looks in a row found the holder slow, and so fast it was at best.
    Watching { slow_looks: u32, plain_rate: u64 },
    /// Compressed documents are asked for, and none came yet.
    Asking { plain_rate: u64 },
    /// They come; it must be faster than it was without.
    Trying { plain_rate: u64 },
    /// It is faster.
    On,
    /// It is for ever as the user said, or was shown not to help.
    Settled(Compression),
}

/// The choice for one stream.
#[derive(Debug)]
pub(super) struct Choice {
    stage: Stage,
    span: Span,
}

impl Choice {
    /// For a holder on this machine if `is_local`: there is no link that could be slow.
    pub(super) fn new(compress: Compress, is_local: bool) -> Self {
        let stage = match compress {
            Compress::Always => Stage::Settled(Compression::Zstd),
            Compress::Never => Stage::Settled(Compression::None),
            Compress::Auto if is_local => Stage::Settled(Compression::None),
            Compress::Auto => WATCHING,
        };
        Self {
            stage,
            span: Span::default(),
        }
    }

    /// What to ask for now.
    pub(super) fn compression(&self) -> Compression {
        match self.stage {
            Stage::Watching { .. } => Compression::None,
            Stage::Asking { .. } | Stage::Trying { .. } | Stage::On => Compression::Zstd,
            Stage::Settled(compression) => compression,
        }
    }

    /// A chunk came.
    pub(super) fn received(&mut self, plain_bytes: u64, wire_bytes: u64, is_compressed: bool) {
        if let Stage::Asking { plain_rate } = self.stage
            && is_compressed
        {
            self.enter(Stage::Trying { plain_rate });
        }
        self.span.plain_bytes = self.span.plain_bytes.saturating_add(plain_bytes);
        self.span.wire_bytes = self.span.wire_bytes.saturating_add(wire_bytes);
    }

    /// The holder was waited for.
    pub(super) fn waited(&mut self, time: Duration) {
        self.span.waited = self.span.waited.saturating_add(time);
        let span = self.span;
        match self.stage {
            Stage::Watching { slow_looks, plain_rate } if span.waited >= LOOK => {
                if span.wire_rate() >= SLOW_BYTES_PER_SECOND {
                    return self.enter(WATCHING);
                }
                let slow_looks = slow_looks + 1;
                let plain_rate = plain_rate.max(span.plain_rate());
                self.enter(if slow_looks < LOOKS {
                    Stage::Watching { slow_looks, plain_rate }
                } else {
                    Stage::Asking { plain_rate }
                });
            }
            Stage::Trying { plain_rate } if span.waited >= TRIAL => {
                let helps = span.plain_rate() > plain_rate;
                self.enter(if helps {
                    Stage::On
                } else {
                    Stage::Settled(Compression::None)
                });
            }
            Stage::On if span.waited >= TRIAL => {
                let is_fast = span.wire_rate() > FAST_BYTES_PER_SECOND;
                self.enter(if is_fast { WATCHING } else { Stage::On });
            }
            Stage::Watching { .. } | Stage::Asking { .. } | Stage::Trying { .. } | Stage::On | Stage::Settled(_) => {}
        }
    }

    fn enter(&mut self, stage: Stage) {
        if self.stage != stage {
            tracing::debug!(?stage, "compression");
        }
        self.stage = stage;
        self.span = Span::default();
    }
}

/// What `auto` begins with.
const WATCHING: Stage = Stage::Watching {
    slow_looks: 0,
    plain_rate: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: u64 = 1_000_000;

    /// How many times a text packs.
    const RATIO: u64 = 4;

    /// A holder delivers for so long over a link of `link` MB/s; with a processor that compresses `zstd` MB/s. It does
    /// what it is asked for.
    fn deliver(choice: &mut Choice, seconds: u64, link: u64, zstd: u64) {
        const STEPS: u64 = 20;
        for _ in 0..seconds * STEPS {
            let is_compressed = choice.compression() == Compression::Zstd;
            let plain = if is_compressed { (link * RATIO).min(zstd) } else { link } * MEGABYTE / STEPS;
            choice.received(plain, if is_compressed { plain / RATIO } else { plain }, is_compressed);
            choice.waited(Duration::from_millis(1000 / STEPS));
        }
    }

    fn auto() -> Choice {
        Choice::new(Compress::Auto, false)
    }

    #[track_caller]
    fn check(choice: &Choice, compression: Compression) {
        assert_eq!(choice.compression(), compression, "{choice:?}");
    }

    #[test]
    fn what_the_user_says_is_done() {
        for (compress, compression) in [
            (Compress::Always, Compression::Zstd),
            (Compress::Never, Compression::None),
        ] {
            for link in [1, 1000] {
                let mut choice = Choice::new(compress, link > 1);
                check(&choice, compression);
                deliver(&mut choice, 20, link, 200);
                check(&choice, compression);
            }
        }
    }

    #[test]
    fn a_slow_link_is_found_within_a_second_and_stays_slow() {
        for link in [1, 12, 19] {
            let mut choice = auto();
            check(&choice, Compression::None);
            deliver(&mut choice, 1, link, 200);
            check(&choice, Compression::Zstd);
            deliver(&mut choice, 60, link, 200);
            check(&choice, Compression::Zstd);
        }
    }

    #[test]
    fn a_fast_link_and_this_machine_are_left_alone() {
        let mut choice = auto();
        for link in [20, 117, 400] {
            deliver(&mut choice, 10, link, 200);
            check(&choice, Compression::None);
        }
        let mut choice = Choice::new(Compress::Auto, true);
        deliver(&mut choice, 10, 1, 200);
        check(&choice, Compression::None);
    }

    #[test]
    fn a_holder_that_stalls_once_is_not_slow() {
        let mut choice = auto();
        deliver(&mut choice, 1, 100, 200);
        choice.waited(Duration::from_secs(5));
        deliver(&mut choice, 1, 100, 200);
        check(&choice, Compression::None);
    }

    #[test]
    fn a_holder_that_is_slower_when_it_compresses_is_asked_not_to() {
        let mut choice = auto();
        deliver(&mut choice, 1, 15, 10);
        check(&choice, Compression::Zstd);
        deliver(&mut choice, 1, 15, 10);
        check(&choice, Compression::None);
        deliver(&mut choice, 60, 1, 200);
        check(&choice, Compression::None);
    }

    #[test]
    fn plain_chunks_that_were_asked_for_before_are_no_trial() {
        let mut choice = auto();
        deliver(&mut choice, 1, 10, 200);
        let mut choice = Choice {
            stage: Stage::Asking {
                plain_rate: 10 * MEGABYTE,
            },
            ..choice
        };
        for _ in 0..100 {
            choice.received(MEGABYTE, MEGABYTE, false);
            choice.waited(Duration::from_secs(1));
        }
        check(&choice, Compression::Zstd);
        assert!(
            matches!(choice.stage, Stage::Asking { .. }),
            "a holder that cannot compress"
        );
    }

    #[test]
    fn a_link_that_turns_out_fast_is_watched_anew() {
        let mut choice = auto();
        deliver(&mut choice, 4, 10, 1000);
        assert_eq!(choice.stage, Stage::On);
        deliver(&mut choice, 3, 79, 1000);
        check(&choice, Compression::Zstd);
        deliver(&mut choice, 3, 90, 1000);
        check(&choice, Compression::None);
    }

    #[test]
    fn nothing_overflows() {
        let mut choice = auto();
        for _ in 0..10 {
            choice.received(u64::MAX, u64::MAX, true);
            choice.received(u64::MAX, u64::MAX, true);
            choice.waited(Duration::MAX);
            choice.waited(Duration::MAX);
        }
        check(&choice, Compression::None);
    }
}
