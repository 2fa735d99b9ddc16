//! What must hold of messages that were accepted, and of the errors of those that were not.

use p2p_ci::{
    address,
    document::{Document, UnixSeconds},
    failure::Failure,
    fingerprint::Fingerprint,
    limits,
    message::{DocumentEntry, DocumentHeader, Holder},
    wire::ProtocolError,
};
use prost::Message;
use tonic::Status;

use crate::plain::{assert_message, assert_title};

/// The message after a journey over the wire.
pub(crate) fn sent<P: Message + Default>(message: &P) -> P {
    P::decode(message.encode_to_vec().as_slice()).expect("what is encoded decodes")
}

/// An error names its field, and tells the same as a failure, and as the status of a call.
pub(crate) fn assert_refusal(error: ProtocolError) {
    let field = error.field().to_owned();
    assert!(!field.is_empty());
    let failure = Failure::from(error);
    assert_message(&failure.message);
    assert_eq!(failure.field, Some(field));
    assert_failure(&failure);
}

/// A failure is one sentence, and says the same as the status of a call.
pub(crate) fn assert_failure(failure: &Failure) {
    let told = Failure::from_status(&Status::from(failure.clone()));
    assert_eq!(told.as_ref(), Some(failure));
}

pub(crate) fn assert_document(document: &Document) {
    assert!(document.size_bytes <= limits::MAX_DOCUMENT_BYTES);
    assert_title(document.title.as_str());
    assert_time(document.modified);
}

pub(crate) fn assert_header(header: &DocumentHeader) {
    assert!(header.size_bytes <= limits::MAX_DOCUMENT_BYTES);
    assert_time(header.modified);
}

fn assert_time(time: Option<UnixSeconds>) {
    // The first and the last second of the years 1 to 9999, as tools show them.
    let years = -62_135_596_800..=253_402_300_799;
    assert!(time.is_none_or(|UnixSeconds(time)| years.contains(&time)));
}

pub(crate) fn assert_entry(entry: &DocumentEntry) {
    assert_document(&entry.document);
    assert!(entry.holders.len() <= limits::MAX_HOLDERS);
    entry.holders.iter().for_each(assert_holder);
}

fn assert_holder(holder: &Holder) {
    assert_address(holder.address);
    assert!((1..=limits::MAX_NAME_BYTES).contains(&holder.name.as_str().len()));
}

/// Panics unless `address` is one to dial: of one host, in its plain form, and on no port of the system's.
pub(crate) fn assert_address(address: std::net::SocketAddr) {
    let ip = address.ip();
    assert!(!ip.is_unspecified() && !ip.is_multicast(), "{ip} is no host");
    assert!(
        !matches!(ip, std::net::IpAddr::V4(ip) if ip.is_broadcast()),
        "{ip} is no host"
    );
    assert!(address.port() >= 1024, "{address} is on a port of the system");
    assert_eq!(address::canonical(address), address);
    assert_eq!(address::spelled(address), address.to_string());
}

/// At most one for each format, and none of more documents than a session has.
pub(crate) fn assert_fingerprints(fingerprints: &[Fingerprint]) {
    assert_once(fingerprints.iter().map(|fingerprint| fingerprint.format));
    let max = limits::MAX_SESSION_DOCUMENTS;
    assert!(fingerprints.iter().all(|fingerprint| fingerprint.count as usize <= max));
}

/// Panics when one is there twice.
pub(crate) fn assert_once<T: Ord>(values: impl IntoIterator<Item = T>) {
    let mut seen = std::collections::BTreeSet::new();
    assert!(values.into_iter().all(|value| seen.insert(value)), "one is there twice");
}
