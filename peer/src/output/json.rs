//! Results as JSON Lines: one object a line, with field names that scripts may rely on.
//!
//! Characters that could act on a terminal are written as `\uXXXX`: the same string to a program, harmless to a person.

mod export;
mod get;
mod info;
mod objects;
mod search;
mod watch;

use std::io::{self, Write};

use p2p_ci::text::escaped;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

pub use self::{
    export::ExportObject,
    get::{GetObject, GetOutcome, MissedObject, VersionObject},
    info::InfoObject,
    objects::{
        DocumentObject, ErrorObject, GiverObject, HolderObject, JoinEvent, MirrorObject, MirrorSummary, MissingObject,
        PeerObject, SuccessorsObject, UnknownObject,
    },
    search::SearchObject,
    watch::{WatchLine, WatchObject},
};

/// `object` as one line of JSON, without the end of the line.
///
/// # Errors
///
/// When it cannot be put into JSON, which every type of this module can.
pub fn line(object: &impl Serialize) -> io::Result<String> {
    let mut line = Vec::new();
    object
        .serialize(&mut Serializer::with_formatter(&mut line, Harmless))
        .map_err(io::Error::from)?;
    String::from_utf8(line).map_err(io::Error::other)
}

/// Writes strings without any character that could act on a terminal.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if is_harmless(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut buffer = [0; 4];
        fragment.chars().try_for_each(|c| {
            let text: &str = c.encode_utf8(&mut buffer);
            if is_harmless(text) {
                return writer.write_all(text.as_bytes());
            }
            c.encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
        })
    }
}

/// Whether showing `text` as it is does the same as showing it escaped.
fn is_harmless(text: &str) -> bool {
    text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) || escaped(text).to_string() == text
}
