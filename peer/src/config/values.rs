//! How the values of options and arguments are read: what is wrong with them, and what to write instead.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use p2p_ci::{
    address::is_host,
    facts::Reference,
    identity::{PeerName, SessionId},
    limits::LOWEST_PEER_PORT,
};

use crate::wanted::{Wanted, WantedError, WantedNumber, WantedWord, shortened};

/// Where documents are to be served.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "use IP:PORT, for example 127.0.0.1:5000, 0.0.0.0:5000 or [::]:5000; port 0 lets the system choose".to_owned()
    })
}

/// An address under which others are to find this peer: of one host, and with a port that an ordinary user can serve on.
pub(super) fn parse_advertised(text: &str) -> Result<SocketAddr, String> {
    let usual = "an address that others can reach, with a port from 1024 on, for example 192.0.2.7:5000";
    let address = text
        .parse::<SocketAddr>()
        .map_err(|_| format!("use IP:PORT, {usual}"))?;
    if is_host(address.ip()) && address.port() >= LOWEST_PEER_PORT {
        Ok(address)
    } else {
        Err(format!("nobody can be told that; use {usual}"))
    }
}

/// Where a site is to be: an address, or a port of this machine alone.
pub(super) fn parse_http(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse()
        .map_err(|_| "this is no address; write 127.0.0.1:7780, or 0.0.0.0:7780 for other machines too".to_owned())
}

/// How people name a peer: its name, its id or its address.
pub(super) fn parse_peer(text: &str) -> Result<String, String> {
    let is_known_by = text.parse::<PeerName>().is_ok() || text.parse::<SessionId>().is_ok();
    if is_known_by || text.parse::<SocketAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("this is no peer's name, id or address; `peer peers` lists them".to_owned())
    }
}

/// One RFC, or a subseries of them.
pub(super) fn parse_reference(text: &str) -> Result<Reference, String> {
    match text.parse::<Reference>() {
        Ok(reference) if reference.rfc().is_some() || reference.series.is_subseries() => Ok(reference),
        Ok(reference) => Err(format!("{reference} is no RFC; only those are shared")),
        Err(_) => parse_single(text).map(|wanted| Reference::to_rfc(wanted.number)),
    }
}

/// One RFC.
fn parse_single(text: &str) -> Result<WantedNumber, String> {
    let wanted: Wanted = text.parse().map_err(|error: WantedError| error.to_string())?;
    wanted.single(&list_shows(wanted)).map_err(|error| error.to_string())
}

/// RFCs whose holders can be told apart.
pub(super) fn parse_no_range(text: &str) -> Result<WantedWord, WantedError> {
    match text.parse()? {
        word @ WantedWord::Numbers(wanted) => word.no_range(&list_shows(wanted)),
        word @ WantedWord::Subseries(_) => Ok(word),
    }
}

fn list_shows(wanted: Wanted) -> String {
    format!("`peer list {}` shows ranges", wanted.range)
}

/// What is to be mirrored; a folder where a number should be was meant for `--to`.
pub(super) fn parse_mirrored(text: &str) -> Result<Wanted, String> {
    text.parse().map_err(|error: WantedError| {
        let has_digits = text.contains(|c: char| c.is_ascii_digit());
        if !has_digits || text.contains('/') || Path::new(text).is_dir() {
            format!("this is no RFC number; did you mean --to {}?", shortened(text))
        } else {
            error.to_string()
        }
    })
}

/// A network, or a single address as people write it.
pub(super) fn parse_network(text: &str) -> Result<ipnet::IpNet, String> {
    text.parse::<ipnet::IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from))
        .map_err(|_| "not a network; write 203.0.113.0/24, 2001:db8::/32 or a single address".to_owned())
}

/// How many uploads there may be at a time.
pub(super) fn parse_uploads(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|uploads| (1..=1024).contains(uploads))
        .ok_or_else(|| "not within 1 to 1024".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_may_be_single_addresses() {
        assert_eq!(parse_network("203.0.113.7").unwrap().to_string(), "203.0.113.7/32");
        assert!(parse_network("10.0.0.0/33").is_err());
    }

    #[test]
    fn a_site_may_be_a_port_of_this_machine() {
        assert_eq!(parse_http("7780").unwrap().to_string(), "127.0.0.1:7780");
        assert_eq!(parse_http(":7780").unwrap().to_string(), "127.0.0.1:7780");
        assert_eq!(parse_http("[::]:7780").unwrap().to_string(), "[::]:7780");
        assert!(parse_http("127.0.0.1").is_err() && parse_http("70000").is_err());
    }
}
