//! What is told about a download that went well.

use std::path::Path;

use p2p_ci::{document::UnixSeconds, message::Holder, text::escaped};

use crate::{
    error::PeerError,
    fetch::Fetched,
    getter::{Got, How},
    output::{
        Output, human,
        json::{GetObject, GetOutcome, HolderObject, MissedObject, SuccessorsObject, VersionObject},
    },
    versions::is_tie,
};

/// Tells what was got, from whom, how fast, and that it was verified; `from` is the peer that was to be asked alone.
/// `successors` are for programs.
pub(super) fn report(
    got: &Got,
    from: Option<&str>,
    successors: SuccessorsObject,
    output: &mut Output,
) -> Result<(), PeerError> {
    let document = &got.entry.document;
    let key = document.id.key;
    let sha256 = document.id.sha256;
    for (version, why) in &got.missed {
        output.message(format_args!(
            "{key}: SHA-256 {}, which was to be taken, could not be had: {}; took the next version",
            version.document.id.sha256.fmt_short(),
            escaped(why),
        ));
    }
    for other in &got.others {
        output.message(format_args!(
            "{key} exists with other bytes too: SHA-256 {} ({}); --sha256 chooses",
            other.document.id.sha256.fmt_short(),
            human::count(u64::from(other.holder_count), "holder"),
        ));
    }
    if let Some(from) = from.filter(|_| !got.others.is_empty()) {
        output.message(format_args!(
            "{key}: took SHA-256 {}, which {} has",
            sha256.fmt_short(),
            escaped(from)
        ));
    } else if !got.others.is_empty() {
        let holders = human::count(u64::from(got.entry.holder_count), "holder");
        let now = UnixSeconds::now();
        let tie = got.others.iter().any(|other| is_tie(&got.entry, other, now));
        let why = if tie {
            "; a tie, which the smaller digest wins"
        } else {
            ""
        };
        output.message(format_args!(
            "{key}: took SHA-256 {} ({holders}{why})",
            sha256.fmt_short()
        ));
    }
    match &got.how {
        How::Present(path) if output.is_json() => output.object(&described(
            GetObject::new(key, GetOutcome::Present),
            got,
            path,
            successors,
        )),
        How::Present(path) => {
            let path = escaped(&path.to_string_lossy()).to_string();
            output.lines(format_args!(
                "{key}: {path} is already there with the same bytes, SHA-256 {sha256}"
            ))
        }
        How::Fetched(fetched) => tell_fetched(got, fetched, successors, output),
    }
}

/// Tells who sent a document, who failed to, and what its digest rests on.
fn tell_fetched(
    got: &Got,
    fetched: &Fetched,
    successors: SuccessorsObject,
    output: &mut Output,
) -> Result<(), PeerError> {
    let document = &got.entry.document;
    let (key, sha256) = (document.id.key, document.id.sha256);
    for detour in &fetched.detours {
        let Holder { name, address, .. } = &detour.holder;
        let error = escaped(&detour.error.to_string()).to_string();
        output.message(format_args!(
            "{key}: {name} ({address}) failed: {error}; went on elsewhere"
        ));
    }
    if output.is_json() {
        let mut object = described(GetObject::new(key, GetOutcome::Saved), got, &fetched.path, successors);
        object.holder = Some(HolderObject::from(&fetched.holder));
        object.duration = Some(fetched.duration);
        return output.object(&object);
    }
    let checked = if got.by_registry {
        format!("SHA-256 verified {sha256}")
    } else {
        let peers = human::count(u64::from(got.entry.holder_count), "known peer");
        format!("SHA-256 {sha256}, as {peers} had it; no registry confirms it")
    };
    output.lines(format_args!(
        "{key}: saved as {}, {} bytes from {} ({}), {}, {checked}",
        escaped(&fetched.path.to_string_lossy()),
        document.size_bytes,
        fetched.holder.name,
        fetched.holder.address,
        human::rate(fetched.received_bytes, fetched.duration),
    ))
}

fn described<'a>(mut object: GetObject<'a>, got: &Got, path: &'a Path, successors: SuccessorsObject) -> GetObject<'a> {
    let document = &got.entry.document;
    object.missed = got
        .missed
        .iter()
        .map(|(entry, why)| MissedObject::new(entry, why))
        .collect();
    object.successors = successors;
    object.others = got.others.iter().map(VersionObject::from).collect();
    object.by_registry = Some(got.by_registry);
    object.path = Some(path);
    object.size_bytes = Some(document.size_bytes);
    object.sha256 = Some(document.id.sha256.to_string());
    object
}
