//! What goes over the wire.

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::stub::{Reply, Seen, Stub, error, json};
use super::*;

/// The signature from the bytes that came, written without the client's signer.
fn signature_of(seen: &Seen, secret: &str) -> String {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let mut signed: Vec<_> =
        seen.headers.iter().filter(|(name, _)| name == "host" || name.starts_with("x-acs-")).collect();
    signed.sort();
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let hash = seen.header("x-acs-content-sha256");
    let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{hash}", seen.method);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical))).as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    format!("ACS3-HMAC-SHA256 Credential={KEY_ID},SignedHeaders={names},Signature={signature}")
}

#[tokio::test]
async fn every_operation_has_its_path_and_its_signature() {
    let stub = Stub::start(|_| {
        json(r#"{"code":"1000000","requestId":"r","sessionCluster":{"sessionClusterId":"s"}}"#)
    });
    let stub = stub.await;
    let client = client_to(&stub.authority, &limits(), &sts(), Arc::default());
    client.list_workspaces(None, 100).await.unwrap();
    client.list_session_clusters("w-1", Some("a+b/c=='~*"), 20).await.unwrap();
    client.get_session_cluster("w-1", "sc/1 数").await.unwrap();
    client.list_livy_compute("w-1").await.unwrap();
    client.list_livy_compute_sessions("w-1", "lc-1", 17, 100).await.unwrap();

    let seen = stub.seen();
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/api/v1/workspaces?maxResults=100&regionId=cn-hangzhou",
            "/api/v1/workspaces/w-1/sessionClusters?maxResults=20&nextToken=a%2Bb%2Fc%3D%3D%27~%2A&regionId=cn-hangzhou",
            "/api/v1/workspaces/w-1/sessionClusters/sc%2F1%20%E6%95%B0?regionId=cn-hangzhou",
            "/api/interactive/v1/workspace/w-1/livycompute?regionId=cn-hangzhou",
            "/api/v1/workspaces/w-1/livycompute/lc-1/session?pageNum=17&pageSize=100&regionId=cn-hangzhou",
        ]
    );
    let actions: Vec<_> = seen.iter().map(|seen| seen.header("x-acs-action")).collect();
    assert_eq!(actions, Action::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>());
    for seen in &seen {
        assert_eq!(seen.header("authorization"), signature_of(seen, KEY_SECRET));
        assert_eq!(seen.header("host"), stub.authority);
        assert_eq!(seen.header("x-acs-date"), "2026-01-12T10:20:40Z");
        assert_eq!(seen.header("x-acs-version"), "2023-08-08");
        assert_eq!(seen.header("x-acs-security-token"), TOKEN);
        assert_eq!(seen.header("x-acs-accesskey-id"), KEY_ID);
        assert_eq!(seen.header("accept"), "application/json");
        assert_eq!(
            seen.header("user-agent"),
            concat!("emr-serverless-spark-exporter/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(seen.header("accept-encoding"), "gzip");
    }
}

#[tokio::test]
async fn a_long_lived_key_sends_no_token() {
    let stub = Stub::start(|_| json(r#"{"requestId":"r"}"#)).await;
    client(&stub).list_workspaces(None, 1).await.unwrap();
    let seen = &stub.seen()[0];
    assert_eq!(seen.header("authorization"), signature_of(seen, KEY_SECRET));
    assert!(!seen.headers.iter().any(|(n, _)| n == "x-acs-security-token" || n == "x-acs-accesskey-id"));
}

#[tokio::test]
async fn every_attempt_has_a_nonce_and_a_signature_of_its_own() {
    let stub = Stub::start(|_| error(500, "InternalError")).await;
    let failed = client(&stub).list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(failed.attempts(), 3);
    let nonces: HashSet<_> =
        stub.seen().iter().map(|seen| seen.header("x-acs-signature-nonce").to_owned()).collect();
    let signatures: HashSet<_> =
        stub.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!((nonces.len(), signatures.len()), (3, 3));
    assert!(nonces.iter().all(|nonce| nonce.len() == 32 && nonce.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[tokio::test]
async fn a_proxy_gets_the_request_as_it_was_signed() {
    let proxy = Stub::start(|_| json(r#"{"requestId":"r"}"#)).await;
    let limits = Api { proxy: Some(format!("http://user:pw@{}", proxy.authority).into()), ..limits() };
    let client = client_to("127.0.0.1:9", &limits, &sts(), Arc::default());
    client.list_session_clusters("w~1", Some("'"), 1).await.unwrap();
    let mut seen = proxy.seen().remove(0);
    assert_eq!(
        (seen.header("proxy-authorization"), seen.header("host")),
        ("Basic dXNlcjpwdw==", "127.0.0.1:9")
    );
    seen.target = seen.target.strip_prefix("http://127.0.0.1:9").unwrap().to_owned();
    assert_eq!(seen.header("authorization"), signature_of(&seen, KEY_SECRET));
}

#[tokio::test]
async fn ids_that_no_path_can_hold_are_refused_before_anything_is_sent() {
    let stub = Stub::start(|_| json("{}")).await;
    let client = client(&stub);
    let long = "x".repeat(9000);
    for id in ["", ".", "..", &long] {
        let failed = client.list_session_clusters(id, None, 1).await.unwrap_err();
        assert_eq!((failed.reason().as_str(), failed.attempts()), ("rejected", 1), "{failed}");
        assert!(failed.to_string().len() < 400);
    }
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn no_text_of_an_error_holds_a_key_or_a_token() {
    let echo = format!(
        r#"{{"code":"SignatureDoesNotMatch","message":"server string to sign is: x-acs-security-token:{TOKEN}\n{KEY_ID} {} {KEY_SECRET}","requestId":"{TOKEN}"}}"#,
        percent_encoding::utf8_percent_encode(TOKEN, percent_encoding::NON_ALPHANUMERIC)
    );
    let stub = Stub::start(move |_| Reply::Answer(400, "", echo.clone().into())).await;
    let client = client_to(&stub.authority, &limits(), &sts(), Arc::default());
    let failed = client.list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(failed.code(), Some("SignatureDoesNotMatch"));
    assert_eq!(failed.message(), Some("server string to sign is: x-acs-security-token:*** *** *** ***"));
    let texts = format!("{failed} {failed:?} {:?}", sts());
    for secret in [KEY_SECRET, TOKEN] {
        assert!(!texts.contains(secret), "{texts}");
    }

    let gone = client_to("127.0.0.1:1", &Api { retries: 0, ..limits() }, &sts(), Arc::default());
    let failed = gone.list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(failed.reason().as_str(), "unreachable");
    let texts = format!("{failed} {failed:?}");
    assert!(texts.contains("refused"), "{texts}");
    assert!(!texts.contains(TOKEN) && !texts.contains(KEY_ID) && !texts.contains("regionId"), "{texts}");
}

#[tokio::test]
async fn keys_that_cannot_be_had_or_sent_are_named() {
    let stub = Stub::start(|_| json("{}")).await;
    let none = client_to(&stub.authority, &limits(), &Credentials::Default, Arc::default());
    let failed = none.list_workspaces(None, 1).await.unwrap_err();
    assert_eq!(failed.reason().as_str(), "no_credentials");
    assert!(failed.to_string().contains("ALIBABA_CLOUD_ACCESS_KEY_ID"), "{failed}");

    let broken = Credentials::Static(AccessKey { id: "a\nb".into(), secret: "s".into() });
    let failed = client_to(&stub.authority, &limits(), &broken, Arc::default())
        .list_workspaces(None, 1)
        .await
        .unwrap_err();
    assert_eq!(failed.reason().as_str(), "no_credentials");
    assert!(stub.seen().is_empty());
}

#[test]
fn plain_http_needs_no_certificate_authorities() {
    // The way to the system's authorities is in the environment: a process of its own has none.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "api::tests::requests::a_long_lived_key_sends_no_token"])
        .envs([("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/dev/null")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_bad_ca_file_or_proxy_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let build =
        |limits: &Api| Transport::new("cn-hangzhou", Network::Public, None, limits).unwrap_err().to_string();
    let with_ca = |name: &str, pem: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        (build(&Api { ca_file: Some(path.clone()), ..limits() }), path.display().to_string())
    };
    let (text, path) = with_ca("empty.pem", "nothing here");
    assert_eq!(text, format!("api.ca_file: {path} holds no certificate"));
    let (text, path) = with_ca("bad.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    assert!(text.starts_with(&format!("api.ca_file: {path} is not a PEM file of certificates: ")), "{text}");
    let missing = directory.path().join("missing.pem");
    let text = build(&Api { ca_file: Some(missing.clone()), ..limits() });
    assert!(text.starts_with(&format!("api.ca_file: cannot read {}: ", missing.display())), "{text}");
    let text = build(&Api { proxy: Some("http://user:pass word@:x".into()), ..limits() });
    assert_eq!(text, "api.proxy: not a proxy URL such as http://[user:password@]host:port");
}
