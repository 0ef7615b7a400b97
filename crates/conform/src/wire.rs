//! One connection a call: HTTP/1.1 over TCP or TLS, with an end to everything.
//!
//! Connections are not kept, so that a call can be cut off without touching another one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::answer::Answer;

/// Most bytes of an answer that are read, as in the contract.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A request that is ready to go.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
}

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Once the request is sent.
    AfterSending,
    /// Once the answer has begun, none of which is read.
    AsTheAnswerBegins,
}

impl Cut {
    /// For people.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::AfterSending => "cut off unanswered",
            Self::AsTheAnswerBegins => "cut off as it was answered",
        }
    }
}

/// The way out.
pub(crate) struct Wire {
    timeout: Duration,
    tls: OnceLock<Result<TlsConnector, String>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Wire {
    /// One on which no call takes longer than `timeout`.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, tls: OnceLock::new() }
    }

    /// Whether anybody listens at `url`.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub(crate) async fn knock(&self, url: &Url) -> Result<(), String> {
        self.in_time(self.connect(url)).await.map(drop)
    }

    /// Sends `parcel` and reads its answer; no redirect is followed.
    pub(crate) async fn send(&self, parcel: &Parcel) -> Answer {
        self.in_time(self.exchange(parcel)).await.unwrap_or_else(Answer::Lost)
    }

    /// Sends `parcel` and hangs up.
    ///
    /// # Errors
    ///
    /// A sentence: it was not sent, or there was no answer to be cut off.
    pub(crate) async fn cut(&self, parcel: &Parcel, when: Cut) -> Result<(), String> {
        self.in_time(async {
            let mut stream = self.connect(&parcel.url).await?;
            let sent = async {
                stream.write_all(&as_bytes(parcel)).await?;
                stream.flush().await?;
                if when == Cut::AsTheAnswerBegins && stream.read(&mut [0]).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            };
            sent.await.map_err(|error: std::io::Error| error.to_string())
        })
        .await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let late = || format!("nothing within {:?}", self.timeout);
        timeout(self.timeout, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, String> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        // The brackets of an IPv6 address are the URL's.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, port)).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let tls = self.tls.get_or_init(tls).clone()?;
        let stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
        Ok(Box::new(stream))
    }

    async fn exchange(&self, parcel: &Parcel) -> Result<Answer, String> {
        let stream = TokioIo::new(self.connect(&parcel.url).await?);
        let (mut sender, connection) =
            http1::handshake(stream).await.map_err(|error| in_full(&error))?;
        let request = request(parcel)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| in_full(&error))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("its body could not be read: {error}"))?;
            Ok(Answer::given(status, &body.to_bytes()))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // The last of an answer may still lie between the two.
            _ = connection => exchange.await,
        }
    }
}

/// The error and what is behind it: hyper's own texts are short.
fn in_full(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn request(parcel: &Parcel) -> Result<Request<Full<Bytes>>, String> {
    let body = parcel.body.clone().unwrap_or_default();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = parcel.method.clone();
    *request.uri_mut() =
        target(&parcel.url).parse().map_err(|error| format!("{}: {error}", parcel.url))?;
    *request.headers_mut() = parcel.headers.clone();
    let host = authority(&parcel.url).try_into().map_err(|_| "the host is no header".to_owned())?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

/// The request as it goes over the line.
fn as_bytes(parcel: &Parcel) -> Vec<u8> {
    let body = parcel.body.as_deref().unwrap_or_default();
    let mut bytes = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
        parcel.method,
        target(&parcel.url),
        authority(&parcel.url),
        body.len()
    )
    .into_bytes();
    for (name, value) in &parcel.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn tls() -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let hint = "this machine has no certificate authorities; install its CA certificates, or \
                    name a file of them in SSL_CERT_FILE";
        return Err(hint.to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
