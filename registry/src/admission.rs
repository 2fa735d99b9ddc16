//! Which address is handed out for a peer.
//!
//! It is the source address that the registry saw with the port that the peer declared, so that nobody can send
//! downloaders to a third party. Another address is taken only inside the ranges that the operator named, and never one that
//! means another machine to whoever advertises it: the registry, which connects back, would ask itself or its own link.

use std::net::{SocketAddr, UdpSocket};

use ipnet::IpNet;
use p2p_ci::{address::reaches, message::Hello};

use crate::error::HelloError;

/// Decides on addresses.
#[derive(Debug, Clone)]
pub struct Admission {
    allow_advertise: Vec<IpNet>,
    listening: SocketAddr,
}

impl Admission {
    /// Lets addresses within `allow_advertise` be advertised, and never `listening`, the registry's own.
    #[must_use]
    pub fn new(allow_advertise: Vec<IpNet>, listening: SocketAddr) -> Self {
        Self {
            allow_advertise,
            listening,
        }
    }

    /// The address that is handed out for a peer that comes from `source`; `None` for an observer.
    ///
    /// # Errors
    ///
    /// [`HelloError::ObserverAdvertises`], [`HelloError::AdvertiseNotAllowed`], [`HelloError::AdvertiseElsewhere`],
    /// [`HelloError::OwnAddress`].
    pub fn address_of(&self, hello: &Hello, source: SocketAddr) -> Result<Option<SocketAddr>, HelloError> {
        let Some(port) = hello.port else {
            return match hello.advertise {
                Some(_) => Err(HelloError::ObserverAdvertises),
                None => Ok(None),
            };
        };
        let address = match hello.advertise {
            Some(address) if !reaches(source.ip(), address.ip()) => {
                return Err(HelloError::AdvertiseElsewhere(address));
            }
            Some(address) if self.allow_advertise.iter().any(|range| range.contains(&address.ip())) => address,
            Some(address) => return Err(HelloError::AdvertiseNotAllowed(address)),
            None => SocketAddr::new(source.ip(), port),
        };
        if self.is_own(address) {
            return Err(HelloError::OwnAddress(address));
        }
        Ok(Some(address))
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        if address.port() != self.listening.port() {
            return false;
        }
        let listening = self.listening.ip().to_canonical();
        // A listener on the unspecified address has every address of this machine; only those can be bound.
        address.ip() == listening || (listening.is_unspecified() && UdpSocket::bind((address.ip(), 0)).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn hello(port: u16, advertise: Option<&str>) -> Hello {
        Hello {
            protocol_version: 1,
            name: "alice".parse().unwrap(),
            port: Some(port).filter(|port| *port > 0),
            advertise: advertise.map(address),
            resume_token: None,
            fingerprints: Vec::new(),
        }
    }

    fn admission(listening: &str) -> Admission {
        Admission::new(vec!["203.0.113.0/24".parse().unwrap()], address(listening))
    }

    #[test]
    fn the_observed_address_with_the_declared_port_is_handed_out() {
        let admission = admission("192.0.2.1:7734");
        let source = address("192.0.2.9:55555");
        assert_eq!(
            admission.address_of(&hello(40123, None), source),
            Ok(Some(address("192.0.2.9:40123")))
        );
        assert_eq!(admission.address_of(&hello(0, None), source), Ok(None));
    }

    #[test]
    fn another_address_needs_the_operators_leave() {
        let admission = admission("192.0.2.1:7734");
        let source = address("192.0.2.9:55555");
        let inside = "203.0.113.255:5000";
        assert_eq!(
            admission.address_of(&hello(40123, Some(inside)), source),
            Ok(Some(address(inside)))
        );
        for outside in ["203.0.114.0:5000", "192.0.2.9:5000"] {
            assert_eq!(
                admission.address_of(&hello(40123, Some(outside)), source),
                Err(HelloError::AdvertiseNotAllowed(address(outside)))
            );
        }
        assert_eq!(
            admission.address_of(&hello(0, Some(inside)), source),
            Err(HelloError::ObserverAdvertises)
        );
    }

    #[test]
    fn no_range_lets_somebody_elsewhere_have_the_registry_ask_itself_or_its_link() {
        let any = ["0.0.0.0/0", "::/0"].map(|range| range.parse().unwrap());
        let admission = Admission::new(any.to_vec(), address("192.0.2.1:7734"));
        let told = |source: &str, text: &str| admission.address_of(&hello(40123, Some(text)), address(source));
        for own in ["127.0.0.1:9200", "[::1]:9200", "169.254.169.254:8080", "[fe80::1]:8080"] {
            let refused = Err(HelloError::AdvertiseElsewhere(address(own)));
            assert_eq!(told("192.0.2.9:55555", own), refused);
            assert_eq!(told("10.0.0.9:55555", own), refused);
        }
        let neighbour = "127.0.0.2:9200";
        assert_eq!(told("127.0.0.1:55555", neighbour), Ok(Some(address(neighbour))));
        let site = "10.0.0.7:5000";
        assert_eq!(told("192.0.2.9:55555", site), Ok(Some(address(site))));
    }

    #[test]
    fn the_registry_itself_is_never_handed_out() {
        let own = |listening: &str, source: &str, port: u16| {
            admission(listening)
                .address_of(&hello(port, None), address(source))
                .is_err()
        };
        assert!(own("127.0.0.1:7734", "127.0.0.1:55555", 7734));
        assert!(own("0.0.0.0:7734", "127.0.0.1:55555", 7734));
        assert!(own("[::]:7734", "127.0.0.1:55555", 7734));
        assert!(!own("127.0.0.1:7734", "127.0.0.1:55555", 7735));
        assert!(!own("127.0.0.1:7734", "127.0.0.2:55555", 7734));
        assert!(
            !own("0.0.0.0:7734", "203.0.113.9:55555", 7734),
            "another machine may use the same port"
        );
    }
}
