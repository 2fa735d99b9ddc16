//! A real server over an in-memory connection, and a client that makes it reset one stream after the other.

use bytes::Bytes;
use h2::Reason as ErrorCode;
use tokio_stream::iter;

use super::*;
use crate::{limits, transport::Conn};

/// How long anything may take; far more than it should.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn who_makes_the_server_reset_streams_without_end_is_cut_off() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let accepted = iter([Ok(Conn::new(far, "127.0.0.1:5000".parse().unwrap()))]);
    let incoming = Box::pin(tokio_stream::StreamExt::chain(accepted, tokio_stream::pending()));
    let _serving = Serving::spawn(Routes::default(), AllowedSources::default(), incoming);
    let (mut requests, connection) = h2::client::handshake(near).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut resets = 0;
    // One more body than it announced: an error of each stream by itself, for which the server has to reset it.
    while let Ok(mut ready) = tokio::time::timeout(PATIENCE, requests.clone().ready()).await.unwrap() {
        let request = http::Request::post("http://server/any")
            .header("content-length", "1")
            .body(())
            .unwrap();
        let Ok((response, mut body)) = ready.send_request(request, false) else {
            break;
        };
        let _ = body.send_data(Bytes::from_static(b"two"), true);
        let error = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap_err();
        if !error.is_reset() {
            break;
        }
        resets += 1;
        assert!(
            resets <= limits::MAX_LOCAL_RESETS,
            "{resets} streams were reset and it goes on"
        );
        requests = ready;
    }
    let ended = tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().reason(), Some(ErrorCode::ENHANCE_YOUR_CALM));
    assert_eq!(resets, limits::MAX_LOCAL_RESETS, "as many as are borne");
}
