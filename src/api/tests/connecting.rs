//! What keeps a connection from being made has a name of its own.

use super::stub::{Reply, Stub};
use super::*;
use crate::api::ApiError;

async fn failure(https: bool, authority: &str) -> ApiError {
    let (endpoint, limits) =
        (Endpoint { https, authority: authority.into() }, Api { retries: 1, ..limits() });
    let client = Client::new(ClientOptions {
        region: "cn-hangzhou",
        transport: Transport::new("cn-hangzhou", Network::Public, Some(&endpoint), &limits).unwrap(),
        limits: &limits,
        credentials: provider_for(&long_lived(), |_| None),
        clock: Clock::manual(NOW),
        observer: Arc::new(()),
    });
    client.list_workspaces(None, 1).await.unwrap_err()
}

#[tokio::test]
async fn a_name_without_an_address() {
    let failed = failure(false, "no-such-host.invalid").await;
    assert_eq!((failed.reason(), failed.attempts()), (FailureReason::Unresolved, 2));
    assert!(failed.to_string().contains("no address for no-such-host.invalid"), "{failed}");
}

#[tokio::test]
async fn a_handshake_that_fails_is_not_tried_again() {
    let stub = Stub::start(|_| Reply::Raw(Vec::new())).await;
    // Bytes that are no TLS, as soon as the client has begun.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        loop {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 16]).await;
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = socket.read(&mut [0; 4_096]).await;
        }
    });
    let failed = failure(true, &authority).await;
    server.abort();
    assert_eq!((failed.reason(), failed.attempts()), (FailureReason::Tls, 1), "{failed}");
    // A port that nobody listens on is neither.
    let port = stub.authority.clone();
    drop(stub);
    tokio::task::yield_now().await;
    let failed = failure(false, &port).await;
    assert_eq!((failed.reason(), failed.attempts()), (FailureReason::Unreachable, 2), "{failed}");
}
