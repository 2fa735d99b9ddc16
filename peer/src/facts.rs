//! What this peer knows about RFCs beside their bytes, and how it comes to know it.
//!
//! # Modules, in reading order
//!
//! `record`, `index_xml`, `heading`: facts out of a metadata record, the RFC Editor's index, a text's first page ·
//! `catalogue`: the facts about many RFCs, and what follows from all of them together · `listing`: indexes made of it ·
//! `shared`: the catalogue of a process · `gathering`: facts out of the shared folder · `service`: telling others ·
//! `inquiry`: asking others · `learning`: asking them again and again · `store`: what was learnt, for the next start.
//!
//! Everything that is read comes from somebody: whatever is odd about one field costs that field only.

pub mod catalogue;
pub mod gathering;
pub mod heading;
pub mod index_xml;
pub mod inquiry;
pub mod learning;
pub mod listing;
pub mod record;
pub mod service;
pub mod shared;
pub mod store;

pub use self::{
    catalogue::{Catalogue, Chain},
    gathering::{Gatherer, Gathering},
    shared::SharedCatalogue,
};
