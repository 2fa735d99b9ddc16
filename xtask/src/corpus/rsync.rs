//! The series from the RFC Editor's rsync server.

use std::{io::IsTerminal, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use super::say;
use crate::process;

/// How long the server may take to answer at all. Many networks let no rsync through, and drop it silently.
const CONNECT_SECONDS: &str = "--contimeout=8";

/// How long the server may send nothing in the middle of a transfer.
const SILENCE_SECONDS: &str = "--timeout=60";

/// 500 MB over a slow line.
const TRANSFER_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);

/// The module with the texts, and the pattern of the files in it that are RFCs.
const TEXTS: (&str, &str) = ("rfcs-text-only", "/rfc[0-9]*.txt");

/// The module with the metadata records.
const RECORDS: (&str, &str) = ("rfcs-json-only", "/rfc[0-9]*.json");

/// Fails, with the reason, unless the server answers and has the texts.
pub fn probe(host: &str) -> Result<()> {
    let mut command = Command::new("rsync");
    command.args([CONNECT_SECONDS, "--timeout=15", &format!("rsync://{host}/")]);
    // The name of the host may take its time to be found missing.
    let answer = process::run("rsync", command, Duration::from_secs(45)).context("rsync does not run")?;
    if answer.code() != 0 {
        bail!("{}", answer.stderr.lines().next().unwrap_or("no reason given"));
    }
    if !answer.stdout.contains(TEXTS.0) {
        bail!("{host} has no module {}", TEXTS.0);
    }
    Ok(())
}

/// Fetches what the folder lacks.
pub fn fetch(host: &str, folder: &Path) -> Result<String> {
    say(&format!(
        "Fetching the texts from {host} (about 520 MB; an interrupted run goes on where it stopped)."
    ));
    transfer(host, TEXTS, folder).context("the texts did not arrive; run this again to go on")?;
    say("Fetching the metadata records.");
    transfer(host, RECORDS, folder).context("the metadata records did not arrive; run this again to go on")?;
    Ok(format!("{host} by rsync"))
}

fn transfer(host: &str, (module, pattern): (&str, &str), folder: &Path) -> Result<()> {
    let mut command = Command::new("rsync");
    command.args(["--recursive", "--times", "--compress", "--partial", CONNECT_SECONDS]);
    if std::io::stdout().is_terminal() {
        // It rewrites one line for every file.
        command.arg("--info=progress2");
    }
    command.args([SILENCE_SECONDS, &format!("--include={pattern}"), "--exclude=*"]);
    command.arg(format!("rsync://{host}/{module}/")).arg(folder);
    process::run_visibly(&format!("rsync {module}"), command, TRANSFER_LIMIT)
}
