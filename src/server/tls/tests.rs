//! What of the settings becomes of rustls's.

use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;

fn settings() -> TlsServer {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    TlsServer {
        cert: Pem { key: "cert", text: cert.pem().into_bytes().into() },
        key: Pem { key: "key", text: key.serialize_pem().into_bytes().into() },
        client_ca: None,
        client_auth: ClientAuth::NoClientCert,
        client_allowed_sans: None,
        min_version: TlsVersion::Tls12,
        max_version: TlsVersion::Tls13,
        cipher_suites: Vec::new(),
        prefer_server_cipher_suites: true,
        curve_preferences: Vec::new(),
    }
}

#[test]
fn every_name_of_a_suite_and_a_curve_is_one_of_rustls() {
    let names = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
    for name in names {
        let tls = TlsServer { cipher_suites: vec![name], ..settings() };
        assert_eq!(provider(&tls).cipher_suites.len(), 3 + 1, "{name}");
    }
    let tls = TlsServer { curve_preferences: vec!["X25519", "CurveP384", "CurveP256"], ..settings() };
    let groups: Vec<_> = provider(&tls).kx_groups.iter().map(|group| group.name()).collect();
    use rustls::NamedGroup::{X25519, secp256r1, secp384r1};
    assert_eq!(groups, [X25519, secp384r1, secp256r1]);
}

#[test]
fn http2_and_the_order_of_suites_are_as_they_are_set() {
    for http2 in [false, true] {
        let tls = TlsServer { prefer_server_cipher_suites: http2, ..settings() };
        let config = server_config(&tls, http2).unwrap();
        assert_eq!(config.alpn_protocols.contains(&b"h2".to_vec()), http2);
        assert_eq!(config.ignore_client_order, http2);
    }
}

#[test]
fn a_key_of_another_certificate_and_one_with_a_passphrase_are_told() {
    let tls = TlsServer { key: settings().key, ..settings() };
    let error = server_config(&tls, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tls_server_config.key: the private key does not belong to the certificate; give the pair"
    );
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let tls = TlsServer { key: Pem { key: "key_file", text: text.as_bytes().to_vec().into() }, ..settings() };
    let error = server_config(&tls, true).unwrap_err().to_string();
    assert!(error.contains("without a passphrase") && !error.contains("MIIB"), "{error}");
}

/// The suite that a client comes to, which offers all by an order of its own.
fn negotiated(tls: &TlsServer) -> &'static str {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.reverse();
    let mut roots = RootCertStore::empty();
    roots.add(certificates(&tls.cert).unwrap().remove(0)).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server_config(tls, false).unwrap())).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        server.read_tls(&mut &sent[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut answered = Vec::new();
        server.write_tls(&mut answered).unwrap();
        client.read_tls(&mut &answered[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    server.negotiated_cipher_suite().unwrap().suite().as_str().unwrap()
}

#[test]
fn suites_are_preferred_in_the_order_of_the_list_if_the_server_is_to_choose() {
    let [small, large, other] = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
    let tls = |cipher_suites: &[&'static str], max_version, prefer_server_cipher_suites| TlsServer {
        cipher_suites: cipher_suites.to_vec(),
        max_version,
        prefer_server_cipher_suites,
        ..settings()
    };
    for list in [[small, large, other], [large, other, small], [other, small, large]] {
        assert_eq!(negotiated(&tls(&list, TlsVersion::Tls12, true)), list[0]);
        // The client's first is the library's last.
        assert_eq!(negotiated(&tls(&list, TlsVersion::Tls12, false)), other);
        let of_tls13 = negotiated(&tls(&[small, "TLS_AES_128_GCM_SHA256"], TlsVersion::Tls13, true));
        assert_eq!(of_tls13, negotiated(&tls(&[], TlsVersion::Tls13, true)), "a list is about TLS 1.2");
    }
}
