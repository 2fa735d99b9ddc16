//! A network namespace: the network of a host that is not there.
//!
//! It has no name. It lasts as long as a process in it, and the one that holds it ends when this program does, however
//! that ends; so nothing can be left behind, and no two tests can meet.

use std::{
    fs,
    path::Path,
    process::{ChildStdin, Command},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::{
    process::{self, Process},
    tools,
    wait::{self, Look},
};

/// How long a command of `ip` or of a firewall may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(15);

/// What is needed, beside root.
const TOOLS: [&str; 3] = ["ip", "unshare", "nsenter"];

/// Why no namespace can be made here, if that is plain from the beginning.
pub fn refusal() -> Option<String> {
    if !geteuid().is_root() {
        return Some("network namespaces need root".to_owned());
    }
    let missing = TOOLS.into_iter().find(|tool| !tools::has(tool))?;
    Some(format!("`{missing}` is not installed"))
}

/// A namespace, and the process that holds it.
#[derive(Debug)]
pub struct Space {
    holder: Process,
    /// The holder ends when this is closed.
    _stdin: ChildStdin,
}

impl Space {
    /// Makes a namespace in which only loopback is there.
    pub fn make(name: &str, logs: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]);
        let (mut holder, stdin) = Process::spawn_with_stdin(&format!("space-{name}"), command, logs)?;
        let outside = fs::read_link("/proc/self/ns/net")?;
        let path = format!("/proc/{}/ns/net", holder.id());
        wait::until("a network namespace", COMMAND_LIMIT, || {
            holder.check_runs()?;
            let inside = fs::read_link(&path).with_context(|| format!("cannot read {path}"))?;
            Ok(if inside == outside {
                Look::NotYet("it is not there".to_owned())
            } else {
                Look::Done(())
            })
        })?;
        let space = Self { holder, _stdin: stdin };
        space.run("ip", &["link", "set", "lo", "up"])?;
        Ok(space)
    }

    /// The process that holds it, by which others can name it.
    pub fn holder(&self) -> String {
        self.holder.id().to_string()
    }

    /// A command inside.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .arg(program);
        command
    }

    /// Runs a command inside that should succeed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(Path::new(program));
        command.args(arguments);
        let what = format!("{program} {}", arguments.join(" "));
        process::run(&what, command, COMMAND_LIMIT)?
            .expect_code(&what, 0)
            .map(drop)
    }
}
