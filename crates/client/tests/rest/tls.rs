//! Servers behind TLS.

use std::sync::Arc;

use amends_client::Client;
use amends_client::rest::{Error, RetryPolicy, Status};
use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::script::saga;

#[tokio::test]
async fn a_server_is_trusted_by_the_certificate_of_its_authority_only() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            // A client that trusts nobody breaks the handshake off.
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                assert!(connection.read_buf(&mut heard).await.unwrap() > 0);
            }
            let body = saga("completed", 9).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all((head + &body).as_bytes()).await.unwrap();
            connection.flush().await.unwrap();
        }
    });

    let stranger = Client::builder(&url).retry(RetryPolicy::never()).build().unwrap();
    let error = stranger.saga("s1").get().await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { maybe_sent: false, .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");

    let text = base64::engine::general_purpose::STANDARD.encode(made.cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----");
    let friend = Client::builder(&url).root_certificates_pem(pem.as_bytes());
    let found = friend.build().unwrap().saga("s1").get().await.unwrap();
    assert_eq!(found.status, Status::Completed);
}
