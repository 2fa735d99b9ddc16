//! What figures were measured on and with, so that a reader can judge them.

use std::{fs, path::Path, process::Command, thread};

use rustix::system::uname;
use serde_json::{Value, json};

use super::{LOOK_LIMIT, figures};
use crate::{console, process, tools, workspace};

/// What is asked for its version, and how.
const TOOLS: [(&str, &str); 7] = [
    ("rustc", "--version"),
    ("rsync", "--version"),
    ("nginx", "-v"),
    ("curl", "--version"),
    ("aria2c", "--version"),
    ("openssl", "version"),
    ("redis-server", "--version"),
];

/// The machine, and the programs on it.
#[derive(Debug)]
pub struct Machine {
    cpu: String,
    cores: usize,
    memory: u64,
    kernel: String,
    load: String,
    commit: String,
    date: String,
    versions: Vec<String>,
}

impl Machine {
    /// Looks at this machine. What cannot be found out is "unknown".
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let system = uname();
        let version = |(name, option): &(&str, &str)| first_line(&tools::find(name)?, &[option]);
        Self {
            cpu: value_of(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory: memory(&read("/proc/meminfo")).unwrap_or_default(),
            kernel: format!(
                "{} {} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy(),
                system.machine().to_string_lossy()
            ),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            commit: commit().unwrap_or_else(unknown),
            date: first_line(Path::new("date"), &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_else(unknown),
            versions: TOOLS.iter().filter_map(version).collect(),
        }
    }

    /// What is to be known, as a list in Markdown.
    pub fn to_markdown(&self) -> String {
        format!(
            "- machine: {}, {}, {} of memory, {}\n- load of the machine before it began: {} (1 min)\n- commit: {}\n\
             - date: {}\n- versions: {}\n",
            self.cpu,
            console::count(self.cores, "core"),
            figures::bytes(self.memory),
            self.kernel,
            self.load,
            self.commit,
            self.date,
            self.versions.join("; ")
        )
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "machine": {
                "cpu": self.cpu, "cores": self.cores, "memory_bytes": self.memory, "kernel": self.kernel,
                "load": self.load,
            },
            "commit": self.commit, "date": self.date, "versions": self.versions,
        })
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The first line that a program prints or reports.
fn first_line(program: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    let done = process::run(&program.to_string_lossy(), command, LOOK_LIMIT).ok()?;
    let line = done.stdout.lines().chain(done.stderr.lines()).next()?;
    (done.code() == 0).then(|| line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The commit that was built, and whether the tree holds anything else.
fn commit() -> Option<String> {
    let git = tools::find("git")?;
    let commit = first_line(&git, &["rev-parse", "--short=12", "HEAD"])?;
    let changes = first_line(&git, &["status", "--porcelain", "--untracked-files=no"]);
    Some(changes.map_or_else(|| commit.clone(), |_| format!("{commit}, with changes")))
}

/// The value in the first line of this name, as in `name : value`.
fn value_of(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The memory in the text of `/proc/meminfo`, in bytes.
fn memory(text: &str) -> Option<u64> {
    let value = value_of(text, "MemTotal")?;
    let kibibytes: u64 = value.strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        assert_eq!(value_of("a\t: b c\nd: e\n", "a"), Some("b c".to_owned()));
        assert_eq!(value_of("", "a"), None);
        assert_eq!(
            memory("MemTotal:       24592832 kB\nMemFree: 1 kB\n"),
            Some(24_592_832 << 10)
        );
    }
}
