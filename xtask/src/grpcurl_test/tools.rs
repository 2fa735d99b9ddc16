//! The public tools: installing them, and running them.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    process::{self, Finished},
    workspace,
};

/// For the download of two programs over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// No call of these tests takes this long.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// A tool that knows the schema by reflection only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// grpcurl 1.8.6, which speaks reflection v1alpha.
    Grpcurl,
    /// `buf curl`, told to speak reflection v1.
    BufV1,
    /// `buf curl`, told to speak reflection v1alpha.
    BufV1Alpha,
}

/// Where the tools are.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

/// What a call answered.
#[derive(Debug)]
pub struct Answer {
    /// The messages.
    pub messages: Vec<Value>,
    /// Everything that the tool printed when the call failed; empty when it did not.
    pub error: String,
}

impl Tools {
    /// Installs the tools into the target folder, unless they are there.
    pub fn install() -> Result<Self> {
        let script = workspace::root().join("xtask/tools/install.sh");
        let mut command = Command::new("sh");
        command.arg(&script).arg(workspace::target_dir().join("tools"));
        let done = process::run("xtask/tools/install.sh", command, INSTALL_LIMIT)?;
        if done.code() != 0 {
            bail!("{}", done.stderr.lines().last().unwrap_or("no reason given"));
        }
        Ok(Self {
            folder: workspace::tools_dir(),
        })
    }

    /// The folder that holds both programs.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Checks the `.proto` files against the rules of `buf.yaml`, and their format.
    pub fn check_protos(&self) -> Result<()> {
        for arguments in [&["lint"][..], &["format", "--diff", "--exit-code"]] {
            let mut command = self.command("buf");
            command.current_dir(workspace::root()).args(arguments);
            let what = format!("buf {}", arguments.join(" "));
            process::run(&what, command, CALL_LIMIT)?.expect_code(&what, 0)?;
        }
        Ok(())
    }

    /// One of the programs, with nothing of the user's configuration.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        // A proxy for web pages has no part in calls on this machine.
        for name in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Calls an RPC; the request messages are JSON, one after the other.
    pub fn call(&self, tool: Tool, address: &str, method: &str, requests: &str) -> Result<Answer> {
        let command = match tool {
            Tool::Grpcurl => {
                let mut command = self.command("grpcurl");
                command.args(["-plaintext", "-max-time", "20", "-d", "@", address, method]);
                command
            }
            Tool::BufV1 => self.buf_curl("grpc-v1", &["--data", "@-", &format!("http://{address}/{method}")]),
            Tool::BufV1Alpha => self.buf_curl("grpc-v1alpha", &["--data", "@-", &format!("http://{address}/{method}")]),
        };
        let what = format!("{tool:?} {method}");
        let done = process::run_with_input(&what, command, requests, CALL_LIMIT)?;
        let messages = messages(&done.stdout).with_context(|| format!("{what} printed {:?}", done.stdout))?;
        let error = if done.code() == 0 {
            String::new()
        } else {
            done.stderr + &done.stdout
        };
        Ok(Answer { messages, error })
    }

    /// Runs grpcurl for something else than a call, and returns what it printed.
    pub fn grpcurl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command("grpcurl");
        command.arg("-plaintext").args(arguments);
        let what = format!("grpcurl {}", arguments.join(" "));
        process::run(&what, command, CALL_LIMIT)?
            .expect_code(&what, 0)
            .map(|done: Finished| done.stdout)
    }

    /// Runs `buf curl` for something else than a call, and returns what it printed.
    pub fn buf(&self, reflection: &str, arguments: &[&str]) -> Result<String> {
        let what = format!("buf curl {}", arguments.join(" "));
        let done = process::run(&what, self.buf_curl(reflection, arguments), CALL_LIMIT)?;
        done.expect_code(&what, 0).map(|done| done.stdout)
    }

    fn buf_curl(&self, reflection: &str, arguments: &[&str]) -> Command {
        let mut command = self.command("buf");
        command.args([
            "curl",
            "--timeout",
            "20s",
            "--protocol",
            "grpc",
            "--reflect-protocol",
            reflection,
        ]);
        command.args(arguments);
        command
    }
}

/// The JSON values of a text, one after the other, over as many lines as they like.
pub fn messages(text: &str) -> Result<Vec<Value>> {
    Ok(serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()?)
}
