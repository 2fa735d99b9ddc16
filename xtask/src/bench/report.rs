//! What a benchmark found, and how it is shown: to people, in Markdown, and as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    corpus::Corpus,
    figures::{self, Sample, Spread, ratio, short},
};

/// All runs of one contestant.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What each run cost.
    pub samples: Vec<Sample>,
    /// Why it did not take part, if so.
    pub skipped: Option<String>,
}

impl Row {
    /// A row without runs so far.
    pub fn new(name: &str, skipped: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            samples: Vec::new(),
            skipped,
        }
    }

    fn spread(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.samples.iter().filter_map(of).collect::<Vec<f64>>())
    }

    fn wall(&self) -> Option<Spread> {
        self.spread(|sample| seconds(Some(sample.wall).filter(|wall| !wall.is_zero())))
    }
}

/// What a benchmark found.
#[derive(Debug)]
pub struct Report {
    /// The benchmark's name.
    pub name: &'static str,
    /// What it measures, as a heading.
    pub title: &'static str,
    /// The number of documents that each run carries or reads.
    pub documents: usize,
    /// Their length altogether; 0 where only their names are carried.
    pub bytes: u64,
    /// Where they come from.
    pub origin: String,
    /// What one must know to read the figures.
    pub conditions: Vec<String>,
    /// The contestants.
    pub rows: Vec<Row>,
    /// Those that others are compared with: a short name, and the name of the row.
    pub references: Vec<(&'static str, &'static str)>,
}

/// A heading, and a cell for each row.
type Column = (String, Vec<Option<String>>);

impl Report {
    /// A report without conditions and references so far.
    pub fn new(name: &'static str, title: &'static str, corpus: &Corpus, rows: Vec<Row>) -> Self {
        Self {
            name,
            title,
            documents: corpus.count(),
            bytes: corpus.bytes,
            origin: corpus.origin.clone(),
            conditions: Vec::new(),
            rows,
            references: Vec::new(),
        }
    }

    /// What was carried, in a line.
    fn load(&self) -> String {
        let bytes = match self.bytes {
            0 => String::new(),
            bytes => format!(", {}", figures::bytes(bytes)),
        };
        format!("{} documents{bytes}: {}", self.documents, self.origin)
    }

    /// The table for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}: {}\n  {}\n", self.name, self.title, self.load());
        for condition in &self.conditions {
            text += &format!("  {condition}\n");
        }
        text.push('\n');
        let table = self.table();
        let width = |column: usize| {
            table
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        for row in &table {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = width(column).unwrap_or_default();
                // Names to the left, figures to the right.
                line += &if column == 0 {
                    format!("  {cell:<width$}")
                } else {
                    format!("  {cell:>width$}")
                };
            }
            text += line.trim_end();
            text.push('\n');
        }
        for line in self.skips() {
            text += &format!("  {line}\n");
        }
        text
    }

    /// The section of a document.
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "## {}\n\n`cargo xtask bench {}`: {}.\n\n",
            self.title,
            self.name,
            self.load()
        );
        for condition in &self.conditions {
            text += &format!("- {condition}\n");
        }
        text.push('\n');
        for (index, row) in self.table().iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            text += &format!("| {} |\n", cells.join(" | "));
            if index == 0 {
                let rule = (0..row.len()).map(|column| if column == 0 { "---" } else { "---:" });
                text += &format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
            }
        }
        for line in self.skips() {
            text += &format!("\n{line}\n");
        }
        text
    }

    /// One object for each contestant.
    pub fn to_json(&self) -> Vec<Value> {
        self.rows.iter().map(|row| self.row_to_json(row)).collect()
    }

    fn row_to_json(&self, row: &Row) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("benchmark", json!(self.name));
        put("contestant", json!(row.name));
        put("documents", json!(self.documents));
        put("bytes", json!(self.bytes));
        if let Some(reason) = &row.skipped {
            put("skipped", json!(reason));
            return Value::Object(object);
        }
        put("repetitions", json!(row.samples.len()));
        let all: Vec<f64> = row.samples.iter().map(|sample| sample.wall.as_secs_f64()).collect();
        put("seconds_each", json!(all));
        let mut spread = |name: &str, spread: Option<Spread>| {
            if let Some(Spread { median, min, max }) = spread {
                put(name, json!({"median": median, "min": min, "max": max}));
            }
        };
        spread("seconds", row.wall());
        spread("client_cpu_seconds", row.spread(|sample| seconds(sample.client_cpu)));
        spread("server_cpu_seconds", row.spread(|sample| seconds(sample.server_cpu)));
        spread("client_peak_bytes", row.spread(peak_bytes));
        spread("seed_copies", row.spread(|sample| sample.copies));
        spread("per_second", row.spread(|sample| sample.per_second));
        spread("answer_p50_ms", row.spread(|sample| Some(sample.answer_ms?.0)));
        spread("answer_p99_ms", row.spread(|sample| Some(sample.answer_ms?.1)));
        spread("server_kib_each", row.spread(|sample| sample.kib_each));
        let ratios: Map<String, Value> = self
            .references
            .iter()
            .filter_map(|&(short, name)| Some((short.to_owned(), json!(self.ratio(row, name)?))))
            .collect();
        put("ratios", Value::Object(ratios));
        Value::Object(object)
    }

    /// The median of a row in relation to that of another one.
    fn ratio(&self, row: &Row, reference: &str) -> Option<f64> {
        let other = self.rows.iter().find(|row| row.name == reference)?;
        ratio(row.wall()?.median, other.wall()?.median)
    }

    /// A row of headings, and one for each contestant that took part. Columns without any figure are left out.
    fn table(&self) -> Vec<Vec<String>> {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.skipped.is_none()).collect();
        let mut table = vec![vec![self.name.to_owned()]];
        table.extend(rows.iter().map(|row| vec![row.name.clone()]));
        for (heading, cells) in self.columns(&rows) {
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let cells = std::iter::once(heading).chain(cells.into_iter().map(Option::unwrap_or_default));
            for (row, cell) in table.iter_mut().zip(cells) {
                row.push(cell);
            }
        }
        table
    }

    fn columns(&self, rows: &[&Row]) -> Vec<Column> {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let (bytes, documents) = (self.bytes as f64, self.documents as f64);
        let column = |heading: &str, cell: &dyn Fn(&Row) -> Option<String>| -> Column {
            (heading.to_owned(), rows.iter().map(|row| cell(row)).collect())
        };
        let median = |spread: Option<Spread>| spread.map(|spread| short(spread.median));
        let rate = |row: &Row, amount: f64| {
            let rate = ratio(amount, row.wall()?.median).filter(|_| self.bytes > 0);
            rate.map(short)
        };
        let mut columns = vec![
            column("s", &|row| median(row.wall())),
            column("min..max", &|row| {
                row.wall()
                    .map(|wall| format!("{}..{}", short(wall.min), short(wall.max)))
            }),
            column("runs", &|row| Some(row.samples.len().to_string())),
            column("MB/s", &|row| rate(row, bytes / 1e6)),
            column("files/s", &|row| rate(row, documents)),
            column("client CPU s", &|row| {
                median(row.spread(|sample| seconds(sample.client_cpu)))
            }),
            column("server CPU s", &|row| {
                median(row.spread(|sample| seconds(sample.server_cpu)))
            }),
            column("client peak MB", &|row| {
                median(row.spread(|sample| peak_bytes(sample).map(|bytes| bytes / 1e6)))
            }),
            column("copies from seed", &|row| median(row.spread(|sample| sample.copies))),
            column("/s", &|row| median(row.spread(|sample| sample.per_second))),
            column("p50 ms", &|row| median(row.spread(|sample| Some(sample.answer_ms?.0)))),
            column("p99 ms", &|row| median(row.spread(|sample| Some(sample.answer_ms?.1)))),
            column("KiB each", &|row| median(row.spread(|sample| sample.kib_each))),
        ];
        for (label, name) in &self.references {
            columns.push(column(&format!("x {label}"), &|row| self.ratio(row, name).map(short)));
        }
        columns
    }

    /// The names of those that did not take part.
    pub fn skipped(&self) -> impl Iterator<Item = String> {
        let skipped = self.rows.iter().filter(|row| row.skipped.is_some());
        skipped.map(|row| format!("{} ({})", row.name, self.name))
    }

    fn skips(&self) -> Vec<String> {
        let skip = |row: &Row| Some(format!("SKIPPED {}: {}", row.name, row.skipped.as_ref()?));
        self.rows.iter().filter_map(skip).collect()
    }
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "memory is far below what the type is exact for"
)]
fn peak_bytes(sample: &Sample) -> Option<f64> {
    sample.peak_memory.map(|bytes| bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |name: &str, walls: &[u64]| {
            let mut row = Row::new(name, None);
            row.samples.extend(walls.iter().map(|&wall| Sample {
                wall: Duration::from_millis(wall),
                ..Sample::default()
            }));
            row
        };
        Report {
            name: "mirror",
            title: "A title",
            documents: 10,
            bytes: 1_000_000,
            origin: "somewhere".to_owned(),
            conditions: vec!["a condition".to_owned()],
            rows: vec![
                row("ours", &[500, 400, 600]),
                row("rsync | x", &[1000, 2000]),
                Row::new("aria2c", Some("`aria2c` is not installed".to_owned())),
            ],
            references: vec![("rsync", "rsync | x"), ("aria2c", "aria2c")],
        }
    }

    #[test]
    fn the_table_has_medians_ratios_and_whoever_was_skipped() {
        let text = report().to_text();
        assert!(text.contains("10 documents, 1.00 MB: somewhere"), "{text}");
        let line = |name: &str| -> Vec<&str> {
            let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split_whitespace().collect()
        };
        assert_eq!(
            line("ours"),
            ["ours", "0.500", "0.400..0.600", "3", "2.00", "20.0", "0.333"]
        );
        assert_eq!(
            line("rsync"),
            ["rsync", "|", "x", "1.50", "1.00..2.00", "2", "0.667", "6.67", "1.00"]
        );
        assert!(text.contains("SKIPPED aria2c: `aria2c` is not installed"), "{text}");
        assert!(!text.contains("CPU") && !text.contains("x aria2c"), "{text}");
    }

    #[test]
    fn markdown_has_a_table_and_json_a_row_for_each() {
        let text = report().to_markdown();
        assert!(
            text.contains("| mirror | s |") && text.contains("\n|---|---:|"),
            "{text}"
        );
        let rows = report().to_json();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].pointer("/seconds/median"), Some(&json!(0.5)));
        assert_eq!(rows[2].pointer("/skipped"), Some(&json!("`aria2c` is not installed")));
    }
}
