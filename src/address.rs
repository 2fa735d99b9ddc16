//! Addresses: how far one reaches, which are near each other, and which sources may come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// How far an address reaches. Ordered from the narrowest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// This machine only: 127.0.0.0/8 and ::1 (RFC 1122, RFC 4291).
    Loopback,
    /// This link only: 169.254.0.0/16 and fe80::/10 (RFC 3927, RFC 4291).
    Link,
    /// This site: RFC 1918, 100.64.0.0/10 (RFC 6598) and fc00::/7 (RFC 4193).
    Private,
    /// Everywhere.
    Global,
}

/// The address without its IPv4-in-IPv6 disguise (`::ffff:192.0.2.1`), which dual-stack listeners report.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How far `ip` reaches.
#[must_use]
pub fn scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => Scope::Loopback,
        IpAddr::V4(ip) if ip.is_link_local() => Scope::Link,
        IpAddr::V4(ip) if ip.is_private() || is_shared(ip) => Scope::Private,
        IpAddr::V4(_) => Scope::Global,
        IpAddr::V6(ip) if ip.is_loopback() => Scope::Loopback,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::Link,
        IpAddr::V6(ip) if ip.is_unique_local() => Scope::Private,
        IpAddr::V6(_) => Scope::Global,
    }
}

/// 100.64.0.0/10, the addresses behind a carrier's translator (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

/// Whether `ip` can be one host's own address: neither unspecified, multicast, broadcast nor reserved (RFC 6890).
#[must_use]
pub fn is_host(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] != 0 && ip.octets()[0] < 224,
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    }
}

/// Whether a host at `asker` can be expected to reach `holder`.
///
/// A loopback address means another machine to everybody but this machine, and a link-local one another link.
#[must_use]
pub fn reaches(asker: IpAddr, holder: IpAddr) -> bool {
    match scope(holder) {
        Scope::Loopback => scope(asker) == Scope::Loopback,
        Scope::Link => scope(asker) <= Scope::Link,
        Scope::Private | Scope::Global => true,
    }
}

/// The network that `ip` is in, as far as nearness and per-address limits go: its /24, or its /64 for IPv6.
#[must_use]
pub fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(ip) => IpAddr::V6(network_of_v6(ip)),
    }
}

/// Whom a per-address limit counts together: one IPv4 address, or one /64 of IPv6. That is a whole subnet (RFC 4291 section
/// 2.5.4), but a single host takes as many addresses of it as it likes (RFC 4941, RFC 7934).
#[must_use]
pub fn accountable(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(network_of_v6(ip)),
    }
}

fn network_of_v6(ip: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, d, ..] = ip.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

/// The sources from which connections are accepted.
///
/// Without TLS anybody who can connect may register, so only private networks may, unless the operator names more.
#[derive(Debug, Clone, Default)]
pub struct AllowedSources {
    additional: Vec<IpNet>,
}

impl AllowedSources {
    /// Loopback, link-local and private sources, and those in `additional`.
    #[must_use]
    pub fn private_and(additional: Vec<IpNet>) -> Self {
        Self { additional }
    }

    /// Whether a connection from `ip` is accepted.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        scope(ip) < Scope::Global || self.additional.iter().any(|net| net.contains(&ip))
    }
}

/// An address as [`Display`](std::fmt::Display) has it. Answers name thousands of IPv4 addresses, for which the formatter of the standard
/// library takes several times as long.
#[must_use]
pub fn spelled(address: SocketAddr) -> String {
    let SocketAddr::V4(v4) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255:65535".len());
    let [a, b, c, d] = v4.ip().octets();
    for (octet, separator) in [(a, '.'), (b, '.'), (c, '.'), (d, ':')] {
        push_decimal(&mut text, octet.into());
        text.push(separator);
    }
    push_decimal(&mut text, v4.port());
    text
}

fn push_decimal(text: &mut String, value: u16) {
    let mut divisor = 10_000;
    while divisor > 1 && value < divisor {
        divisor /= 10;
    }
    while divisor > 0 {
        // One digit is below ten.
        text.push(char::from(
            b'0' + u8::try_from(value / divisor % 10).unwrap_or_default(),
        ));
        divisor /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes() {
        let table = [
            ("127.0.0.2", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("::ffff:127.0.0.1", Scope::Loopback),
            ("169.254.169.254", Scope::Link),
            ("fe80::1", Scope::Link),
            ("10.1.2.3", Scope::Private),
            ("172.16.0.1", Scope::Private),
            ("172.32.0.1", Scope::Global),
            ("192.168.1.1", Scope::Private),
            ("100.64.0.1", Scope::Private),
            ("100.127.255.255", Scope::Private),
            ("100.128.0.1", Scope::Global),
            ("fd00::1", Scope::Private),
            ("203.0.113.5", Scope::Global),
            ("2001:db8::1", Scope::Global),
        ];
        for (address, expected) in table {
            assert_eq!(scope(ip(address)), expected, "{address}");
        }
    }

    #[test]
    fn loopback_is_for_loopback_only() {
        assert!(reaches(ip("127.0.0.1"), ip("127.0.0.1")));
        assert!(!reaches(ip("10.0.0.1"), ip("127.0.0.1")));
        assert!(!reaches(ip("203.0.113.5"), ip("fe80::1")));
        assert!(reaches(ip("127.0.0.1"), ip("10.0.0.1")));
        assert!(reaches(ip("10.0.0.1"), ip("203.0.113.5")));
    }

    #[test]
    fn hosts_have_addresses_of_their_own() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "240.0.0.1",
        ] {
            assert!(!is_host(ip(address)), "{address}");
        }
        assert!(is_host(ip("192.0.2.1")) && is_host(ip("2001:db8::1")));
    }

    #[test]
    fn private_sources_come_and_others_need_leave() {
        let allowed = AllowedSources::private_and(vec!["203.0.113.0/24".parse().unwrap()]);
        assert!(allowed.contains(ip("::ffff:10.0.0.1")));
        assert!(allowed.contains(ip("203.0.113.9")));
        assert!(!allowed.contains(ip("203.0.112.9")));
        assert!(!AllowedSources::default().contains(ip("2001:db8::1")));
    }

    #[test]
    fn neighbourhoods() {
        assert_eq!(neighbourhood(ip("192.0.2.77")), ip("192.0.2.0"));
        assert_eq!(neighbourhood(ip("2001:db8:1:2:3::4")), ip("2001:db8:1:2::"));
        assert_eq!(accountable(ip("192.0.2.77")), ip("192.0.2.77"));
        assert_eq!(accountable(ip("2001:db8:1:2:3::4")), ip("2001:db8:1:2::"));
    }

    #[test]
    fn an_address_is_spelled_as_it_is_displayed() {
        let fixed = [
            "0.0.0.0:0",
            "255.255.255.255:65535",
            "10.0.100.9:80",
            "[2001:db8::1]:7734",
        ];
        let fixed = fixed.map(|text| text.parse().unwrap());
        let ports = (0..=u16::MAX).map(|port| SocketAddr::from(([7, 77, 0, 200], port)));
        for address in ports.chain(fixed) {
            assert_eq!(spelled(address), address.to_string());
        }
    }
}
