//! Children that are run to their end.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Result, bail};

use super::{GRACE, Guard, tail};
use crate::wait::{self, Look};

/// What a child that ran to its end left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it reported.
    pub stderr: String,
}

impl Finished {
    /// The exit code; -1 for a child that a signal ended.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Fails, with what the child printed, unless it ended with this exit code.
    pub fn expect_code(self, what: &str, wanted: i32) -> Result<Self> {
        if self.code() != wanted {
            let (out, err) = (
                tail("standard output", &self.stdout),
                tail("standard error", &self.stderr),
            );
            bail!(
                "`{what}` should end with exit code {wanted}, but: {}{out}{err}",
                self.status
            );
        }
        Ok(self)
    }
}

/// Runs a child to its end and returns what it printed.
pub fn run(what: &str, command: Command, limit: Duration) -> Result<Finished> {
    run_with_input(what, command, "", limit)
}

/// Runs a child that reads `input` to its end and returns what it printed.
pub fn run_with_input(what: &str, command: Command, input: &str, limit: Duration) -> Result<Finished> {
    let ended = |guard: &mut Guard| guard.wait(&format!("`{what}`"), limit).map(|(status, _)| status);
    run_until(command, input, ended)
}

/// Runs a child to its end, looks at it by its process id every millisecond, and tells how long it ran, to the
/// millisecond.
pub fn run_watched(
    what: &str,
    command: Command,
    limit: Duration,
    mut look: impl FnMut(u32),
) -> Result<(Finished, Duration)> {
    let start = wait::now();
    let mut took = Duration::ZERO;
    let finished = run_until(command, "", |guard| {
        let id = guard.child.id();
        let ended = wait::until_fine(&format!("the end of `{what}`"), limit, || {
            look(id);
            let status = guard.status()?;
            Ok(status.map_or_else(|| Look::NotYet("it still runs".into()), Look::Done))
        });
        took = start.elapsed();
        ended.map(|(status, _)| status)
    })?;
    Ok((finished, took))
}

/// Runs a child that reads `input`, waits for it in the given manner, and returns what it printed.
fn run_until(
    mut command: Command,
    input: &str,
    wait: impl FnOnce(&mut Guard) -> Result<ExitStatus>,
) -> Result<Finished> {
    wait::check_interrupt()?;
    let mut stdin = tempfile::tempfile()?;
    stdin.write_all(input.as_bytes())?;
    stdin.seek(SeekFrom::Start(0))?;
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(stdin)
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?);
    let mut guard = Guard::spawn(command, true)?;
    let ended = wait(&mut guard);
    let (stdout, stderr) = (whole(&mut stdout)?, whole(&mut stderr)?);
    let status = ended.map_err(|error| match tail("its last words", &stderr) {
        nothing if nothing.is_empty() => error,
        words => error.context(words),
    })?;
    Ok(Finished { status, stdout, stderr })
}

/// Runs a child to its end; the user sees its output as it comes. Fails unless it ends with exit code 0.
pub fn run_visibly(what: &str, mut command: Command, limit: Duration) -> Result<()> {
    wait::check_interrupt()?;
    command.stdin(Stdio::null());
    let (status, _) = Guard::spawn(command, true)?.wait(&format!("`{what}`"), limit)?;
    if !status.success() {
        bail!("`{what}` failed: {status}");
    }
    Ok(())
}

/// Runs a child to its end and hands over its output, both streams in the order in which they were written, line by
/// line as it comes.
pub fn run_by_line(mut command: Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut guard = Guard::spawn(command, true)?;
    let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(64);
    // Reads until every writer is closed; it ends with the child, which the guard ends on every way out.
    thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer.get(..count).unwrap_or_default().to_vec()).is_err() {
                return;
            }
        }
    });
    let mut pending = Vec::new();
    let mut quiet_since_end = 0;
    // A process that the child has left behind could hold the pipe open for ever.
    while quiet_since_end < 40 {
        wait::check_interrupt()?;
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(bytes) => pending.extend(bytes),
            Err(RecvTimeoutError::Timeout) => {
                quiet_since_end += u32::from(guard.status()?.is_some());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        }
    }
    Ok(guard.wait("the command", GRACE)?.0)
}

fn whole(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
