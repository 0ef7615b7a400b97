//! A participant that speaks TLS, with a certificate made for it.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A participant on a free port; it ends with the value.
pub(crate) struct TlsParticipant {
    port: u16,
    certificate: String,
    requests: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl TlsParticipant {
    /// Starts one whose certificate is for `name`, signed by itself.
    pub(crate) async fn start(name: &str) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let key = key.map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let requests = Arc::default();
        let mut serving = JoinSet::new();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        serving.spawn(accept(listener, acceptor, Arc::clone(&requests)));
        Ok(Self { port, certificate: pem(made.cert.der()), requests, _serving: serving })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// A file of certificates to be trusted, with its own in it.
    pub(crate) fn trusted(&self) -> anyhow::Result<NamedTempFile> {
        let mut file = NamedTempFile::new()?;
        file.write_all(self.certificate.as_bytes())?;
        Ok(file)
    }
}

fn pem(certificate: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, requests: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
        connections.spawn(async move {
            // Most clients are meant to leave.
            let _ = answer(stream, &acceptor, &requests).await;
        });
    }
}

async fn answer(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut bytes = vec![0; 65_536];
    if stream.read(&mut bytes).await? > 0 {
        requests.fetch_add(1, Ordering::SeqCst);
        stream.write_all(DONE).await?;
        stream.shutdown().await?;
    }
    Ok(())
}
