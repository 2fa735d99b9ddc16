//! Tests against servers of other kinds.

use p2p_ci::{registry_url::RegistryUrl, transport::tcp_dialer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{error::Exit, known::Memory};

/// A context whose registry says `greeting` to each connection, and closes it.
async fn context(greeting: &'static [u8]) -> Context {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 64]).await;
            let _ = connection.write_all(greeting).await;
        }
    });
    let registry = RegistryUrl {
        host: "127.0.0.1".to_owned(),
        port,
    };
    Context {
        registry,
        dialer: tcp_dialer(),
        memory: Memory::default(),
    }
}

async fn told(greeting: &'static [u8]) -> PeerError {
    let context = context(greeting).await;
    let lost = CallError::Unreachable {
        address: "there".to_owned(),
        detail: "connection closed".to_owned(),
    };
    explained(&context, context.registry_error(lost)).await
}

#[tokio::test]
async fn servers_of_other_protocols_are_recognised() {
    let error = told(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(error.exit(), Exit::Failed);
    assert!(
        error
            .to_string()
            .ends_with("is no P2P-CI registry: it says \"HTTP/1.1 404 Not Found\""),
        "{error}"
    );
    let error = told(b"\x15\x03\x01\0\x02\x02\x46").await;
    assert!(
        error
            .to_string()
            .ends_with("is no P2P-CI registry: it does not speak HTTP/2"),
        "{error}"
    );
    let error = told(b"\x1b[2J\n").await;
    assert_eq!(
        (error.exit(), error.to_string().contains('\u{1b}')),
        (Exit::Failed, false)
    );
}

#[tokio::test]
async fn a_registry_that_fails_stays_one() {
    for greeting in [b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x20".as_slice(), b""] {
        let error = told(greeting).await;
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(error.to_string().contains("connection closed"));
    }
}

#[tokio::test]
async fn nobody_there_and_other_errors_stay_as_they_are() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let registry = RegistryUrl {
        host: "127.0.0.1".to_owned(),
        port: gone,
    };
    let context = Context {
        registry,
        dialer: tcp_dialer(),
        memory: Memory::default(),
    };
    let lost = context.registry_error(CallError::TimedOut {
        what: "the lookup".to_owned(),
    });
    assert_eq!(explained(&context, lost).await.exit(), Exit::Unreachable);
    let usage = PeerError::Usage("no".to_owned());
    assert_eq!(explained(&context, usage).await.exit(), Exit::Usage);
}
