//! The name of a peer whose user chose none.

use p2p_ci::identity::PeerName;

/// A name that two peers of one host do not share: the host's name and the port.
pub(super) fn default_name(port: u16) -> PeerName {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .take(48)
        .collect();
    let name = format!("{}-{port}", plain.trim_start_matches(['.', '-']));
    let fallback = format!("peer-{port}");
    match name.parse().or_else(|_| fallback.parse()) {
        Ok(name) => name,
        Err(_) => unreachable!("\"peer-\" and a number make a valid name"),
    }
}
