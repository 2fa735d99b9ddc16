//! The frame of the story: numbered steps, each timed, and a summary at the end.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{console, wait};

/// The steps that have been told so far.
#[derive(Debug, Default)]
pub struct Story {
    done: Vec<(String, String, Duration)>,
}

impl Story {
    /// Tells one step. It returns its finding: one line that says what has just been proven.
    pub fn step(&mut self, title: &str, step: impl FnOnce() -> Result<String>) -> Result<()> {
        wait::check_interrupt()?;
        let number = self.done.len() + 1;
        println!("\n{number:2}. {title}");
        let start = wait::now();
        let finding = step().with_context(|| format!("step {number}, \"{title}\", did not go as told"))?;
        println!("    ok: {finding}");
        self.done.push((title.to_owned(), finding, start.elapsed()));
        Ok(())
    }

    /// How many steps went as told.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Prints every step with its time and its finding.
    pub fn print_summary(&self) {
        println!("\nSummary");
        for (index, (title, finding, took)) in self.done.iter().enumerate() {
            println!("{:2}. {title:<45} {:>8}  {finding}", index + 1, console::seconds(*took));
        }
    }
}
