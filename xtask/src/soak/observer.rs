//! Who should be listed, who may be, and who must not: compared with what the registry lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use crate::{cluster::PeerRow, wait};

/// How long a peer may be listed whose process stands still or whose connection broke silently.
pub const SILENT_LIMIT: Duration = Duration::from_secs(20);

/// How long one may be listed whose connection was closed; a busy machine needs a moment to say so.
pub const CLOSED_LIMIT: Duration = Duration::from_secs(5);

/// Programs that want to run, for each processor: with more of them, none gets its turn in time.
const CROWDED: f64 = 3.0;

/// Whether many more programs want to run than can, on average over the last minute.
fn is_overloaded() -> bool {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().and_then(|load| load.parse::<f64>().ok());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    load.zip(u32::try_from(processors).ok())
        .is_some_and(|(load, processors)| load > CROWDED * f64::from(processors))
}

/// What is known of all peers.
#[derive(Debug, Default)]
pub struct Observer {
    /// Those to whom nothing happens: they are listed whenever somebody looks.
    undisturbed: BTreeSet<String>,
    /// Those to whom something may happen, and who are to be listed when all is quiet.
    others: BTreeSet<String>,
    /// Those who are gone: when they must be off the list at the latest.
    gone: BTreeMap<String, Instant>,
    /// How often somebody looked.
    pub looks: u64,
    /// How often somebody was missing, with the machine so busy that this says nothing.
    pub excused: u64,
}

impl Observer {
    /// Somebody to whom nothing will happen.
    pub fn add_undisturbed(&mut self, name: String) {
        self.undisturbed.insert(name);
    }

    /// Somebody is there, or there again.
    pub fn comes(&mut self, name: String) {
        self.gone.remove(&name);
        self.others.insert(name);
    }

    /// Somebody is gone for good, or until it comes again.
    pub fn goes(&mut self, name: String, limit: Duration) {
        self.others.remove(&name);
        self.gone.insert(name, wait::now() + limit);
    }

    /// The registry stood still for that long, and noticed nothing meanwhile.
    pub fn registry_stood_still(&mut self, span: Duration) {
        for latest in self.gone.values_mut() {
            *latest += span;
        }
    }

    /// Compares with what the registry listed to somebody who asked at this time.
    pub fn look(&mut self, rows: &[PeerRow], asked: Instant) -> Result<()> {
        self.looks += 1;
        let mut listed = BTreeSet::new();
        for row in rows {
            ensure!(listed.insert(row.name.as_str()), "{} is listed twice", row.name);
            if let Some(latest) = self.gone.get(&row.name)
                && asked > *latest
            {
                bail!(
                    "{} is listed {} s after it should be off the list",
                    row.name,
                    (asked - *latest).as_secs()
                );
            }
        }
        let missing: Vec<&String> = self
            .undisturbed
            .iter()
            .filter(|name| !listed.contains(name.as_str()))
            .collect();
        if let Some(first) = missing.first() {
            // A peer that is not let run for five seconds loses its session, and rightly so.
            if is_overloaded() {
                self.excused += 1;
            } else {
                bail!(
                    "{first} is not listed, and nothing has happened to it; nor are {} others",
                    missing.len() - 1
                );
            }
        }
        Ok(())
    }

    /// What is wrong with a list where all is quiet; nothing when it is exact.
    pub fn differs(&self, rows: &[PeerRow]) -> Option<String> {
        let wanted: BTreeSet<&str> = self.undisturbed.union(&self.others).map(String::as_str).collect();
        let ready = rows.iter().filter(|row| row.reachability == "reachable");
        let ready: BTreeSet<&str> = ready.map(|row| row.name.as_str()).collect();
        let missing: Vec<&&str> = wanted.difference(&ready).take(3).collect();
        let listed: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let strange: Vec<&&str> = listed.difference(&wanted).take(3).collect();
        if missing.is_empty() && strange.is_empty() && rows.len() == wanted.len() {
            return None;
        }
        Some(format!(
            "{} of {} rows are ready; missing are {missing:?}, too many {strange:?}",
            ready.len(),
            rows.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> PeerRow {
        PeerRow {
            name: name.to_owned(),
            address: String::new(),
            reachability: "reachable".to_owned(),
            documents: 1,
        }
    }

    #[test]
    fn ghosts_doubles_and_missing_ones_are_found() {
        let mut observer = Observer::default();
        observer.add_undisturbed("a".to_owned());
        observer.comes("b".to_owned());
        let now = wait::now();
        let wrong = |observer: &mut Observer, names: &[&str], asked| {
            let rows: Vec<PeerRow> = names.iter().map(|name| row(name)).collect();
            observer.look(&rows, asked).err().map(|error| error.to_string())
        };
        assert_eq!(wrong(&mut observer, &["a", "b"], now), None);
        assert_eq!(wrong(&mut observer, &["a"], now), None);
        let missing = wrong(&mut observer, &["b"], now);
        assert!(missing.map_or(observer.excused > 0, |told| told.contains("a is not listed")));
        assert!(wrong(&mut observer, &["a", "b", "b"], now).unwrap().contains("twice"));
        observer.goes("b".to_owned(), SILENT_LIMIT);
        assert_eq!(wrong(&mut observer, &["a", "b"], now + SILENT_LIMIT / 2), None);
        let late = now + 2 * SILENT_LIMIT;
        assert!(
            wrong(&mut observer, &["a", "b"], late)
                .unwrap()
                .contains("off the list")
        );
        observer.registry_stood_still(SILENT_LIMIT);
        assert_eq!(wrong(&mut observer, &["a", "b"], late), None);
        observer.comes("b".to_owned());
        assert_eq!(wrong(&mut observer, &["a", "b"], late), None);
    }

    #[test]
    fn an_exact_list_has_everybody_once_and_nobody_else() {
        let mut observer = Observer::default();
        observer.add_undisturbed("a".to_owned());
        observer.comes("b".to_owned());
        assert_eq!(observer.differs(&[row("a"), row("b")]), None);
        assert!(observer.differs(&[row("a")]).unwrap().contains("\"b\""));
        assert!(
            observer
                .differs(&[row("a"), row("b"), row("c")])
                .unwrap()
                .contains("\"c\"")
        );
        let pending = PeerRow {
            reachability: "pending".to_owned(),
            ..row("b")
        };
        assert!(observer.differs(&[row("a"), pending]).is_some());
    }
}
