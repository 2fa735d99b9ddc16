//! Child processes: started in a group of their own, and ended on every way out.
//!
//! Each child leads a process group, so that Ctrl-C at the terminal reaches this program alone, which then ends its
//! children in good order, and so that whatever a child has started ends with it. Output goes to files, never to
//! pipes: a file cannot fill up and block a child that nobody reads.

mod once;

use std::{
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

pub use self::once::{Finished, run, run_by_line, run_visibly, run_watched, run_with_input};
use crate::wait::{self, Look};

/// How long a one-shot child may take to end after it was asked to, before it is killed. It may have children of its
/// own to end, as docker-compose does.
const GRACE: Duration = Duration::from_secs(5);

/// The number of lines of a log that are worth showing when something failed.
const TAIL_LINES: usize = 12;

/// A child process that is ended, if it still runs, when this value goes away.
#[derive(Debug)]
struct Guard {
    child: Child,
    ended: Option<ExitStatus>,
    /// Ask with SIGTERM before SIGKILL.
    polite: bool,
}

impl Guard {
    fn spawn(mut command: Command, polite: bool) -> Result<Self> {
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            ended: None,
            polite,
        })
    }

    fn pid(&self) -> Result<Pid> {
        let raw = i32::try_from(self.child.id())?;
        Pid::from_raw(raw).ok_or_else(|| anyhow!("the system gave a child the process id 0"))
    }

    fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    fn wait(&mut self, what: &str, limit: Duration) -> Result<(ExitStatus, Duration)> {
        wait::until(&format!("the end of {what}"), limit, || {
            Ok(self
                .status()?
                .map_or_else(|| Look::NotYet("it still runs".into()), Look::Done))
        })
    }

    /// Sends a signal, unless the child is known to have ended: its id may belong to another process then.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.status()?.is_none() {
            kill_process(self.pid()?, signal)?;
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status()? {
            return Ok(status);
        }
        // As long as the child is not waited for, its id, and so the group's, cannot be given to anybody else.
        kill_process_group(self.pid()?, Signal::KILL)?;
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }

    fn end(&mut self) -> Result<()> {
        if self.polite && self.status()?.is_none() {
            kill_process_group(self.pid()?, Signal::TERM)?;
            let asked = wait::now();
            // Not wait::until, which refuses to wait after an interrupt, and that is when this runs.
            while self.status()?.is_none() && asked.elapsed() < GRACE {
                thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill().map(drop)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and this runs during a panic too.
        let _ = self.end();
    }
}

/// A child that runs beside this program, such as a registry or a peer.
#[derive(Debug)]
pub struct Process {
    name: String,
    guard: Guard,
    stdout: PathBuf,
    stderr: PathBuf,
    expected_to_end: bool,
}

impl Process {
    /// Starts a child whose output goes to `NAME.out` and `NAME.err` in the folder of logs, after what an earlier
    /// child of that name left there.
    pub fn spawn(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        command.stdin(Stdio::null());
        Self::start(name, command, logs)
    }

    /// Like [`spawn`](Self::spawn), for a child that reads what is typed into the returned pipe.
    pub fn spawn_with_stdin(name: &str, mut command: Command, logs: &Path) -> Result<(Self, ChildStdin)> {
        command.stdin(Stdio::piped());
        let mut process = Self::start(name, command, logs)?;
        let stdin = process.guard.child.stdin.take();
        Ok((process, stdin.ok_or_else(|| anyhow!("{name} has no standard input"))?))
    }

    fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        let (stdout, stderr) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
        // The standard output starts afresh, because the first line of it is waited for.
        command.stdout(File::create(&stdout)?);
        command.stderr(File::options().create(true).append(true).open(&stderr)?);
        let guard = Guard::spawn(command, false)?;
        Ok(Self {
            name: name.to_owned(),
            guard,
            stdout,
            stderr,
            expected_to_end: false,
        })
    }

    /// The name that this child was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.guard.child.id()
    }

    /// What the child has printed so far.
    pub fn stdout(&self) -> Result<String> {
        read_lossy(&self.stdout)
    }

    /// What the child has reported so far.
    pub fn stderr(&self) -> Result<String> {
        read_lossy(&self.stderr)
    }

    /// Waits until the child has printed a whole line for which `wanted` returns something, and returns that.
    pub fn wait_for_line<T>(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<(T, Duration)> {
        let name = self.name.clone();
        wait::until(&format!("{name} to print {what}"), limit, || {
            // Looked at before the output is read, so that the last words of a child that ends are not missed.
            let ended = self.guard.status()?;
            let printed = self.stdout()?;
            let whole = printed.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(found) = whole.lines().find_map(&wanted) {
                return Ok(Look::Done(found));
            }
            if let Some(status) = ended {
                bail!("{name} ended ({status}) before it printed {what}{}", self.tail());
            }
            Ok(Look::NotYet(format!("it printed {printed:?}{}", self.tail())))
        })
    }

    /// Fails when the child has ended although nobody asked it to.
    pub fn check_runs(&mut self) -> Result<()> {
        match self.guard.status()? {
            Some(status) if !self.expected_to_end => {
                bail!("{} ended by itself ({status}){}", self.name, self.tail())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the child still runs.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.guard.status()?.is_none())
    }

    /// Sends the child a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.guard
            .signal(signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Kills the child at once (SIGKILL), as a crash or a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.expected_to_end = true;
        let status = self
            .guard
            .kill()
            .with_context(|| format!("cannot kill {}", self.name))?;
        if status.signal() != Some(Signal::KILL.as_raw()) {
            bail!(
                "{} had ended by itself before it was killed ({status}){}",
                self.name,
                self.tail()
            );
        }
        Ok(())
    }

    /// Waits until the child ends by itself, and expects exit code 0. Nothing to check about one that was killed.
    pub fn ends_well(&mut self, limit: Duration) -> Result<Duration> {
        if self.expected_to_end && !self.runs()? {
            return Ok(Duration::ZERO);
        }
        self.ends_with_code(0, limit)
    }

    /// Waits until the child ends by itself, and expects this exit code.
    pub fn ends_with_code(&mut self, code: i32, limit: Duration) -> Result<Duration> {
        self.expected_to_end = true;
        let ended = self.guard.wait(&self.name, limit);
        let (status, took) = ended.map_err(|error| anyhow!("{error}{}", self.tail()))?;
        if status.code() != Some(code) {
            bail!(
                "{} ended with {status}, not with exit code {code}{}",
                self.name,
                self.tail()
            );
        }
        Ok(took)
    }

    /// Asks the child to end (SIGTERM), and expects it to do so with exit code 0.
    pub fn stop(&mut self, limit: Duration) -> Result<Duration> {
        self.signal(Signal::TERM)?;
        self.ends_well(limit)
    }

    /// Whether nothing of the child's process group is left.
    pub fn is_gone(&mut self) -> Result<bool> {
        Ok(self.guard.status()?.is_some() && test_kill_process_group(self.guard.pid()?).is_err())
    }

    /// The last lines that the child reported, for an error message.
    pub fn tail(&self) -> String {
        let text = read_lossy(&self.stderr).unwrap_or_default();
        tail(&format!("log of {}", self.name), &text)
    }
}

/// The last lines of a text under a heading, or nothing when the text is empty.
pub fn tail(heading: &str, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
    last.fold(format!("\n  {heading}:"), |text, line| text + "\n  | " + line)
}

fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
