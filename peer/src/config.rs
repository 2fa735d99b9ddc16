//! The command line, as typed and as checked.

mod export;
mod reading;
mod values;

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use p2p_ci::{
    digest::DigestPrefix, document::Format, facts::Reference, identity::PeerName, limits::LOWEST_PEER_PORT,
    registry_url::RegistryUrl,
};

use self::values::{
    parse_address, parse_advertised, parse_http, parse_mirrored, parse_network, parse_no_range, parse_peer,
    parse_reference, parse_uploads,
};
pub use self::{export::ExportArgs, reading::told};
use crate::{
    gateway::UpstreamUrl,
    limits::{MAX_RESULTS, USUAL_RESULTS},
    mirror::Compress,
    search::{StatusWanted, Years},
    uploads::UploadRate,
    wanted::{Wanted, WantedWord},
};

/// The environment's name for the registry.
const REGISTRY_VARIABLE: &str = "P2PCI_REGISTRY";

/// The environment's name for what is uploaded at most.
const MAX_UPLOAD_VARIABLE: &str = "P2PCI_MAX_UPLOAD";

/// The environment's name for the state folder.
const STATE_VARIABLE: &str = "P2PCI_STATE_DIR";

/// The exit codes, as `--help` shows them.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 other failure, 2 usage, 3 not found (no active peer has it, or nothing matches), \
4 registry or every holder unreachable, 5 integrity failure, 6 partly done, 130 interrupted.";

/// Every RFC, from the peers around you: shares a folder of RFCs, and downloads what it lacks from other peers.
#[derive(Debug, Parser)]
#[command(name = "peer", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// The registry to ask.
    #[arg(
        long,
        global = true,
        env = REGISTRY_VARIABLE,
        default_value = "http://127.0.0.1:7734",
        value_name = "URL"
    )]
    pub registry: RegistryUrl,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a peer can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shares DIR with the other peers, and stays until it is told to end.
    Join(JoinArgs),
    /// Downloads RFCs from peers that have them, and verifies every byte.
    Get(GetArgs),
    /// Downloads everything that the peers around hold and that the target folder lacks.
    #[command(mut_arg("json", |arg| arg.help("Prints one object that sums up what was done, as JSON")))]
    Mirror(MirrorArgs),
    /// Lays out the RFCs of a folder as the tools that you read them with look for them.
    Export(ExportArgs),
    /// Shows who has an RFC.
    Lookup(LookupArgs),
    /// Tells what is known about an RFC, and what took its place.
    Info(InfoArgs),
    /// Finds RFCs in a folder by the words in them, the best first.
    Search(SearchArgs),
    /// Lists the documents that active peers share.
    List(ListArgs),
    /// Lists the active peers.
    Peers(JsonArgs),
    /// Shows what happens in the index, as it happens.
    Watch(JsonArgs),
    /// Shares DIR and takes commands at a prompt.
    Shell(ShellArgs),
    /// Tells by its exit code whether the peer that runs here serves documents.
    Healthcheck(HealthcheckArgs),
}

/// How a peer takes part.
#[derive(Debug, Clone, Args)]
pub struct SharingArgs {
    /// The name that other people see; unique among active peers [default: the host's name and the port].
    #[arg(long)]
    pub name: Option<PeerName>,
    /// Serves documents on this address; port 0 lets the system choose [default: the local address by which the
    /// registry is reached, port 0].
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address)]
    pub listen: Option<SocketAddr>,
    /// Tells others this address instead of the one that the registry sees; its operator must allow that.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "advertise_port", value_parser = parse_advertised)]
    pub advertise: Option<SocketAddr>,
    /// Tells others this port instead of the one that is listened on, for a forwarded port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(i64::from(LOWEST_PEER_PORT)..))]
    pub advertise_port: Option<u16>,
    /// Lets downloaders from this network in, besides loopback and private networks. May be repeated.
    #[arg(long, value_name = "CIDR", value_parser = parse_network)]
    pub allow_from: Vec<ipnet::IpNet>,
    /// Uploads at a time; further downloaders are told to try elsewhere.
    #[arg(long, default_value_t = crate::limits::MAX_UPLOADS, value_parser = parse_uploads)]
    pub max_uploads: usize,
    /// Uploads at most so many bytes per second, to all downloaders together and in equal shares: 500k, 2M, 1.5MiB, or
    /// 2000000 (k, M and G count by 1024; kB, MB and GB by 1000). Of chunks, compressed where they are. At least 32k, and
    /// 32k for each of the uploads that there are at a time, so there are fewer of them at low rates [default: no cap].
    #[arg(long, env = MAX_UPLOAD_VARIABLE, value_name = "RATE")]
    pub max_upload: Option<UploadRate>,
    /// Does not describe the services to tools such as grpcurl.
    #[arg(long)]
    pub no_reflection: bool,
    /// Where the digests of the shared files are remembered.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Where a peer keeps what it may forget.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// Remembers digests and the peer's address here [default: $XDG_STATE_HOME/p2pci, or ~/.local/state/p2pci].
    #[arg(long, env = STATE_VARIABLE, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// `peer healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Where the peers that run here tell about themselves.
    #[command(flatten)]
    pub state: StateArgs,
    /// Takes the place of the option of that name, which no registry is needed for.
    #[arg(long, hide = true)]
    registry: Option<RegistryUrl>,
}

/// `peer join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The folder to share.
    pub dir: PathBuf,
    /// How to take part.
    #[command(flatten)]
    pub sharing: SharingArgs,
    /// Also downloads into DIR what other peers hold and it lacks.
    #[arg(long)]
    pub mirror: bool,
    /// Also keeps an index of the words in DIR up to date, for `peer search` and for the site of --http, in whatever time
    /// is left over.
    #[arg(long)]
    pub search: bool,
    /// Serves RFCs to browsers, editors and scripts at this address, at the paths of rfc-editor.org; what DIR lacks is
    /// fetched from other peers when it is asked for, and stays in DIR.
    #[arg(long, value_name = "IP:PORT", value_parser = parse_http)]
    pub http: Option<SocketAddr>,
    /// Has that site ask another one, such as that of the RFC Editor, for what no peer has: one peer of all that may,
    /// for everybody, and not more often than twice a second [default: no site is ever asked].
    #[arg(long, value_name = "URL", requires = "http")]
    pub upstream: Option<UpstreamUrl>,
    /// Prints events as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

/// How downloads are written.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// The folder to write to.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub to: PathBuf,
    /// Replaces existing files whose bytes differ.
    #[arg(long)]
    pub force: bool,
    /// When written files are forced to the disk: never, once at the end, or each one [default: each one of up to 16
    /// RFCs that `get` was asked for, else once at the end, which waits for whatever else the machine is writing].
    #[arg(long, value_enum)]
    pub durability: Option<DurabilityArg>,
    /// Prints results as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

/// When written files are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// Never: the system writes them when it likes.
    None,
    /// Once, after the last one.
    End,
    /// Each file before it gets its name.
    File,
}

/// `peer get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The RFCs, as numbers, ranges or names of files, or as the subseries that they belong to: 9110, rfc9110, 1-10,
    /// rfc9110.txt, bcp14, std97.
    #[arg(required = true, value_name = "N", allow_negative_numbers = true)]
    pub words: Vec<WantedWord>,
    /// The format to get [default: txt, or that of the file names].
    #[arg(long)]
    pub format: Option<Format>,
    /// Only from this peer: its name, its id or its address.
    #[arg(long, value_name = "PEER", value_parser = parse_peer)]
    pub from: Option<String>,
    /// Only the document whose digest starts with these digits.
    #[arg(long, value_name = "PREFIX")]
    pub sha256: Option<DigestPrefix>,
    /// Instead of an obsolete RFC, gets those that took its place, followed to today.
    #[arg(long, conflicts_with = "sha256")]
    pub follow: bool,
    /// Asks nobody what took the place of the RFCs: up to twelve peers learn from that which ones are read.
    #[arg(long, conflicts_with = "follow")]
    pub no_hints: bool,
    /// Asks the peers that are known from before where the registry cannot be reached, or has just started and knows nobody
    /// yet; `--offline-ok=false` does not.
    #[arg(
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub offline_ok: bool,
    /// How to write.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Where known peers are remembered.
    #[command(flatten)]
    pub state: StateArgs,
}

/// `peer mirror`.
#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// Only these RFCs, as numbers or ranges [default: all].
    #[arg(value_name = "RANGES", allow_negative_numbers = true, value_parser = parse_mirrored)]
    pub ranges: Vec<Wanted>,
    /// Only these formats. May be repeated [default: all].
    #[arg(long)]
    pub format: Vec<Format>,
    /// When holders compress what they send, with zstd: where the link to them is slow and it helps, always, or never.
    /// It makes texts four times shorter, and costs the holder a core for each 150 MB/s.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub compress: Compress,
    /// Does not share what it downloads while it does.
    #[arg(long)]
    pub no_share: bool,
    /// How to write.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How to take part meanwhile.
    #[command(flatten)]
    pub sharing: SharingArgs,
}

/// `peer lookup`.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// The RFCs, as numbers, or as the subseries that they belong to: 9110, bcp14, std97.
    #[arg(required = true, value_name = "N", allow_negative_numbers = true, value_parser = parse_no_range)]
    pub words: Vec<WantedWord>,
    /// Only this format.
    #[arg(long)]
    pub format: Option<Format>,
    /// Prints results as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

/// `peer info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The RFCs, as numbers, or as the subseries that they belong to: 9110, rfc9110, bcp14, std97.
    #[arg(required = true, value_name = "N", allow_negative_numbers = true, value_parser = parse_reference)]
    pub wanted: Vec<Reference>,
    /// Prints results as JSON, one a line.
    #[arg(long)]
    pub json: bool,
    /// Where known peers are remembered.
    #[command(flatten)]
    pub state: StateArgs,
}

/// `peer search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// What to look for: words; phrases within quotes of their own, '"slow start"'; -word for what must not be there; and
    /// author:, title:, keyword:, abstract:, status: or year: before a word or a phrase.
    #[arg(value_name = "WORDS")]
    pub words: Vec<String>,
    /// The folder of RFCs [default: what the one peer shares that runs here, else the current folder].
    #[arg(long = "in", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Shows at most so many RFCs.
    #[arg(long, value_name = "N", default_value_t = USUAL_RESULTS,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_RESULTS)))]
    pub limit: u16,
    /// Only RFCs of this status: internet-standard, proposed-standard, bcp, informational, ... May be repeated.
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<StatusWanted>,
    /// Only RFCs of this author. May be repeated for those who wrote together.
    #[arg(long, value_name = "NAME")]
    pub author: Vec<String>,
    /// Only RFCs of this year or these years: 2015, 2010-2015, 2010- or -1999.
    #[arg(long, value_name = "YEARS", allow_hyphen_values = true)]
    pub year: Option<Years>,
    /// Looks at titles only.
    #[arg(long)]
    pub title_only: bool,
    /// Prints results as JSON, one a line.
    #[arg(long)]
    pub json: bool,
    /// Where the index of the words is kept.
    #[command(flatten)]
    pub state: StateArgs,
}

/// `peer list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only these RFCs, as numbers or ranges [default: all].
    #[arg(value_name = "RANGES", allow_negative_numbers = true)]
    pub ranges: Vec<Wanted>,
    /// Only this format.
    #[arg(long)]
    pub format: Option<Format>,
    /// Only what this peer holds: its name or its id.
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
    /// Prints results as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

/// A command that only prints.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Prints results as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

/// `peer shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The folder to share and to download into.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// How to take part.
    #[command(flatten)]
    pub sharing: SharingArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
