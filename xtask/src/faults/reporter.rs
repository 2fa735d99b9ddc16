//! A child that prints JSON Lines, read one by one as they come.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    process::Process,
    wait::{self, Look},
};

/// A `peer join --json` or `peer watch --json` at work.
#[derive(Debug)]
pub struct Reporter {
    process: Process,
    output: BufReader<File>,
    /// The beginning of a line whose end has not been printed yet.
    partial: Vec<u8>,
}

impl Reporter {
    /// Starts the child; its output also stays in the folder of logs.
    pub fn spawn(name: &str, command: Command, logs: &Path) -> Result<Self> {
        Self::follow(Process::spawn(name, command, logs)?, logs)
    }

    /// Reads what a child prints that has just been started.
    pub fn follow(process: Process, logs: &Path) -> Result<Self> {
        let path = logs.join(format!("{}.out", process.name()));
        let output = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            process,
            output: BufReader::new(output),
            partial: Vec::new(),
        })
    }

    /// The child.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The next object, if it has been printed already.
    pub fn next(&mut self) -> Result<Option<Value>> {
        self.output.read_until(b'\n', &mut self.partial)?;
        if self.partial.last() != Some(&b'\n') {
            return Ok(None);
        }
        let line = String::from_utf8(std::mem::take(&mut self.partial))?;
        let value = serde_json::from_str(&line).with_context(|| format!("this line is not JSON: {line}"))?;
        Ok(Some(value))
    }

    /// All objects that have been printed and not been read yet.
    pub fn printed(&mut self) -> Result<Vec<Value>> {
        std::iter::from_fn(|| self.next().transpose()).collect()
    }

    /// Reads on until an object comes for which `wanted` returns something.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<(T, Duration)> {
        let what = format!("{} to report {what}", self.process.name());
        let mut last = "nothing was reported".to_owned();
        wait::until(&what, limit, || {
            let runs = self.process.runs()?;
            while let Some(value) = self.next()? {
                if let Some(found) = wanted(&value) {
                    return Ok(Look::Done(found));
                }
                last = value.to_string();
            }
            if !runs {
                bail!("it ended while this waited for {what}{}", self.process.tail());
            }
            Ok(Look::NotYet(last.clone()))
        })
    }
}

/// Whether an object is an event of this kind.
pub fn is_event(value: &Value, kind: &str) -> bool {
    value.get("event").and_then(Value::as_str) == Some(kind)
}

/// The string in a field of an object; empty when there is none.
pub fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_read_and_half_ones_wait_for_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "printf '{\"event\":\"a\",\"n\":\"1\"}\\n{\"event\"'; read -r line; echo never",
        ]);
        let mut reporter = Reporter::spawn("shell", command, folder.path()).unwrap();
        let limit = Duration::from_secs(10);
        let (found, _) = reporter
            .wait_for("an a", limit, |value| {
                is_event(value, "a").then(|| field(value, "n").to_owned())
            })
            .unwrap();
        assert_eq!(found, "1");
        assert_eq!(field(&Value::Null, "n"), "");
        // Its standard input is empty, so that it prints the rest, which is not JSON.
        let error = reporter.wait_for::<()>("b", limit, |_| None).unwrap_err();
        assert!(error.to_string().contains("not JSON"), "{error}");
    }
}
