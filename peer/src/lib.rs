//! A peer of P2P-CI: shares a folder of RFCs, and downloads what it lacks from other peers.
//!
//! # Modules, in reading order
//!
//! - [`config`], [`wanted`], [`limits`], [`error`]: the command line and how RFCs are asked for on it, the bounds, what
//!   can go wrong and its exit code.
//! - [`library`]: documents on disk, as they are shared and as they are stored.
//! - [`node`]: a peer at work, made of [`share`] (the server, with [`serve`] in front of [`uploads`]) and [`uplink`] (the
//!   session with the registry, with [`backoff`] between attempts).
//! - [`packing`]: many documents as one compressed frame, where links are slow.
//! - [`fetch`]: one document from one of its holders; [`getter`]: one RFC by its number, into a [`destination`];
//!   [`mirror`]: everything; [`versions`]: which of several versions they take.
//! - [`search`]: an index of the words in the RFCs of a folder.
//! - [`export`]: the documents of a folder, laid out as readers look for them.
//! - [`commands`]: one module for each verb of the command line; [`output`]: how results are shown; [`state`]: what a
//!   running peer tells about itself on disk.

pub mod backoff;
mod blocking;
pub mod commands;
pub mod config;
pub mod destination;
pub mod directory;
pub mod error;
pub mod export;
pub mod facts;
pub mod fetch;
pub mod gateway;
pub mod getter;
pub mod known;
pub mod library;
pub mod limits;
pub mod mirror;
pub mod node;
pub mod output;
pub mod packing;
pub mod search;
pub mod serve;
pub mod share;
pub mod state;
pub mod uplink;
pub mod uploads;
pub mod versions;
pub mod vital;
pub mod wanted;
