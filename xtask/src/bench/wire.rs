//! A wire between two hosts that are not there: network namespaces with a link of limited rate.

use std::{net::Ipv4Addr, path::Path};

use anyhow::Result;

use super::host::Host;
use crate::{
    space::{self, Space},
    tools, wait,
};

/// The addresses of the two ends. They are inside only.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

/// What may be sent at once after a rest: a few of the largest packets that the kernel hands over (64 KiB).
const BURST: &str = "256kb";

/// How long what exceeds the rate waits before it is dropped, as in the buffer of a switch.
const LATENCY: &str = "50ms";

/// Two hosts whose link carries so many megabits a second each way; or why that cannot be had here.
pub fn hosts(megabits: u32, logs: &Path) -> Result<Result<(Host, Host), String>> {
    if let Some(reason) = space::refusal() {
        return Ok(Err(reason));
    }
    if !tools::has("tc") {
        return Ok(Err("`tc` is not installed".to_owned()));
    }
    match lay(megabits, logs) {
        Ok((near, far)) => Ok(Ok((Host::in_space(near, NEAR), Host::in_space(far, FAR)))),
        Err(error) => {
            wait::check_interrupt()?;
            Ok(Err(format!(
                "the system grants no link between two network namespaces: {error:#}"
            )))
        }
    }
}

fn lay(megabits: u32, logs: &Path) -> Result<(Space, Space)> {
    let (near, far) = (Space::make("near", logs)?, Space::make("far", logs)?);
    let holder = far.holder();
    let link = [
        "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &holder,
    ];
    near.run("ip", &link)?;
    let rate = format!("{megabits}mbit");
    for (space, address) in [(&near, NEAR), (&far, FAR)] {
        space.run("ip", &["addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
        space.run("ip", &["link", "set", "eth0", "up"])?;
        let limit = ["rate", &rate, "burst", BURST, "latency", LATENCY];
        space.run(
            "tc",
            &[&["qdisc", "add", "dev", "eth0", "root", "tbf"], limit.as_slice()].concat(),
        )?;
    }
    Ok((near, far))
}
