//! FileTransfer's own limits and refusals, over the wire, as a client meets them that is not this system's.

use std::time::Duration;

use p2p_ci::{
    failure::{Failure, Reason},
    limits::{CHUNK_BYTES, MAX_OUTSTANDING_DOWNLOADS, MAX_TRANSFER_REQUEST_BYTES},
    pb::{self, download_response::Body, file_transfer_client::FileTransferClient},
};
use peer::limits::MAX_UPLOADS;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use crate::support::{TestPeer, TestRegistry, within};

/// More than a client of hyper's takes unread, which is 5 MiB a connection.
const SIZE_BYTES: usize = 40 * CHUNK_BYTES;

async fn holder(registry: &TestRegistry) -> TestPeer {
    let bytes: Vec<u8> = (0..SIZE_BYTES).map(|at| (at % 251) as u8).collect();
    TestPeer::start(registry, "holder", &[("rfc1.txt", &bytes)]).await
}

async fn client(peer: &TestPeer) -> FileTransferClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", peer.address())).unwrap();
    FileTransferClient::new(channel.connect().await.unwrap())
}

fn wanted(number: u32) -> pb::DownloadRequest {
    pb::DownloadRequest {
        number,
        ..pb::DownloadRequest::default()
    }
}

/// What ends a stream that must not end well.
async fn end_of<T>(answers: &mut Streaming<T>) -> Failure {
    within("the end", async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended well"),
                Err(status) => return failure(&status),
            }
        }
    })
    .await
}

fn failure(status: &Status) -> Failure {
    Failure::from_status(status).unwrap_or_else(|| panic!("no reason: {status:?}"))
}

#[tokio::test]
async fn wrong_questions_are_told_apart() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    let mut client = client(&peer).await;
    type Change = fn(&mut pb::DownloadRequest);
    let cases: [(Change, Reason, Option<&str>); 6] = [
        (|request| request.number = 0, Reason::InvalidRequest, Some("number")),
        (|request| request.format = 77, Reason::InvalidRequest, Some("format")),
        (
            |request| request.sha256 = "xyz".into(),
            Reason::InvalidRequest,
            Some("sha256"),
        ),
        (
            |request| request.offset = SIZE_BYTES as u64 + 1,
            Reason::OffsetOutOfRange,
            Some("offset"),
        ),
        (|request| request.number = u32::MAX, Reason::DocumentNotFound, None),
        (
            |request| request.sha256 = "0".repeat(64),
            Reason::DocumentNotFound,
            None,
        ),
    ];
    for (change, reason, field) in cases {
        let mut request = wanted(1);
        change(&mut request);
        let told = match client.download(request.clone()).await {
            Ok(answers) => end_of(&mut answers.into_inner()).await,
            Err(status) => failure(&status),
        };
        assert_eq!((told.reason, told.field.as_deref()), (reason, field), "{request:?}");
        assert!(told.message.len() <= 300 && !told.message.is_empty());
    }
}

#[tokio::test]
async fn wrong_questions_on_a_stream_are_told_apart_and_it_goes_on() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    let mut client = client(&peer).await;
    type Change = fn(&mut pb::DownloadManyRequest);
    let cases: [(Change, Reason, &str); 4] = [
        (|request| request.number = 0, Reason::InvalidRequest, "number"),
        (|request| request.format = 77, Reason::InvalidRequest, "format"),
        (
            |request| request.sha256 = "xyz".into(),
            Reason::InvalidRequest,
            "sha256",
        ),
        (|request| request.number = 2, Reason::DocumentNotFound, ""),
    ];
    let (requests, receiver) = mpsc::channel(1);
    let right = |request_id| pb::DownloadManyRequest {
        request_id,
        number: 1,
        ..pb::DownloadManyRequest::default()
    };
    let asked = tokio::spawn(async move {
        for (id, (change, ..)) in (1..).zip(cases) {
            let mut request = right(id);
            change(&mut request);
            requests.send(request).await.unwrap();
        }
        requests.send(right(99)).await.unwrap();
    });
    let mut answers = client
        .download_many(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    for (id, (_, reason, field)) in (1..).zip(cases) {
        let answer = within("an answer", answers.message()).await.unwrap().unwrap();
        let Some(pb::download_many_response::Body::Error(error)) = answer.body else {
            panic!("{answer:?}");
        };
        assert_eq!(answer.request_id, id);
        assert_eq!((error.reason.as_str(), error.field.as_str()), (reason.as_str(), field));
        assert_eq!(error.code, i32::from(reason.code()));
        assert!(error.message.len() <= 300 && !error.message.is_empty());
    }
    let mut received = 0;
    while let Some(answer) = within("an answer", answers.message()).await.unwrap() {
        assert_eq!(answer.request_id, 99);
        if let Some(pb::download_many_response::Body::Chunk(chunk)) = answer.body {
            received += chunk.len();
        }
    }
    assert_eq!(received, SIZE_BYTES);
    asked.await.unwrap();
}

#[tokio::test]
async fn a_question_that_is_too_long_ends_its_call() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    let mut client = client(&peer).await;
    let too_long = "f".repeat(MAX_TRANSFER_REQUEST_BYTES);
    let request = pb::DownloadRequest {
        sha256: too_long.clone(),
        ..wanted(1)
    };
    let told = failure(&client.download(request).await.unwrap_err());
    assert_eq!(told.reason, Reason::MessageTooLarge);
    let request = pb::DownloadManyRequest {
        request_id: 1,
        number: 1,
        sha256: too_long,
        ..pb::DownloadManyRequest::default()
    };
    let told = match client.download_many(tokio_stream::once(request)).await {
        Ok(answers) => end_of(&mut answers.into_inner()).await,
        Err(status) => failure(&status),
    };
    assert_eq!(told.reason, Reason::MessageTooLarge);
    let whole = within("a right one", client.download(wanted(1))).await;
    assert!(whole.is_ok(), "others go on");
}

#[tokio::test]
async fn all_bytes_but_the_last_may_be_left_out_and_the_last_as_well() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    let mut client = client(&peer).await;
    for left_out in [SIZE_BYTES - 1, SIZE_BYTES] {
        let mut request = wanted(1);
        request.offset = left_out as u64;
        let mut answers = client.download(request).await.unwrap().into_inner();
        let header = within("the header", answers.message()).await.unwrap().unwrap();
        assert!(matches!(header.body, Some(Body::Header(_))));
        let mut received = 0;
        while let Some(answer) = within("a chunk", answers.message()).await.unwrap() {
            match answer.body {
                Some(Body::Chunk(chunk)) => received += chunk.len(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(received, SIZE_BYTES - left_out);
    }
}

#[tokio::test]
async fn a_slot_is_taken_for_as_long_as_the_answer_is_not_read() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    // One connection could not have more streams than that open.
    let (mut first, mut second) = (client(&peer).await, client(&peer).await);
    let mut unread = Vec::new();
    for _ in 0..MAX_UPLOADS {
        unread.push(first.download(wanted(1)).await.unwrap().into_inner());
    }
    let refused = failure(&second.download(wanted(1)).await.unwrap_err());
    assert_eq!(refused.reason, Reason::Overloaded);
    assert!(refused.retry_after.is_some_and(|pause| pause > Duration::ZERO));
    // Whoever goes away gives its slot back.
    unread.pop();
    within("a slot", async {
        while second.download(wanted(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_request_too_many_ends_the_stream_after_what_was_sent() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    let mut client = client(&peer).await;
    let (requests, receiver) = mpsc::channel(2 * MAX_OUTSTANDING_DOWNLOADS);
    let ask = |request_id: u64| pb::DownloadManyRequest {
        request_id,
        number: 1,
        ..pb::DownloadManyRequest::default()
    };
    // The answers to the first ones fill the windows, so that the others stay unanswered.
    for id in 1..=2 * MAX_OUTSTANDING_DOWNLOADS as u64 {
        requests.send(ask(id)).await.unwrap();
    }
    let answers = client.download_many(ReceiverStream::new(receiver)).await.unwrap();
    let told = end_of(&mut answers.into_inner()).await;
    assert_eq!(told.reason, Reason::LimitExceeded);
}

#[tokio::test]
async fn an_upload_that_is_cut_off_does_not_look_whole() {
    let registry = TestRegistry::start().await;
    let peer = holder(&registry).await;
    let mut client = client(&peer).await;
    let mut answers = client.download(wanted(1)).await.unwrap().into_inner();
    within("the header", answers.message()).await.unwrap().unwrap();
    let leaving = tokio::spawn(peer.node.shutdown(Duration::from_millis(200)));
    let told = within("the end", async {
        // Nothing is read until the grace is over.
        tokio::time::sleep(Duration::from_millis(400)).await;
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended well"),
                Err(status) => return status,
            }
        }
    })
    .await;
    // The connection itself is closed soon after; either says that more was to come.
    assert!(
        Failure::from_status(&told).is_none_or(|failure| failure.reason == Reason::ShuttingDown),
        "{told:?}"
    );
    within("the end of the peer", leaving).await.unwrap();
}
