//! Whom it came from: the share of each peer, in one line.

use std::{cmp::Reverse, collections::HashMap};

use p2p_ci::text::escaped;
use unicode_width::UnicodeWidthStr as _;

use crate::output::{human, screen::Screen};

/// Peers that are named at most; beyond, nobody reads a line.
const MOST_NAMED: usize = 8;

/// Columns of a name: longer ones would leave no room for others.
const NAME_COLUMNS: usize = 24;

/// Bytes by the peer that sent them.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<String, u64>);

impl Shares {
    /// `bytes` more came from the peer of that name.
    pub(super) fn add(&mut self, name: &str, bytes: u64) {
        match self.0.get_mut(name) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => {
                self.0.insert(name.to_owned(), bytes);
            }
        }
    }

    /// `from alice 61%, bob 27%, 5 more 12%`: as many as fit `columns`, those first that gave most; `None` before anybody
    /// gave something, and where nothing fits.
    pub(super) fn line(&self, columns: usize) -> Option<String> {
        let total: u64 = self.0.values().fold(0, |sum, bytes| sum.saturating_add(*bytes));
        let mut shares: Vec<(u64, &str)> = self
            .0
            .iter()
            .map(|(name, bytes)| (percent(*bytes, total), name.as_str()))
            .collect();
        // By what is shown: of those who give about the same, none passes another at each look.
        shares.sort_unstable_by_key(|(share, name)| (Reverse(*share), *name));
        if shares.is_empty() {
            return None;
        }
        let lines = (1..=shares.len().min(MOST_NAMED))
            .rev()
            .map(|named| line_of(&shares, named));
        let all = format!("from {}", human::count(shares.len() as u64, "peer"));
        lines.chain([all]).find(|line| line.width() <= columns)
    }
}

fn line_of(shares: &[(u64, &str)], named: usize) -> String {
    let screen = Screen {
        columns: None,
        unicode: false,
    };
    let (shown, hidden) = shares.split_at_checked(named).unwrap_or((shares, &[]));
    let mut parts: Vec<String> = shown
        .iter()
        .map(|(share, name)| format!("{} {share}%", screen.cut(&escaped(name).to_string(), NAME_COLUMNS)))
        .collect();
    if !hidden.is_empty() {
        // What is left, so that all of it is a whole.
        let share = 100_u64.saturating_sub(shown.iter().map(|(share, _)| share).sum());
        parts.push(format!("{} more {share}%", hidden.len()));
    }
    format!("from {}", parts.join(", "))
}

fn percent(part: u64, total: u64) -> u64 {
    let part = (u128::from(part) * 100 + u128::from(total / 2)).checked_div(u128::from(total));
    u64::try_from(part.unwrap_or(0)).unwrap_or(100).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(given: &[(&str, u64)]) -> Shares {
        let mut shares = Shares::default();
        for (name, bytes) in given {
            shares.add(name, *bytes);
        }
        shares
    }

    #[test]
    fn those_who_gave_most_are_named_and_the_rest_is_summed() {
        assert_eq!(shares(&[]).line(80), None);
        assert_eq!(shares(&[("alice", 5)]).line(80).unwrap(), "from alice 100%");
        let given = [
            ("carol", 80),
            ("alice", 300),
            ("bob", 270),
            ("alice", 310),
            ("dora", 20),
            ("emil", 20),
        ];
        let shares = shares(&given);
        let table = [
            (80, "from alice 61%, bob 27%, carol 8%, dora 2%, emil 2%"),
            (50, "from alice 61%, bob 27%, carol 8%, 2 more 4%"),
            (40, "from alice 61%, bob 27%, 3 more 12%"),
            (30, "from alice 61%, 4 more 39%"),
            (20, "from 5 peers"),
        ];
        for (columns, line) in table {
            assert_eq!(shares.line(columns).as_deref(), Some(line));
        }
        assert_eq!(shares.line(11), None);
    }

    #[test]
    fn a_crowd_and_long_names_fit_every_terminal() {
        let given: Vec<(String, u64)> = (0..40)
            .map(|at| (format!("peer-{at:02}-{}", "x".repeat(56)), u64::MAX / 40))
            .collect();
        let mut shares = Shares::default();
        given.iter().for_each(|(name, bytes)| shares.add(name, *bytes));
        for columns in 0..400 {
            let line = shares.line(columns).unwrap_or_default();
            assert!(line.width() <= columns, "{columns}: {line}");
        }
        let widest = shares.line(400).unwrap();
        assert!(
            widest.starts_with("from peer-00-xxxxxxxxxxxxx... 3%, peer-01-"),
            "{widest}"
        );
        assert!(widest.ends_with(", 32 more 76%"), "{widest}");
    }

    #[test]
    fn names_cannot_act_on_the_terminal() {
        let line = shares(&[("a\u{1b}[2J\nb", 1)]).line(80).unwrap();
        assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
    }
}
