//! HTTP/2, TLS and warm connections.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use amends_core::participant::ParticipantSpec;
use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_participants::{Config, Roots};
use amends_ports::Participants as _;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Version;
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::support::{call, gist, problem, serve, spec, spec_at, unsent, with};

type Seen = Arc<Mutex<(BTreeSet<SocketAddr>, Vec<Version>)>>;

fn recording(seen: &Seen) -> Router {
    let own = Arc::clone(seen);
    let handler = move |ConnectInfo(from): ConnectInfo<SocketAddr>, version: Version| async move {
        let mut seen = own.lock().unwrap();
        seen.0.insert(from);
        seen.1.push(version);
    };
    Router::new().route("/pay", post(handler))
}

#[tokio::test]
async fn a_warm_connection_serves_call_after_call() {
    let seen: Seen = Arc::default();
    let participants = with(Config::default(), spec_at(serve(recording(&seen)).await));
    for _ in 0..50 {
        assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.1, vec![Version::HTTP_11; 50]);
    assert!(seen.0.len() <= 2, "{} connections for 50 calls in a row", seen.0.len());
}

#[tokio::test]
async fn http2_calls_share_one_connection() {
    let seen: Seen = Arc::default();
    let spec = ParticipantSpec { http2: true, ..spec_at(serve(recording(&seen)).await) };
    let participants = Arc::new(with(Config::default(), spec));
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let own = Arc::clone(&participants);
        calls.spawn(async move { own.call(call()).await.outcome });
    }
    for outcome in calls.join_all().await {
        assert_eq!(outcome, OutcomeKind::Succeeded);
    }
    let seen = seen.lock().unwrap();
    assert_eq!((seen.0.len(), &seen.1), (1, &vec![Version::HTTP_2; 50]));
}

/// A server with a certificate for `localhost`; the certificate.
async fn serve_tls(router: Router) -> (SocketAddr, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tasks.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = router.layer(axum::Extension(ConnectInfo(from)));
                let service = TowerToHyperService::new(service);
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, certificate)
}

#[tokio::test]
async fn tls_agrees_on_http2_where_it_is_wanted() {
    let versions: Arc<Mutex<Vec<Version>>> = Arc::default();
    let own = Arc::clone(&versions);
    let handler = move |version: Version| {
        own.lock().unwrap().push(version);
        async {}
    };
    let (address, certificate) = serve_tls(Router::new().fallback(handler)).await;
    let roots = Roots { native: false, extra: vec![certificate] };
    let config = Config { roots, ..Config::default() };
    let url = format!("https://localhost:{}", address.port());
    for http2 in [false, true] {
        let participants = with(config.clone(), ParticipantSpec { http2, ..spec(&url) });
        let answer = participants.call(call()).await;
        assert_eq!(answer.outcome, OutcomeKind::Succeeded, "{answer:?}");
        assert!(participants.check(&crate::support::name()).await.unwrap().healthy);
    }
    assert_eq!(*versions.lock().unwrap(), [Version::HTTP_11, Version::HTTP_2]);

    // The same certificate, but the name is another one.
    let other = format!("https://127.0.0.1:{}", address.port());
    let answer = with(config, spec(&other)).call(call()).await;
    assert_eq!(gist(&answer), unsent(AttemptFailure::Tls), "{answer:?}");
}

#[tokio::test]
async fn whom_nobody_trusts_is_not_called() {
    let (address, _) = serve_tls(Router::new().fallback(|| async {})).await;
    let url = format!("https://localhost:{}", address.port());
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    for extra in [vec![other.cert.der().clone()], Vec::new()] {
        let config = Config { roots: Roots { native: false, extra }, ..Config::default() };
        let answer = with(config, spec(&url)).call(call()).await;
        assert_eq!(gist(&answer), unsent(AttemptFailure::Tls), "{answer:?}");
        assert!(problem(&answer).detail.contains("TLS"), "{answer:?}");
    }
}
