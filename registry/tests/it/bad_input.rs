//! Requests that are wrong: each is told what is wrong with it, and changes nothing.

use p2p_ci::{
    failure::Reason,
    pb::{self, register_request::Body},
};
use registry::Server;

use crate::support::{client, document, numbers, raw, registry, within};

async fn bad_announcements(registry: &Server, documents: Vec<pb::Document>) -> pb::RequestError {
    bad_request(registry, Body::Announce(pb::Announce { documents })).await
}

/// Makes a request within a session, and returns how it failed.
pub(crate) async fn bad_request(registry: &Server, request: Body) -> pb::RequestError {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", registry.local_addr())).unwrap();
    let mut client = pb::registry_client::RegistryClient::new(channel.connect().await.unwrap());
    let hello = pb::Hello {
        protocol_version: 1,
        name: "clumsy".to_owned(),
        port: 5000,
        ..Default::default()
    };
    let requests = [Body::Hello(hello), request];
    let requests = (1..).zip(requests).map(|(request_id, body)| pb::RegisterRequest {
        request_id,
        body: Some(body),
    });
    let mut replies = client
        .register(tokio_stream::iter(requests.collect::<Vec<_>>()))
        .await
        .unwrap()
        .into_inner();
    loop {
        let reply = within(replies.message()).await.unwrap().unwrap();
        if reply.request_id == 2 {
            match reply.body.unwrap() {
                pb::register_response::Body::Error(error) => return error,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn year_one_million() -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: 31_000_000_000_000,
        nanos: 0,
    }
}

#[tokio::test]
async fn every_wrong_field_of_a_document_is_named_and_nothing_is_taken() {
    type Change = fn(&mut pb::Document);
    let cases: &[(&str, Change)] = &[
        ("number", |document| document.number = 0),
        ("format", |document| document.format = 0),
        ("format", |document| document.format = 6),
        ("format", |document| document.format = -1),
        ("sha256", |document| document.sha256 = String::new()),
        ("sha256", |document| document.sha256 = "abc".to_owned()),
        ("sha256", |document| document.sha256 = "g".repeat(64)),
        ("size_bytes", |document| document.size_bytes = u64::MAX),
        ("size_bytes", |document| document.size_bytes = 16 * 1024 * 1024 + 1),
        ("title", |document| document.title = "x".repeat(513)),
        ("modified_time", |document| {
            document.modified_time = Some(year_one_million())
        }),
        ("title", |document| document.title = "\u{1b}]0;owned\u{7}".to_owned()),
    ];
    let registry = registry().await;
    for (field, change) in cases {
        let mut wrong = pb::Document::from(&document(2));
        change(&mut wrong);
        let error = bad_announcements(&registry, vec![(&document(1)).into(), wrong]).await;
        assert_eq!(error.reason, "INVALID_REQUEST");
        assert_eq!(error.code, i32::from(tonic::Code::InvalidArgument));
        assert_eq!(error.field, format!("documents[1].{field}"), "{}", error.message);
        assert!(error.message.len() <= 300 && !error.message.chars().any(char::is_control));
        assert_eq!(numbers(&client(&registry).await).await, [0u32; 0], "all or nothing");
    }
    let too_many = (1..=257).map(|number| pb::Document::from(&document(number))).collect();
    assert_eq!(bad_announcements(&registry, too_many).await.field, "documents");
}

#[tokio::test]
async fn other_wrong_requests_of_a_session_are_told_apart() {
    let key = |number, format| pb::DocumentKey { number, format };
    let withdraw = |documents, formats| Body::Withdraw(pb::Withdraw { documents, formats });
    let list = |change: fn(&mut pb::ListPageRequest)| {
        let mut request = pb::ListPageRequest::default();
        change(&mut request);
        Body::List(request)
    };
    let cases = [
        (withdraw(vec![key(1, 1), key(0, 1)], vec![]), "documents[1].number"),
        (withdraw(vec![key(1, 9)], vec![]), "documents[0].format"),
        (withdraw(vec![key(1, 1); 257], vec![]), "documents"),
        (withdraw(vec![], vec![9]), "formats[0]"),
        (list(|request| request.page_size = 257), "page_size"),
        (list(|request| request.page_size = u32::MAX), "page_size"),
        (list(|request| request.page_token = "next".to_owned()), "page_token"),
        (
            list(|request| request.page_token = "1.txt.abc.-1".to_owned()),
            "page_token",
        ),
        (list(|request| request.page_token = "%".repeat(60_000)), "page_token"),
        (list(|request| request.format = 77), "format"),
    ];
    let registry = registry().await;
    for (request, field) in cases {
        let error = bad_request(&registry, request).await;
        assert_eq!(
            (error.reason.as_str(), error.field.as_str()),
            ("INVALID_REQUEST", field)
        );
        assert_eq!(error.code, i32::from(tonic::Code::InvalidArgument));
        assert!(error.message.len() <= 300 && !error.message.chars().any(char::is_control));
    }
}

/// The field that a question is refused for.
async fn refused_field(registry: &Server, method: &str, request: &impl tonic_prost::prost::Message) -> String {
    let failure = raw::ask(registry.local_addr(), method, request).await;
    assert_eq!(failure.reason, Reason::InvalidRequest, "{failure}");
    failure.field.unwrap()
}

#[tokio::test]
async fn wrong_lookups_are_told_what_is_wrong() {
    type Change = fn(&mut pb::LookupRequest);
    let cases: &[(&str, Change)] = &[
        ("number", |lookup| lookup.number = 0),
        ("format", |lookup| lookup.format = 9),
        ("max_holders", |lookup| lookup.max_holders = 21),
        ("sha256_prefix", |lookup| lookup.sha256_prefix = "xyz".to_owned()),
        ("sha256_prefix", |lookup| lookup.sha256_prefix = "a".repeat(65)),
        ("sha256_prefix", |lookup| lookup.sha256_prefix = "a".repeat(60_000)),
        ("sha256_prefix", |lookup| {
            lookup.sha256_prefix = "%*'\"(a+)+$".to_owned()
        }),
    ];
    let registry = registry().await;
    for (field, change) in cases {
        let mut request = pb::LookupRequest {
            number: 1,
            ..Default::default()
        };
        change(&mut request);
        assert_eq!(refused_field(&registry, "Lookup", &request).await, *field);
    }
    for unknown in [10_053, u32::MAX] {
        let request = pb::LookupRequest {
            number: unknown,
            ..Default::default()
        };
        let failure = raw::ask(registry.local_addr(), "Lookup", &request).await;
        assert_eq!(failure.reason, Reason::RfcNotFound);
    }
}

#[tokio::test]
async fn wrong_questions_for_many_are_told_what_is_wrong() {
    let registry = registry().await;
    let cases = [
        (vec![], "numbers"),
        (vec![1; 10_001], "numbers"),
        (vec![1, 0], "numbers[1]"),
    ];
    for (numbers, field) in cases {
        let request = pb::LookupManyRequest {
            numbers,
            ..Default::default()
        };
        assert_eq!(refused_field(&registry, "LookupMany", &request).await, field);
    }
    let request = pb::ListDocumentsRequest {
        range: Some(pb::NumberRange { first: 9, last: 1 }),
        ..Default::default()
    };
    assert_eq!(refused_field(&registry, "ListDocuments", &request).await, "range");
    let request = pb::ListDocumentsRequest {
        peer: "\u{1b}[31m".to_owned(),
        ..Default::default()
    };
    assert_eq!(refused_field(&registry, "ListDocuments", &request).await, "peer");
}

/// Unary requests that tonic cannot decode get a reason, too.
#[tokio::test]
async fn a_question_that_is_too_large_or_no_message_is_told_so() {
    let registry = registry().await;
    let address = registry.local_addr();
    let large = pb::LookupManyRequest {
        numbers: vec![u32::MAX; 20_000],
        ..Default::default()
    };
    assert_eq!(
        raw::ask(address, "LookupMany", &large).await.reason,
        Reason::MessageTooLarge
    );
    // Field 3 (sha256_prefix), 2 bytes that are not UTF-8.
    let mut call = raw::RawCall::start(address, "Lookup").await;
    call.send(raw::framed(&[0x1a, 0x02, 0xff, 0xfe]));
    call.half_close();
    assert_eq!(call.failure().await.reason, Reason::InvalidRequest);
    assert_eq!(numbers(&client(&registry).await).await, [0u32; 0]);
}
