//! `peer export` on the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use p2p_ci::registry_url::RegistryUrl;

use super::StateArgs;
use crate::export::{Layout, Tool};

/// `peer export`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("form").required(true).args(["layout", "tool"])))]
pub struct ExportArgs {
    /// The folder to fill [default with --for: where that tool looks, if it has such a place].
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Lays DIR out like this.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// Lays DIR out as this reader of RFCs looks for them.
    #[arg(long = "for", value_enum, value_name = "TOOL")]
    pub tool: Option<Tool>,
    /// The folder with the RFCs.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub from: PathBuf,
    /// Makes no hard links. Where the file system can, files share their blocks until one of them is changed; elsewhere
    /// (ext4) a file in DIR is the one in FOLDER by another name, and who changes the one in place changes both.
    #[arg(long)]
    pub copy: bool,
    /// Replaces existing files whose bytes differ.
    #[arg(long)]
    pub force: bool,
    /// Stays, and keeps DIR as FOLDER is; removes what it made of documents that are gone.
    #[arg(long)]
    pub follow: bool,
    /// Prints one object that sums up what was done, as JSON; with --follow, one whenever something was.
    #[arg(long)]
    pub json: bool,
    /// Where digests are remembered, and what was exported.
    #[command(flatten)]
    pub state: StateArgs,
    /// Takes the place of the option of that name, which no registry is needed for.
    #[arg(long, hide = true)]
    registry: Option<RegistryUrl>,
}
