//! Where the registry is: `http://HOST:PORT`, as users write it.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use crate::{limits, text::excerpt};

/// The address of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryUrl {
    /// A host name or a literal address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is no registry address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// TLS is not spoken.
    #[error("https is not supported; use http://HOST:PORT")]
    Https,
    /// Something else.
    #[error("\"{0}\" is no registry address; use http://HOST:PORT, for example http://127.0.0.1:7734")]
    Malformed(String),
}

impl FromStr for RegistryUrl {
    type Err = UrlError;

    /// Reads `http://HOST:PORT`; `http://` and the port may be left out.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        /// Enough of a wrong input to recognise it.
        const SHOWN_BYTES: usize = 80;
        let malformed = || UrlError::Malformed(excerpt(text, SHOWN_BYTES));
        if text.starts_with("https:") {
            return Err(UrlError::Https);
        }
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if let Ok(ip) = authority.parse::<std::net::IpAddr>() {
            return Ok(Self {
                host: ip.to_string(),
                port: limits::REGISTRY_PORT,
            });
        }
        let parsed: http::uri::Authority = authority.parse().map_err(|_| malformed())?;
        let literal = parsed.host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if !literal.is_none_or(is_ipv6) {
            return Err(malformed());
        }
        let host = literal.unwrap_or(parsed.host()).to_owned();
        let has_port = parsed.as_str().len() > parsed.host().len();
        let port = if has_port {
            parsed.port_u16().filter(|port| *port > 0).ok_or_else(malformed)?
        } else {
            limits::REGISTRY_PORT
        };
        if host.is_empty() || host.contains(['[', ']']) || authority.contains('@') {
            return Err(malformed());
        }
        Ok(Self { host, port })
    }
}

/// Whether a text is an IPv6 address, with or without a zone (RFC 6874).
fn is_ipv6(literal: &str) -> bool {
    let (address, zone) = literal.split_once('%').unwrap_or((literal, "any"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty()
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let table = [
            ("http://127.0.0.1:7734", "http://127.0.0.1:7734"),
            ("http://registry:7000/", "http://registry:7000"),
            ("registry", "http://registry:7734"),
            ("10.0.0.1:80", "http://10.0.0.1:80"),
            ("http://[::1]:7734", "http://[::1]:7734"),
            ("::1", "http://[::1]:7734"),
            ("[fe80::1%eth0]", "http://[fe80::1%eth0]:7734"),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<RegistryUrl>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn rejects_the_rest() {
        assert_eq!("https://registry".parse::<RegistryUrl>(), Err(UrlError::Https));
        for text in [
            "",
            "http://",
            "host:99999",
            "host:",
            "host:0",
            "user@host:1",
            "ftp://x",
            "a b",
            "http://x/y",
            "host[]",
            "[[::1]]",
            "[%]",
            "[::1%]",
            "[registry]",
        ] {
            assert!(
                matches!(text.parse::<RegistryUrl>(), Err(UrlError::Malformed(_))),
                "{text}"
            );
        }
    }
}
