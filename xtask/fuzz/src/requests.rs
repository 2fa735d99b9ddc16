//! Every message that a registry and a holder receive, from bytes to values.

use p2p_ci::{
    limits,
    message::{DownloadQuery, Hello, ListPageQuery, ListQuery, LookupManyQuery, LookupQuery, PeerRequest},
    pb,
    wire::{
        ProtocolError,
        file_transfer::{decode_many_request, encode_many_request},
        registry::{decode_request, encode_request},
    },
};
use prost::Message;

use crate::{
    input,
    messages::{assert_address, assert_document, assert_fingerprints, assert_once, assert_refusal, sent},
};

pub(crate) fn run(data: &[u8]) {
    let (choice, bytes) = input::choice(data, 6);
    match choice {
        0 => register(bytes),
        1 => asked::<pb::LookupRequest, LookupQuery>(bytes, |query| query.into(), assert_lookup),
        2 => asked::<pb::LookupManyRequest, LookupManyQuery>(
            bytes,
            |query| query.clone().into(),
            |query| {
                assert!((1..=limits::MAX_LOOKUP_NUMBERS).contains(&query.numbers.len()));
                assert_holders(query.max_holders);
            },
        ),
        3 => asked::<pb::ListDocumentsRequest, ListQuery>(
            bytes,
            |query| query.clone().into(),
            |query| {
                assert!(query.filter.range.first <= query.filter.range.last);
                assert_holders(query.max_holders);
            },
        ),
        4 => asked::<pb::DownloadRequest, DownloadQuery>(bytes, |query| query.into(), |_| ()),
        _ => download_many(bytes),
    }
}

/// A message that is one question: taken as a value, or refused with an error that says why.
fn asked<P, D>(bytes: &[u8], encode: impl Fn(&D) -> P, check: impl Fn(&D))
where
    P: Message + Default,
    D: TryFrom<P, Error = ProtocolError> + PartialEq + std::fmt::Debug,
{
    let Ok(message) = P::decode(bytes) else { return };
    match D::try_from(message) {
        Ok(query) => {
            check(&query);
            assert_eq!(D::try_from(sent(&encode(&query))), Ok(query));
        }
        Err(error) => assert_refusal(error),
    }
}

fn register(bytes: &[u8]) {
    let Ok(message) = pb::RegisterRequest::decode(bytes) else {
        return;
    };
    let id = message.request_id;
    let (answered, request) = decode_request(message);
    assert_eq!(answered, id);
    match request {
        Ok(request) => {
            assert_request(&request);
            let again = decode_request(sent(&encode_request(id, request.clone())));
            assert_eq!(again, (id, Ok(request)));
        }
        Err(error) => assert_refusal(error),
    }
}

fn assert_request(request: &PeerRequest) {
    match request {
        PeerRequest::Hello(hello) => assert_hello(hello),
        PeerRequest::Announce(documents) => {
            assert!(documents.len() <= limits::MAX_BATCH_DOCUMENTS);
            documents.iter().for_each(assert_document);
        }
        PeerRequest::Withdraw(keys, formats) => {
            assert!(keys.len() <= limits::MAX_BATCH_DOCUMENTS);
            assert_once(formats);
        }
        PeerRequest::Heartbeat {
            upload_count: _,
            fingerprints,
        } => assert_fingerprints(fingerprints),
        PeerRequest::Lookup(query) => assert_lookup(query),
        PeerRequest::List(ListPageQuery {
            filter,
            page_size,
            after: _,
        }) => {
            assert!(filter.range.first <= filter.range.last);
            assert!((1..=limits::MAX_BATCH_DOCUMENTS).contains(page_size));
        }
        PeerRequest::Leave => {}
    }
}

fn assert_hello(hello: &Hello) {
    assert!((1..=limits::MAX_NAME_BYTES).contains(&hello.name.as_str().len()));
    assert!(hello.port.is_none_or(|port| port >= 1024));
    hello.advertise.into_iter().for_each(assert_address);
    assert_fingerprints(&hello.fingerprints);
}

fn assert_lookup(query: &LookupQuery) {
    assert_holders(query.max_holders);
    let digits = query.sha256_prefix.as_str();
    assert!(digits.len() <= 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
}

fn assert_holders(max: usize) {
    assert!((1..=limits::MAX_HOLDERS).contains(&max));
}

fn download_many(bytes: &[u8]) {
    let Ok(message) = pb::DownloadManyRequest::decode(bytes) else {
        return;
    };
    let (id, query) = decode_many_request(&message);
    assert_eq!(id, message.request_id);
    match query {
        Ok(query) => {
            assert_eq!(query.document.offset, 0, "streams carry whole documents");
            let again = sent(&encode_many_request(id, &query));
            assert_eq!(decode_many_request(&again), (id, Ok(query)));
        }
        Err(error) => assert_refusal(error),
    }
}
