//! What is to happen to a connection.

use std::time::Duration;

use super::Dice;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the peer behind the proxy.
    Up,
    /// To whoever connected.
    Down,
}

/// A bit to be turned over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    /// Among the bytes of which direction.
    pub direction: Direction,
    /// In which byte of them, from 0.
    pub offset: u64,
    /// Which bit, below 8.
    pub bit: u32,
}

impl Flip {
    /// Any bit of a connection that carries so many bytes up and down.
    pub fn anywhere(dice: &mut Dice, up_bytes: u64, down_bytes: u64) -> Self {
        let at = dice.below(up_bytes + down_bytes);
        let bit = u32::try_from(dice.below(8)).unwrap_or(0);
        let (direction, offset) = match at.checked_sub(up_bytes) {
            Some(offset) => (Direction::Down, offset),
            None => (Direction::Up, at),
        };
        Self { direction, offset, bit }
    }
}

/// How a connection ends, or what else becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Both sides see it closed in good order.
    Closed,
    /// Both sides see it reset.
    Reset,
    /// Nothing gets through any more, and nobody is told.
    BlackHole,
    /// Nothing becomes of it; it only counts as a fault, for others to act on.
    Mark,
}

/// Everything that is to happen to one connection.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Bytes a second, each way.
    pub rate: Option<u64>,
    /// Pass on between 1 and 7 bytes at a time, as many as these dice say.
    pub slices: Option<Dice>,
    /// How much later each byte arrives, each way.
    pub delay: Duration,
    /// A bit that is turned over.
    pub flip: Option<Flip>,
    /// What becomes of it once so many bytes have gone down.
    pub ending: Option<(u64, Ending)>,
}
