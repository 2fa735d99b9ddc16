//! A web site of the RFCs, at the paths of the RFC Editor's: what tools that read RFCs ask for, from this peer and, where it
//! lacks something, from the peers around.
//!
//! # Modules, in reading order
//!
//! `path`: what a path means · `site`: what there is to serve · `fetching`: what is not here, fetched once however many ask · `upstream`, `beyond`:
//! what nobody around has ·
//! `documents`: bodies, whole or in part · `searching`: what is found by its words · `indexes`, `pages`, `citation`, `feeds`, `metalink`: what is written from facts · `reply`: what all
//! answers have in common · `server`: HTTP/1.1 on a port, with every limit set.
//!
//! # Non-goals
//!
//! HTTPS: names and certificates belong to whoever runs a proxy before it. Nothing can be written through it.

mod beyond;
mod citation;
mod documents;
mod feeds;
mod fetching;
mod indexes;
mod metalink;
mod pages;
mod path;
mod reply;
mod searching;
mod server;
mod site;
mod upstream;

pub use self::{
    beyond::Beyond,
    fetching::{Fetcher, Wanted},
    server::{BoundGateway, Gateway, GatewayConfig},
    site::Site,
    upstream::{Upstream, UpstreamUrl},
};
