//! Wires between hosts that are not there: network namespaces with links of limited rate.

use std::{net::Ipv4Addr, path::Path};

use anyhow::Result;

use super::host::Host;
use crate::{
    space::{self, Space},
    tools, wait,
};

/// The rate of each link each way, in megabits a second: a common network of an office.
pub const MEGABITS: u32 = 100;

/// What comes before the number of a host in its address. It is inside only.
const NETWORK: [u8; 3] = [10, 78, 0];

/// What may be sent at once after a rest: a few of the largest packets that the kernel hands over (64 KiB).
const BURST: &str = "256kb";

/// How long what exceeds the rate waits before it is dropped, as in the buffer of a switch.
const LATENCY: &str = "50ms";

/// The end of each host's link, and the switch that the other ends may lead to, by their names.
const PORT: &str = "eth0";
const SWITCH: &str = "switch";

/// Two hosts with a link between them; or why that cannot be had here.
pub fn pair(logs: &Path) -> Result<Result<(Host, Host), String>> {
    granted(|| {
        let (near, far) = (Space::make("near", logs)?, Space::make("far", logs)?);
        link(&near, PORT, &far)?;
        Ok((attach(near, 1)?, attach(far, 2)?))
    })
}

/// Hosts that reach each other through a switch.
#[derive(Debug)]
pub struct Star {
    /// The hosts.
    pub hosts: Vec<Host>,
    /// The host that is the switch. All links end with it.
    _switch: Space,
}

/// So many hosts, each with a link to the same switch, which itself is as fast as this machine; or why that cannot be had
/// here. There may be no more than an octet counts.
pub fn star(hosts: u8, logs: &Path) -> Result<Result<Star, String>> {
    granted(|| {
        let switch = Space::make(SWITCH, logs)?;
        switch.run("ip", &["link", "add", SWITCH, "type", "bridge"])?;
        switch.run("ip", &["link", "set", SWITCH, "up"])?;
        let plug_in = |number: u8| {
            let (host, port) = (Space::make(&format!("host-{number}"), logs)?, format!("port{number}"));
            link(&switch, &port, &host)?;
            switch.run("ip", &["link", "set", &port, "master", SWITCH])?;
            shape(&switch, &port)?;
            attach(host, number)
        };
        let hosts: Result<Vec<Host>> = (1..=hosts).map(plug_in).collect();
        Ok(Star {
            hosts: hosts?,
            _switch: switch,
        })
    })
}

/// What is laid, unless this system does not grant it.
fn granted<T>(lay: impl FnOnce() -> Result<T>) -> Result<Result<T, String>> {
    if let Some(reason) = space::refusal() {
        return Ok(Err(reason));
    }
    if !tools::has("tc") {
        return Ok(Err("`tc` is not installed".to_owned()));
    }
    match lay() {
        Ok(laid) => Ok(Ok(laid)),
        Err(error) => {
            wait::check_interrupt()?;
            Ok(Err(format!(
                "the system grants no links between network namespaces: {error:#}"
            )))
        }
    }
}

/// Links a port of this name to that of another host.
fn link(space: &Space, port: &str, other: &Space) -> Result<()> {
    let holder = other.holder();
    let link = [
        "link", "add", port, "type", "veth", "peer", "name", PORT, "netns", &holder,
    ];
    space.run("ip", &link)
}

/// Switches a port on, and limits what leaves by it.
fn shape(space: &Space, port: &str) -> Result<()> {
    space.run("ip", &["link", "set", port, "up"])?;
    let rate = format!("{MEGABITS}mbit");
    let limit = [
        "qdisc", "add", "dev", port, "root", "tbf", "rate", &rate, "burst", BURST, "latency", LATENCY,
    ];
    space.run("tc", &limit)
}

/// Gives a host its address, and switches its link on.
fn attach(space: Space, number: u8) -> Result<Host> {
    let [a, b, c] = NETWORK;
    let address = Ipv4Addr::new(a, b, c, number);
    space.run("ip", &["addr", "add", &format!("{address}/24"), "dev", PORT])?;
    shape(&space, PORT)?;
    Ok(Host::in_space(space, address))
}
