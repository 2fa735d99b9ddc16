//! What the programs are built from: licences, sources, and packages that are not wanted, as `deny.toml` has it.
//!
//! cargo-deny does the work. Known flaws of packages are in a database on the net; where that cannot be fetched, what
//! can be told without it is checked all the same, and the answer says what was left out.

use std::time::Duration;

use anyhow::Result;

use crate::{ci::Outcome, process, tools, wait, workspace};

/// No check takes this long, unless it hangs.
const CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long the database of known flaws may take to come: it is some megabytes, and a network may swallow packets.
const FETCH_LIMIT: Duration = Duration::from_secs(2 * 60);

/// Checks everything that `deny.toml` says.
pub fn run() -> Result<Outcome> {
    if !tools::has("cargo-deny") {
        return Ok(Outcome::Skipped("cargo-deny is not installed".to_owned()));
    }
    check(&["--locked", "--workspace", "check", "bans", "licenses", "sources"])?;
    if !database_is_here()? {
        let text = "bans, licences and sources; advisories SKIPPED: their database cannot be fetched";
        return Ok(Outcome::Passed(text.to_owned()));
    }
    // The database is here now, and a network that fails meanwhile must not fail the check.
    check(&["--locked", "--workspace", "--offline", "check", "advisories"])?;
    Ok(Outcome::Passed("bans, licences, sources and advisories".to_owned()))
}

fn check(arguments: &[&str]) -> Result<()> {
    let command = workspace::cargo(&[&["deny"], arguments].concat());
    process::run_visibly(&format!("cargo deny {}", arguments.join(" ")), command, CHECK_LIMIT)
}

/// Fetches the database of known flaws, if it can be had. Fails only when it was interrupted.
fn database_is_here() -> Result<bool> {
    let what = "cargo deny fetch db";
    let fetched = process::run(what, workspace::cargo(&["deny", "fetch", "db"]), FETCH_LIMIT)
        .and_then(|finished| finished.expect_code(what, 0));
    wait::check_interrupt()?;
    if let Err(error) = &fetched {
        println!("{error:#}");
    }
    Ok(fetched.is_ok())
}
