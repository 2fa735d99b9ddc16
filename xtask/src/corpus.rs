//! `cargo xtask corpus DIR`: the whole real series of RFCs, ready to be shared.
//!
//! It comes from the RFC Editor by rsync, or, where that cannot be reached, from the packages in which Debian
//! distributes it. Either way DIR ends up flat, with `rfcN.txt` and the metadata record `rfcN.json` side by side. Run
//! again after an interruption, it goes on where it stopped; run again after that, it does nothing.

mod debian;
mod rsync;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{console, wait};

/// What marks a complete folder. Peers pass over names with a leading dot.
const MARKER: &str = ".corpus-complete";

/// Where files lie that are not finished yet.
const WORK_FOLDER: &str = ".corpus-work";

/// Fewer texts than this are not the whole series: there were 9,148 at the beginning of 2023.
const MIN_TEXTS: usize = 9_000;

/// Options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder to fill; made if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The rsync server to ask first
    #[arg(long, value_name = "HOST[:PORT]", default_value = "rsync.rfc-editor.org")]
    rsync: String,
    /// Look for newer RFCs in a folder that is complete already
    #[arg(long)]
    refresh: bool,
}

/// Fetches the series and returns a one-line summary.
pub fn run(options: &Options) -> Result<String> {
    let folder = std::path::absolute(&options.folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let marker = folder.join(MARKER);
    if !options.refresh
        && let Ok(text) = fs::read_to_string(&marker)
    {
        return Ok(format!(
            "{} is complete: {}. Nothing to do; --refresh looks for newer ones.",
            folder.display(),
            text.trim()
        ));
    }
    let source = fetch(&options.rsync, &folder)?;
    let (texts, records) = (count(&folder, ".txt")?, count(&folder, ".json")?);
    if texts < MIN_TEXTS {
        bail!("{source} gave only {texts} texts, fewer than the {MIN_TEXTS} of a whole series; run this again");
    }
    let summary = format!("{texts} texts and {records} metadata records from {source}");
    fs::write(&marker, format!("{summary}\n"))?;
    Ok(format!(
        "{}: {summary}. To share them: peer join {}",
        folder.display(),
        folder.display()
    ))
}

fn fetch(host: &str, folder: &Path) -> Result<String> {
    match rsync::probe(host) {
        Ok(()) => return rsync::fetch(host, folder),
        Err(reason) => {
            wait::check_interrupt()?;
            println!("The RFC Editor cannot be reached by rsync ({reason:#}); trying Debian's packages instead.");
        }
    }
    let fetched = debian::fetch(folder);
    wait::check_interrupt().context("run this again to go on")?;
    fetched.with_context(|| {
        format!(
            "the series can be had neither by rsync from {host} nor from Debian's packages; nothing is complete yet"
        )
    })
}

/// The number of files `rfcN` with this ending.
fn count(folder: &Path, ending: &str) -> Result<usize> {
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| is_rfc(name, ending)).count())
}

/// Whether a file name is `rfc`, digits, and this ending.
fn is_rfc(name: &str, ending: &str) -> bool {
    let number = name.strip_prefix("rfc").and_then(|rest| rest.strip_suffix(ending));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Shows what is being done.
fn say(text: &str) {
    console::tell(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_folder_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARKER), "9148 texts from somewhere\n").unwrap();
        // A host that does not exist: asking it would be an error.
        let options = Options {
            folder: folder.path().to_owned(),
            rsync: "host.invalid".to_owned(),
            refresh: false,
        };
        let said = run(&options).unwrap();
        assert!(
            said.contains("is complete: 9148 texts from somewhere. Nothing to do"),
            "{said}"
        );
    }

    #[test]
    fn only_rfcs_are_counted() {
        assert!(is_rfc("rfc1.txt", ".txt") && is_rfc("rfc10000.txt", ".txt"));
        for name in ["rfc.txt", "rfc17a.txt", "rfc-index.txt", "rfc1.json", "arfc1.txt"] {
            assert!(!is_rfc(name, ".txt"), "{name}");
        }
    }
}
