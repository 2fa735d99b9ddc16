//! Peers against a real registry and against each other, over TCP on loopback.

mod faults;
mod link;
mod memory;
mod support;
mod swarm;
