//! A host: this machine by its loopback address, or a network namespace.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
};

use anyhow::Result;

use crate::{space::Space, tools};

/// Where processes run, and by which address others reach them.
#[derive(Debug)]
pub struct Host {
    space: Option<Space>,
    /// The address.
    pub address: Ipv4Addr,
}

impl Host {
    /// This machine.
    pub fn this() -> Self {
        Self {
            space: None,
            address: Ipv4Addr::LOCALHOST,
        }
    }

    /// A namespace that has this address.
    pub fn in_space(space: Space, address: Ipv4Addr) -> Self {
        Self {
            space: Some(space),
            address,
        }
    }

    /// A command on this host, with nothing of the user's settings for this project in it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self
            .space
            .as_ref()
            .map_or_else(|| Command::new(program), |space| space.command(program));
        command.env_remove("P2PCI_REGISTRY").env_remove("P2PCI_STATE_DIR");
        command
    }

    /// A command of a program that is installed.
    pub fn tool(&self, name: &str) -> Command {
        self.command(&tools::find(name).unwrap_or_else(|| name.into()))
    }

    /// A port that nobody listened on a moment ago.
    pub fn free_port() -> Result<u16> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
    }
}
