//! A peer of P2P-CI: shares a folder of RFCs, and downloads what it lacks from other peers.
//!
//! # Modules, in reading order
//!
//! - [`config`], [`limits`], [`error`]: the command line, the bounds, what can go wrong and its exit code.
//! - [`library`]: documents on disk, as they are shared and as they are stored.
//! - [`commands`]: one module for each verb of the command line; [`output`]: how results are shown.

pub mod commands;
pub mod config;
pub mod error;
pub mod library;
pub mod limits;
pub mod output;
