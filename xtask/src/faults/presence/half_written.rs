//! Files that are copied in slowly: nobody hears of them before they are whole.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use serde_json::Value;

use crate::faults::{
    Amount, Bench, find, finish,
    reporter::{Reporter, field, is_event},
    slowest,
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    documents, json,
    wait::{self, Look},
};

/// Files that are written slowly, in each manner.
const SLOW_FILES: Amount = Amount { full: 4, short: 1 };

/// How soon a file must be in the index once its last piece is written.
const SEEN_LIMIT: Duration = Duration::from_secs(2);

/// Pieces of a file, and the bytes in each: seven pauses of 0.5 to 0.9 s are about five seconds.
const PIECES: u64 = 8;
const PIECE_BYTES: usize = 20_000;

const FIRST: u32 = 20_001;

/// How a program writes a file that takes its time.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Keeps it open, as `cp` from a slow disk does.
    Open,
    /// Gives it its name when it is whole, as `rsync` does.
    Renamed,
    /// Gives it its final length first, as downloaders of pieces do.
    Sized,
    /// Closes it after each piece and opens it again for the next one, as `>>` in a shell does.
    Reopened,
}

/// One file on its way.
struct Slow {
    number: u32,
    manner: Manner,
}

/// Writes files in all manners at the same time.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let shared = cluster.make_folder("shared")?;
    cluster.join("alice", "shared")?;
    cluster.wait_for_peers("alice to be reachable", SOON, |rows| {
        rows.iter().any(|row| row.reachability == "reachable")
    })?;
    let mut command = cluster.peer_command()?;
    command.args(["watch", "--json"]);
    let mut watch = Reporter::spawn("watch", command, &cluster.logs())?;
    watch.wait_for("the end of its snapshot", SOON, |value| {
        is_event(value, "snapshot_end").then_some(())
    })?;
    let manners = [Manner::Open, Manner::Renamed, Manner::Sized, Manner::Reopened];
    let files: Vec<Slow> = manners
        .into_iter()
        .cycle()
        .zip(FIRST..)
        .map(|(manner, number)| Slow { number, manner })
        .take(manners.len() * bench.pick(SLOW_FILES))
        .collect();
    let (cluster_now, folder) = (&cluster, shared.as_path());
    let results: Vec<Result<Duration>> = thread::scope(|scope| {
        let running: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(move || file.write(cluster_now, folder)))
            .collect();
        let panicked = |_| Err(anyhow!("a writer panicked"));
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked))
            .collect()
    });
    let took = results.into_iter().collect::<Result<Vec<_>>>()?;
    let events = watch.printed()?;
    for file in &files {
        check_events(&events, file)?;
    }
    drop(watch);
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "files written in pieces, with pauses of 0.5 to 0.9 s: {} of {} announced once and whole, at most {} after the \
         last piece",
        took.len(),
        files.len(),
        slowest(&took)
    )))
}

impl Slow {
    /// Writes the file, and makes sure before each further piece that nobody has heard of it. Returns how long after the
    /// last piece it was known.
    fn write(&self, cluster: &Cluster, folder: &Path) -> Result<Duration> {
        let path = folder.join(format!("rfc{}.txt", self.number));
        let growing = match self.manner {
            Manner::Open | Manner::Sized | Manner::Reopened => path.clone(),
            Manner::Renamed => folder.join(format!(".rfc{}.txt.Ab1Cd2", self.number)),
        };
        let mut file = File::create(&growing)?;
        if let Manner::Sized = self.manner {
            file.set_len(PIECES * PIECE_BYTES as u64)?;
            file.rewind()?;
        }
        for piece in 0..PIECES {
            if piece > 0 {
                self.pause(cluster, piece)?;
                if let Manner::Reopened = self.manner {
                    file = File::options().append(true).open(&growing)?;
                }
            }
            file.write_all(&self.piece(piece))?;
            if let Manner::Reopened = self.manner {
                file = File::open(&growing)?;
            }
        }
        drop(file);
        if let Manner::Renamed = self.manner {
            fs::rename(&growing, &path)?;
        }
        let start = wait::now();
        let wanted = vec![(documents::sha256(&path)?, vec!["alice".to_owned()])];
        wait::until_dear(&format!("{} to be known", self.name()), SEEN_LIMIT, || {
            let found = find(cluster, self.number)?;
            Ok(if found == wanted {
                Look::Done(())
            } else {
                Look::NotYet(format!("{found:?}"))
            })
        })?;
        Ok(start.elapsed())
    }

    /// Lets 0.5 to 0.9 s pass, and asks for the file at the end of it.
    fn pause(&self, cluster: &Cluster, piece: u64) -> Result<()> {
        let start = wait::now();
        let spread = (u64::from(self.number) * 131 + piece * 61) % 300;
        wait::check_interrupt()?;
        thread::sleep(Duration::from_millis(500 + spread));
        let found = find(cluster, self.number)?;
        let took = start.elapsed();
        ensure!(
            found.is_empty(),
            "{} is announced with {piece} of {PIECES} pieces, {} ms after the last of them: {found:?}",
            self.name(),
            took.as_millis()
        );
        Ok(())
    }

    fn name(&self) -> String {
        format!("rfc{}.txt ({:?})", self.number, self.manner)
    }

    fn piece(&self, piece: u64) -> Vec<u8> {
        let line = format!("This is piece {piece} of {}.\n", self.number);
        line.bytes().cycle().take(PIECE_BYTES).collect()
    }
}

/// One announcement of the file and no withdrawal: what was announced half-written would have been announced again.
fn check_events(events: &[Value], file: &Slow) -> Result<()> {
    let mut kinds = Vec::new();
    for event in events.iter().filter(|event| event.get("ranges").is_some()) {
        for range in json::array(event, "/ranges")? {
            if range.as_str().is_some_and(|range| holds(range, file.number)) {
                kinds.push(field(event, "event"));
            }
        }
    }
    ensure!(kinds == ["announced"], "what happened with {}: {kinds:?}", file.name());
    Ok(())
}

/// Whether a range such as `7` or `5-9` holds a number.
fn holds(range: &str, number: u32) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let parsed = |text: &str| text.parse::<u32>().ok();
    parsed(first)
        .zip(parsed(last))
        .is_some_and(|(first, last)| (first..=last).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_ends_and_what_is_between() {
        assert!(holds("7", 7) && holds("5-9", 5) && holds("5-9", 9));
        assert!(!holds("7", 8) && !holds("5-9", 10) && !holds("", 0));
    }

    #[test]
    fn a_second_announcement_is_found() {
        let file = Slow {
            number: 7,
            manner: Manner::Open,
        };
        let once = json::lines(r#"{"event":"joined"} "#).unwrap();
        assert!(check_events(&once, &file).is_err());
        let once = json::lines(r#"{"event":"announced","ranges":["1-3","6-7"]}"#).unwrap();
        check_events(&once, &file).unwrap();
        let twice = [once.clone(), once].concat();
        assert!(check_events(&twice, &file).is_err());
    }
}
