//! What registry and peers of P2P-CI share: the domain's values, the wire protocol, and how connections are made.
//!
//! # Modules, in reading order
//!
//! - Values that know nothing of any network: [`document`], [`digest`], [`fingerprint`], [`identity`], [`address`],
//!   [`text`], [`facts`].
//! - [`failure`]: why a request failed, as one table that both ends read.
//! - [`message`]: what registry and peers say to each other, as plain values.
//! - [`wire`]: those values from and to the generated code in [`pb`]; everything received is validated here.
//! - [`codec`]: how messages become bytes; [`framed`]: responses that are bytes already;
//!   [`rope`]: bytes in the pieces in which they came.
//! - [`transport`]: how streams of bytes are dialled and accepted, over TCP or in memory; [`front_door`]: the guarded
//!   listener; [`line`](mod@line): what a connection costs; [`serving`]: a server on top of it; [`reflection`]: how tools look into it.
//! - [`client`]: typed clients of both services; [`registry_url`]: where the registry is.
//! - [`limits`], [`quota`], [`shutdown`], [`logging`]: bounds with their reasons, and what every process needs.

pub mod address;
pub mod client;
pub mod codec;
pub mod digest;
pub mod document;
pub mod facts;
pub mod failure;
pub mod fingerprint;
pub mod framed;
pub mod front_door;
pub mod identity;
pub mod limits;
pub mod line;
pub mod logging;
pub mod message;
pub mod pb;
mod per_source;
pub mod quota;
pub mod reflection;
pub mod registry_url;
pub mod rope;
pub mod serving;
pub mod shutdown;
pub mod started;
pub mod text;
pub mod transport;
mod turns;
pub mod wire;
