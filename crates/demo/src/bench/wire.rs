//! HTTP/1.1 as cheaply as can be, both sides: what remains is the cost of what is measured.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The type of all bodies.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Environment variable with a header of every request: on a command line everybody could read it.
pub(super) const HEADER_VARIABLE: &str = "AMENDS_BENCH_HEADER";

/// A request or answer with a whole body.
pub(super) type Body = Full<Bytes>;

/// Answers every request by `answer`, until it is dropped or can't listen any more.
pub(super) async fn serve<A>(
    listener: TcpListener,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let answer = answer.clone();
                connections.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let service = service_fn(move |request| {
                        let response = answer(request);
                        async { Ok::<_, Infallible>(response.await) }
                    });
                    // A caller that goes away is its own affair.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// An answer in JSON.
pub(super) fn json_answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A POST of JSON, as HTTP/1.1 wants it.
///
/// # Errors
///
/// `path` or `host` is none.
pub(super) fn post(
    host: &str,
    path: &str,
    body: impl Into<Bytes>,
) -> anyhow::Result<Request<Body>> {
    let request = Request::post(path).header(header::HOST, host).header(header::CONTENT_TYPE, JSON);
    Ok(request.body(Full::new(body.into()))?)
}

/// A header written as `Name: value`. The error does not repeat the value, which may be a secret.
///
/// # Errors
///
/// It is none.
pub(super) fn header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("a header is written as 'Name: value'")?;
    let name = HeaderName::try_from(name.trim()).context("no header has such a name")?;
    let mut value = HeaderValue::try_from(value.trim()).context("no header has such a value")?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// A kept-alive connection that serves one request after the other; dropping it closes it.
pub(super) struct Connection {
    requests: SendRequest<Body>,
    _driver: JoinSet<()>,
}

impl Connection {
    /// Connects to `address`, which is `host:port`.
    pub(super) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = timeout(CONNECT_MAX, TcpStream::connect(address)).await;
        let stream = stream.map_err(anyhow::Error::from).and_then(|stream| Ok(stream?));
        let stream = stream.with_context(|| format!("can't connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // Its error comes out of the request as well.
            let _ = connection.await;
        });
        Ok(Self { requests, _driver: driver })
    }

    /// Whether a further request may be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// As many kept-alive connections to one address as were in use at once, and no more than a bound.
pub(super) struct Connections {
    places: Semaphore,
    /// `host:port`.
    pub(super) address: String,
    idle: Mutex<Vec<Connection>>,
}

impl Connections {
    pub(super) fn to(address: String, most: usize) -> Self {
        Self { places: Semaphore::new(most), address, idle: Mutex::default() }
    }

    /// Sends a request on a free connection, or on a new one.
    pub(super) async fn send(&self, request: Request<Body>) -> anyhow::Result<(StatusCode, Bytes)> {
        let _place = self.places.acquire().await?;
        let idle = self.idle().pop().filter(Connection::is_open);
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.address).await?,
        };
        let answer = connection.send(request).await?;
        self.idle().push(connection);
        Ok(answer)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A list of connections is never half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
