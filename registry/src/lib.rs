//! The central index of P2P-CI: knows which peers are active, and which documents each of them serves.
//!
//! A peer is registered exactly as long as its stream is open. Nothing is stored: after a restart, the peers tell it
//! all again.
//!
//! # Modules, in reading order
//!
//! - [`index`]: who is registered and who holds what; pure.
//! - [`swarm`]: the handle on it that everybody shares, registration as a value, watchers.
//! - [`session`]: one peer's stream, with [`admission`] (which address is handed out), [`reach`] (connecting back) and
//!   [`bucket`] (how fast it may announce, and how often it may have documents without).
//! - [`error`]: every way to say no; [`message_room`]: how much fits a message.
//! - [`histogram`]: how soon what peers say takes effect.
//! - [`service`]: the gRPC face; [`server`]: all of it bound together; [`descriptors`], [`memory`]: how many connections.
//! - [`config`], [`command`]: the program; [`limits`]: every bound with its reason.

pub mod admission;
pub mod bucket;
pub mod command;
pub mod config;
pub mod descriptors;
pub mod error;
pub mod histogram;
pub mod index;
pub mod limits;
pub mod memory;
pub mod message_room;
pub mod reach;
pub mod server;
pub mod service;
pub mod session;
pub mod swarm;
#[cfg(test)]
mod testing;
mod threads;

pub use command::run;
pub use config::{Args, Config};
pub use server::{Server, StartError};
