//! The command line, and the validated configuration that comes out of it.

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, builder::Resettable};
use ipnet::IpNet;
use p2p_ci::{limits::REGISTRY_PORT, registry_url::RegistryUrl, started, text::escaped_lines};

use crate::limits::{CONNECTIONS_PER_ADDRESS, SESSIONS_PER_ADDRESS, WATCHERS};

/// The environment's name for the registry.
const REGISTRY_VARIABLE: &str = "P2PCI_REGISTRY";

/// The central index of P2P-CI: knows which peers are active, and which RFCs each of them serves.
#[derive(Debug, Parser)]
#[command(name = "registry", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Runs once instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeArgs,
}

impl Args {
    /// Reads the command line, or tells what is wrong with it and ends the process. An empty `P2PCI_REGISTRY` counts as none.
    #[must_use]
    pub fn read() -> Self {
        let mut command = Self::command();
        if std::env::var_os(REGISTRY_VARIABLE).is_some_and(|value| value.is_empty()) {
            command = command.mut_subcommand("healthcheck", |command| {
                command.mut_arg("registry", |arg| arg.env(Resettable::Reset))
            });
        }
        let matches = command.try_get_matches();
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .unwrap_or_else(|error| end(&error))
    }
}

/// Tells what is wrong with the command line, or what was asked for of it, and ends the process. What would act on the
/// terminal is shown without colours.
fn end(error: &clap::Error) -> ! {
    if started::is_inert() {
        error.exit();
    }
    // Where nobody can be told, the exit code says it.
    let _ = io::stderr().write_all(escaped_lines(&error.render().to_string()).as_bytes());
    std::process::exit(error.exit_code());
}

/// What the registry does instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask a running registry whether it is healthy; exit code 0 if it is, 1 if not
    Healthcheck {
        /// Where the registry is
        #[arg(
            long,
            value_name = "URL",
            env = REGISTRY_VARIABLE,
            default_value = "http://127.0.0.1:7734"
        )]
        registry: RegistryUrl,
    },
}

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Address to listen on: IP:PORT, or an IP address for port 7734; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7734", value_parser = parse_listen)]
    pub listen: SocketAddr,

    /// Let sources in that are neither on this machine nor in a private network; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = parse_range)]
    pub allow_from: Vec<IpNet>,

    /// Let peers be handed out under addresses of this range, other than the one they come from; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = parse_range)]
    pub allow_advertise: Vec<IpNet>,

    /// Sessions of one source address (of one /64 for IPv6); 0 means no limit
    #[arg(long, value_name = "N", default_value_t = SESSIONS_PER_ADDRESS)]
    pub max_sessions_per_address: usize,

    /// Connections of one source address (of one /64 for IPv6); 0 means no limit
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS_PER_ADDRESS)]
    pub max_connections_per_address: usize,

    /// Streams of Watch that may be open at a time
    #[arg(long, value_name = "N", default_value_t = WATCHERS)]
    pub max_watchers: usize,

    /// Offer no gRPC reflection, so that tools need the .proto files
    #[arg(long)]
    pub no_reflection: bool,
}

/// How a registry serves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; with port 0, the system chooses.
    pub listen: SocketAddr,
    /// Sources that may come, beside loopback and private networks.
    pub allow_from: Vec<IpNet>,
    /// Ranges within which peers may be handed out under another address than the one they come from.
    pub allow_advertise: Vec<IpNet>,
    /// Sessions of one source address; 0 means no limit.
    pub max_sessions_per_address: usize,
    /// Connections of one source address; 0 means no limit.
    pub max_connections_per_address: usize,
    /// Streams of `Watch` that may be open at a time.
    pub max_watchers: usize,
    /// Whether reflection is offered.
    pub reflection: bool,
}

impl Config {
    /// A registry with the usual limits that listens at `listen`.
    #[must_use]
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            allow_from: Vec::new(),
            allow_advertise: Vec::new(),
            max_sessions_per_address: SESSIONS_PER_ADDRESS,
            max_connections_per_address: CONNECTIONS_PER_ADDRESS,
            max_watchers: WATCHERS,
            reflection: true,
        }
    }
}

impl From<ServeArgs> for Config {
    fn from(args: ServeArgs) -> Self {
        Self {
            listen: args.listen,
            allow_from: args.allow_from,
            allow_advertise: args.allow_advertise,
            max_sessions_per_address: args.max_sessions_per_address,
            max_connections_per_address: args.max_connections_per_address,
            max_watchers: args.max_watchers,
            reflection: !args.no_reflection,
        }
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, REGISTRY_PORT)))
        .map_err(|_| "use IP:PORT, for example 127.0.0.1:7734, 0.0.0.0:7734 or [::]:7734".to_owned())
}

/// A range of addresses, or a single one.
fn parse_range(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip)))
        .map_err(|_| "use a range like 203.0.113.0/24 or 2001:db8::/32, or a single IP address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    fn config(line: &str) -> Config {
        parse(line).unwrap().serve.into()
    }

    #[test]
    fn the_defaults_are_those_of_a_config() {
        let defaults = Config::at("127.0.0.1:7734".parse().unwrap());
        assert_eq!(format!("{:?}", config("registry")), format!("{defaults:?}"));
    }

    #[test]
    fn flags_are_read() {
        let config = config(
            "registry --listen 0.0.0.0:0 --allow-from 203.0.113.0/24 --allow-from 2001:db8::1 \
             --allow-advertise 10.0.0.0/8 --max-sessions-per-address 0 --max-watchers 3 --no-reflection",
        );
        assert_eq!(config.listen, "0.0.0.0:0".parse().unwrap());
        assert_eq!(config.allow_from[1].to_string(), "2001:db8::1/128");
        assert_eq!(config.allow_advertise[0].to_string(), "10.0.0.0/8");
        assert_eq!((config.max_sessions_per_address, config.max_watchers), (0, 3));
        assert!(!config.reflection);
        let bare = parse("registry --listen ::1").unwrap();
        assert_eq!(bare.serve.listen, "[::1]:7734".parse().unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "registry --listen localhost",
            "registry --listen 127.0.0.1:65536",
            "registry --allow-from 10.0.0.0/33",
            "registry --allow-from example.org",
            "registry --max-watchers -1",
            "registry --listen 127.0.0.1:1 healthcheck",
            "registry --no-such-flag",
            "registry extra",
            "registry healthcheck --registry https://x",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_health_check_knows_where_to_look() {
        let Some(Command::Healthcheck { registry }) =
            parse("registry healthcheck --registry http://r:1").unwrap().command
        else {
            panic!("no health check");
        };
        assert_eq!(registry.to_string(), "http://r:1");
    }
}
