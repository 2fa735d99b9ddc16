//! `bench search`: how long the words of a series take to be indexed, how long a search takes then, and whether it finds what
//! people look for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Setting,
    corpus::Corpus,
    figures::{self, Sample},
    host::Host,
    report::{Report, Row},
    server,
};
use crate::{console, process, wait};

/// Queries, with the RFC that each is meant to find.
const KNOWN_ITEMS: &str = include_str!("search/known_items.txt");

/// Among so many results people find what they look for without scrolling.
const FIRST: usize = 5;

/// How long one command may take: the first one reads the whole series, on a busy machine.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Nobody listens there, and a search asks nobody.
const NO_REGISTRY: &str = "http://127.0.0.1:1";

const MADE: &str = "peer search, first: index made";
const WITHIN: &str = "index opened and searched, within the program";
const LINES: &str = "lines shown of ten RFCs, within the program";
const WHOLE: &str = "peer search, index up to date";

/// A query, and the RFC that somebody looks for who types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item<'a> {
    number: u64,
    words: &'a str,
}

fn items(text: &str) -> Result<Vec<Item<'_>>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let item = |line| -> Option<Item<'_>> {
        let (number, words) = str::split_once(line, ' ')?;
        let number = number.parse().ok()?;
        Some(Item { number, words })
    };
    let items = lines.map(|line| item(line).with_context(|| format!("{line:?} is no number with words")));
    items.collect()
}

/// What one search told.
#[derive(Debug)]
struct Told {
    numbers: Vec<u64>,
    whole: Duration,
    within: Duration,
    lines: Duration,
}

/// One of the times that a search told.
type Of = fn(&Told) -> Duration;

/// Measures the first search, and then all queries again and again.
pub fn run(setting: &Setting) -> Result<Report> {
    let work = setting.folder("search")?;
    let made;
    let corpus = match &setting.rfcs {
        Some(series) if !setting.smoke => {
            made = Corpus::with_records(series, &work.join("series"))?;
            &made
        }
        Some(_) | None => setting.series()?,
    };
    let mut rows = [MADE, WITHIN, LINES, WHOLE].map(|name| Row::new(name, None));
    let mut report = Report::new("search", "From words to RFCs", corpus, Vec::new());
    for repetition in 1..=setting.repetitions {
        let state = work.join(format!("state-{repetition}"));
        let first = search(setting, corpus, &state, "warm up")?;
        eprintln!(
            "search {repetition}/{}: {MADE}: {}",
            setting.repetitions,
            console::seconds(first.whole)
        );
        let asked = ask_all(setting, corpus, &state)?;
        let times = |of: Of| percentiles(asked.iter().map(|(_, told)| of(told)).collect());
        let [made, within, lines, whole] = &mut rows;
        made.samples.push(Sample {
            wall: first.whole,
            ..Sample::default()
        });
        let samples: [(_, Of); 3] = [
            (within, |told| told.within),
            (lines, |told| told.lines),
            (whole, |told| told.whole),
        ];
        for (row, of) in samples {
            row.samples.push(Sample {
                answer_ms: times(of),
                ..Sample::default()
            });
        }
        if repetition == setting.repetitions {
            report.conditions = conditions(&asked, size_of_index(&state)?);
        }
        fs::remove_dir_all(&state)?;
    }
    report.rows = rows.into();
    Ok(report)
}

/// What was found, and how large the index is.
fn conditions(asked: &[(Item<'_>, Told)], index_bytes: u64) -> Vec<String> {
    let is_found =
        |(item, told): &&(Item<'_>, Told)| told.numbers.iter().take(FIRST).any(|number| *number == item.number);
    let found = asked.iter().filter(is_found).count();
    let mut told = vec![
        "the files and the index are in memory; no registry runs, as none is needed".to_owned(),
        format!("the index takes {}", figures::bytes(index_bytes)),
        format!(
            "{found} of {} find the RFC that they are meant to find among the first {FIRST}",
            console::count(asked.len(), "known item")
        ),
    ];
    let missed = asked.iter().filter(|asked| !is_found(asked));
    told.extend(missed.map(|(item, _)| format!("not RFC {} by \"{}\"", item.number, item.words)));
    told
}

/// Types all queries of which the RFC is there.
fn ask_all<'a>(setting: &Setting, corpus: &Corpus, state: &Path) -> Result<Vec<(Item<'a>, Told)>> {
    let mut asked = Vec::new();
    for item in items(KNOWN_ITEMS)? {
        wait::check_interrupt()?;
        let is_there = corpus.folder.join(format!("rfc{}.txt", item.number)).exists();
        if is_there || setting.smoke {
            asked.push((item, search(setting, corpus, state, item.words)?));
        }
    }
    ensure!(
        !asked.is_empty(),
        "none of the RFCs that are looked for is there; --rfcs names a folder with the series"
    );
    Ok(asked)
}

/// Runs the program once.
fn search(setting: &Setting, corpus: &Corpus, state: &Path, words: &str) -> Result<Told> {
    let mut command: Command = server::peer(&Host::this(), &setting.programs, NO_REGISTRY, state);
    command.args(["search", "--json", "--in"]).arg(&corpus.folder);
    command
        .args(words.split(' '))
        .env("RUST_LOG", "peer::commands::search=debug");
    let start = wait::now();
    let finished = process::run("peer search", command, LIMIT)?;
    let whole = start.elapsed();
    // Nothing is found of most queries where there are but a few samples.
    let finished = match finished.code() {
        3 => finished,
        _ => finished.expect_code("peer search", 0)?,
    };
    let number = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("number")?.as_u64();
    let time = |name| {
        let time = logged(&finished.stderr, name);
        time.with_context(|| format!("`peer search` logged no {name}: {}", finished.stderr))
    };
    Ok(Told {
        numbers: finished.stdout.lines().filter_map(number).collect(),
        whole,
        within: time("open_us")? + time("find_us")?,
        lines: time("passages_us")?,
    })
}

/// A time in microseconds that was logged under this name.
fn logged(log: &str, name: &str) -> Option<Duration> {
    let (_, rest) = log.rsplit_once(&format!("{name}="))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Duration::from_micros(digits.parse().ok()?))
}

/// The middle one of some times, and the one that 99 of a hundred do not exceed, in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> Option<(f64, f64)> {
    times.sort_unstable();
    let at = |hundredths: usize| {
        let rank = (times.len() * hundredths).div_ceil(100).max(1);
        Some(times.get(rank - 1)?.as_secs_f64() * 1e3)
    };
    Some((at(50)?, at(99)?))
}

/// The length of all files of the one index of a state folder.
fn size_of_index(state: &Path) -> Result<u64> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("search-") {
            folders.push(entry.path());
        }
    }
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let (path, data) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            if data.is_dir() {
                folders.push(path);
            } else {
                bytes += data.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_items_are_thirty_and_of_all_ages() {
        let items = items(KNOWN_ITEMS).unwrap();
        assert_eq!(items.len(), 30);
        assert!(
            items.windows(2).all(|two| two[0].number < two[1].number),
            "in order, and each once"
        );
        assert_eq!((items[0].number, items[29].number), (768, 9354));
        for item in &items {
            assert!(
                !item.words.contains(&item.number.to_string()),
                "{item:?} names its number"
            );
        }
        assert!(super::items("x y").is_err() && super::items("7").is_err());
    }

    #[test]
    fn figures_are_read_from_the_log() {
        let log = "DEBUG peer: searched open_us=12 find_us=3456 passages_us=7\n";
        assert_eq!(logged(log, "find_us"), Some(Duration::from_micros(3456)));
        assert_eq!((logged(log, "x_us"), logged("find_us=", "find_us")), (None, None));
        let times = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentiles(times), Some((100.0, 198.0)));
        assert_eq!(percentiles(Vec::new()), None);
    }
}
