//! Indexes of all RFCs that a catalogue knows, in the forms that tools read: `rfc-index.txt` and `rfc-index.xml`.
//!
//! # Modules, in reading order
//!
//! `entry`: one RFC in words · `wrap`: words as lines · `txt`, `xml`: the files · `lines`: what some readers make of them.
//!
//! All are written as a stream, and from the same catalogue always the same bytes.

mod entry;
mod lines;
mod txt;
mod wrap;
mod xml;

pub use self::{
    entry::Style,
    lines::{Lines, write_lines},
    txt::write_txt,
    xml::{NAMESPACE, write_xml},
};
