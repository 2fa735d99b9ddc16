//! The fuzzer's own program: how it is built, run, and what it tells.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{kept, scratch, visibly};
use crate::{console, process, wait, workspace};

/// What counts the edges of the code that an input passes. It is one of the compiler's own passes, which the stable one
/// has.
const INSTRUMENTED: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Ccodegen-units=16",
];

/// What runs the compiler for packages of the workspace: it adds what shows the fuzzer which values are compared. Nearly
/// all comparisons are made by what lies below, as timers and queues of the runtime, and took a third of the time.
const COMPARED: &str = "#!/bin/sh\nexec \"$@\" -Cllvm-args=-sanitizer-coverage-trace-compares\n";

/// An input that takes longer costs somebody else more than it costs its sender.
const SLOWEST_SECONDS: u64 = 1;

/// Memory that no input may take, all of the program's own included.
const MOST_MEMORY_MB: u64 = 512;

/// The longest input: what is longer is more of the same, and slower.
const LONGEST_BYTES: u64 = 4096;

/// How often an input is tried again that was slow once: on a busy machine anything is slow once.
const SLOW_AGAIN: usize = 3;

/// What a fuzzer needs to begin and to end, beside what it is given.
const MARGIN: Duration = Duration::from_secs(120);

/// No machine takes this long for the executions that somebody asks for.
const LONGEST: Duration = Duration::from_secs(48 * 3600);

/// How much is done for a target.
#[derive(Debug, Clone, Copy)]
pub enum Effort {
    /// As much as fits.
    Time(Duration),
    /// At least so many executions.
    Executions(u64),
}

/// What came of fuzzing a target.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that were tried.
    pub executions: u64,
    /// For how long.
    pub took: Duration,
    /// Edges of the code that were passed by any input.
    pub edges: u64,
    /// Inputs that are kept.
    pub kept: usize,
    /// Inputs that led to new places, this time or an earlier one.
    pub new: usize,
    /// What does not hold, and with which input.
    pub found: Option<String>,
}

/// The fuzzer's program.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    /// Where targets have their temporary files, which a target that crashes leaves behind.
    temporary: TempDir,
}

/// How one run of the program ended.
enum Ended {
    Well,
    Slow(PathBuf),
    Badly(String),
}

impl Engine {
    /// Builds it.
    pub fn build() -> Result<Self> {
        let (folder, host) = (scratch(), host()?);
        let compiler = compiler(&folder)?;
        // Naming the platform keeps the flags from what runs during the build.
        let mut command = workspace::cargo(&["build", "--locked", "-p", "fuzz", "--profile", "fuzz"]);
        command.args([
            "--features",
            "engine",
            "--bin",
            "engine",
            "--target",
            &host,
            "--target-dir",
        ]);
        command
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\x1f"))
            .env("RUSTC_WORKSPACE_WRAPPER", compiler);
        visibly("the build of the fuzzer", command)?;
        let program = folder.join(host).join("fuzz/engine");
        if !program.is_file() {
            bail!("cargo built no {}", program.display());
        }
        let memory = Path::new("/dev/shm");
        let temporary = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        };
        Ok(Self {
            program,
            temporary: temporary.context("no folder for temporary files can be made")?,
        })
    }

    /// The program, for one target.
    pub fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("FUZZ_TARGET", target).env("TMPDIR", self.temporary.path());
        command.arg(format!("-timeout={SLOWEST_SECONDS}"));
        command.arg(format!("-rss_limit_mb={MOST_MEMORY_MB}"));
        command.arg(format!("-max_len={LONGEST_BYTES}"));
        command
    }

    /// Fuzzes a target, from what is kept for it and from what was found earlier.
    pub fn fuzz(&self, target: &str, effort: Effort) -> Result<Report> {
        let (new, failed) = (kept::new_of(target), scratch().join("failed").join(target));
        for folder in [&new, &failed] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let start = wait::now();
        let mut report = Report::default();
        while report.found.is_none() {
            let (left, limit) = match effort {
                Effort::Time(time) => {
                    let left = time.saturating_sub(start.elapsed());
                    // Nothing less than a second can be asked for, and none at all is without end.
                    if left < Duration::from_secs(1) {
                        break;
                    }
                    (format!("-max_total_time={}", left.as_secs()), left + MARGIN)
                }
                Effort::Executions(executions) if executions > report.executions => {
                    (format!("-runs={}", executions - report.executions), LONGEST)
                }
                Effort::Executions(_) => break,
            };
            let mut command = self.command(target);
            command.args([left, "-print_final_stats=1".to_owned()]);
            command.arg(format!("-artifact_prefix={}/", failed.display()));
            command.arg(&new).arg(kept::of(target));
            let what = format!("fuzzing {target}");
            let finished = process::run(&what, command, limit)?;
            report.add(&finished.stderr);
            report.found = match ended(finished.code(), &finished.stderr) {
                Ended::Well => continue,
                Ended::Slow(input) => self.slow_again(target, &input)?,
                Ended::Badly(why) => Some(format!("{target}: {why}")),
            };
        }
        report.took = start.elapsed();
        report.kept = count(&kept::of(target));
        report.new = count(&new);
        Ok(report)
    }

    /// Tries an input again that was slow once. What is slow each time is a defect.
    fn slow_again(&self, target: &str, input: &Path) -> Result<Option<String>> {
        for _ in 0..SLOW_AGAIN {
            let mut command = self.command(target);
            command.arg(input);
            let start = wait::now();
            let finished = process::run("an input that was slow", command, MARGIN)?;
            if finished.code() == 0 {
                let took = console::seconds(start.elapsed());
                println!("{target}: an input took more than {SLOWEST_SECONDS} s once, but by itself {took}");
                return Ok(None);
            }
        }
        Ok(Some(format!(
            "{target}: more than {SLOWEST_SECONDS} s with {}",
            input.display()
        )))
    }
}

impl Report {
    /// Adds what a run tells of itself.
    fn add(&mut self, told: &str) {
        self.executions += statistic(told, "stat::number_of_executed_units:")
            .or_else(|| progress(told).first().copied())
            .unwrap_or(0);
        self.edges = self.edges.max(progress(told).get(1).copied().unwrap_or(0));
    }
}

/// A number at the end of the line that begins so.
fn statistic(told: &str, name: &str) -> Option<u64> {
    told.lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim()
        .parse()
        .ok()
}

/// Executions and edges as the last line of progress has them: `#4096 pulse cov: 1024 ft: …`.
fn progress(told: &str) -> Vec<u64> {
    let line = told
        .lines()
        .rev()
        .find(|line| line.starts_with('#') && line.contains("cov: "));
    let numbers = line.and_then(|line| {
        let executions = line.get(1..)?.split_whitespace().next()?.parse().ok()?;
        let edges = line.split_once("cov: ")?.1.split_whitespace().next()?.parse().ok()?;
        Some(vec![executions, edges])
    });
    numbers.unwrap_or_default()
}

fn ended(code: i32, told: &str) -> Ended {
    if code == 0 {
        return Ended::Well;
    }
    let written = told
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim());
    if let Some(path) = written
        && told.contains("ERROR: libFuzzer: timeout")
    {
        return Ended::Slow(path.into());
    }
    let lines: Vec<&str> = told.lines().collect();
    let panicked = lines.iter().position(|line| line.contains("panicked at"));
    let why = match panicked {
        Some(at) => lines
            .iter()
            .skip(at)
            .take(4)
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" "),
        None => lines
            .iter()
            .find(|line| line.contains("ERROR: libFuzzer"))
            .map_or_else(|| format!("it ended with exit code {code}"), |line| (*line).to_owned()),
    };
    match written {
        Some(path) => Ended::Badly(format!("{why}; with {path}")),
        None => Ended::Badly(why),
    }
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The program that runs the compiler for packages of the workspace.
fn compiler(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("compiler");
    if fs::read_to_string(&program).ok().as_deref() != Some(COMPARED) {
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&program, COMPARED))
            .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot make {}", program.display()))?;
    }
    Ok(program)
}

/// The platform that programs are built for, as the compiler calls it.
fn host() -> Result<String> {
    let mut command = Command::new("rustc");
    command.arg("-vV").current_dir(workspace::root());
    let told = process::run("rustc -vV", command, Duration::from_secs(60))?.expect_code("rustc -vV", 0)?;
    let host = told.stdout.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("the compiler does not tell its platform")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "INFO: seed corpus: files: 3\n#3\tINITED cov: 700 ft: 1100 corp: 3/30b exec/s: 0 rss: 40Mb\n\
                        #4096\tpulse  cov: 812 ft: 1300 corp: 9/99b lim: 4 exec/s: 2048 rss: 44Mb\n";

    #[test]
    fn figures_are_read_from_what_the_fuzzer_tells() {
        let mut report = Report::default();
        report.add(&format!("{TOLD}stat::number_of_executed_units: 5000\n"));
        report.add(TOLD);
        assert_eq!((report.executions, report.edges), (5000 + 4096, 812));
    }

    #[test]
    fn a_defect_is_told_with_its_input_and_a_slow_input_apart() {
        let panicked = "thread '<unnamed>' panicked at src/a.rs:7:5:\nit does not hold\n==1== ERROR: libFuzzer: deadly signal\n\
                        artifact_prefix='x/'; Test unit written to x/crash-1\n";
        assert!(matches!(ended(0, TOLD), Ended::Well));
        let Ended::Badly(why) = ended(77, panicked) else {
            panic!("a panic is a defect");
        };
        assert!(
            why.contains("src/a.rs:7:5") && why.contains("it does not hold") && why.ends_with("x/crash-1"),
            "{why}"
        );
        let slow =
            "==1== ERROR: libFuzzer: timeout after 1 seconds\nartifact_prefix='x/'; Test unit written to x/timeout-1\n";
        assert!(matches!(ended(70, slow), Ended::Slow(path) if path == Path::new("x/timeout-1")));
        let memory = "==1== ERROR: libFuzzer: out-of-memory (used: 600Mb; limit: 512Mb)\n";
        assert!(matches!(ended(71, memory), Ended::Badly(why) if why.contains("out-of-memory")));
        assert!(matches!(ended(-1, ""), Ended::Badly(_)));
    }
}
