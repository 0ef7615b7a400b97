//! Makes connections: resolve, judge, connect to exactly what was judged, agree on TLS.

use std::net::SocketAddr;
use std::time::Duration;

use amends_core::participant::Endpoint;
use amends_core::saga::AttemptFailure;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::failure::Failure;
use crate::head_limit::{HeadBudget, HeadLimited};
use crate::pool::{Http1, Sender};
use crate::tls::Tls;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Most headers of an answer, and most bytes of them.
const HEADERS_MAX: usize = 100;
pub(crate) const HEADER_BYTES_MAX: usize = 64 * 1024;
/// A quiet HTTP/2 connection with calls in flight is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(10);

/// What all connections of this coordinator share.
#[derive(Debug)]
pub(crate) struct Dialer {
    config: Config,
    tls: Tls,
    tasks: TaskTracker,
}

impl Dialer {
    pub(crate) fn new(config: Config) -> Self {
        let tls = Tls::new(config.roots.clone());
        Self { config, tls, tasks: TaskTracker::new() }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Starts a task that ends when what it works for is dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// A fresh connection to `endpoint`, within `limit`.
    pub(crate) async fn dial(
        &self,
        endpoint: &Endpoint,
        http2: bool,
        limit: Duration,
    ) -> Result<Sender, Failure> {
        let limit = limit.min(self.config.connect_timeout);
        let deadline = Instant::now() + limit;
        let connecting = async {
            let addresses = self.addresses(endpoint).await?;
            let stream = connect(endpoint, &addresses, deadline).await?;
            // Latency counts more than packets here; a failure to set it does no harm.
            let _ = stream.set_nodelay(true);
            if endpoint.is_https() {
                self.over_tls(endpoint, stream, http2).await
            } else {
                self.handshake(endpoint, stream, http2).await
            }
        };
        timeout_at(deadline, connecting).await.unwrap_or_else(|_| {
            let time = amends_core::format_duration(limit);
            let detail = format!("could not connect to {endpoint} within {time}");
            Err(Failure::unsent(AttemptFailure::Connect, detail))
        })
    }

    /// The addresses of `endpoint`; one that may not be called spoils them all, since a name with
    /// mixed addresses is an attack.
    async fn addresses(&self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Failure> {
        let (host, port) = (endpoint.host(), endpoint.port());
        let found = if let Some(address) = endpoint.address() {
            vec![SocketAddr::new(address, port)]
        } else {
            self.config.resolver.resolve(host, port).await.map_err(|error| {
                let detail = format!("the name {host} could not be resolved: {error}");
                Failure::unsent(AttemptFailure::Dns, detail)
            })?
        };
        if found.is_empty() {
            let detail = format!("the name {host} has no address");
            return Err(Failure::unsent(AttemptFailure::Dns, detail));
        }
        for address in &found {
            self.config.targets.judge(host, address.ip()).map_err(|blocked| {
                Failure::unsent(AttemptFailure::BlockedTarget, format!("{endpoint}: {blocked}"))
            })?;
        }
        let canonical = |address: &SocketAddr| match address {
            SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => *address,
            SocketAddr::V4(_) | SocketAddr::V6(_) => {
                SocketAddr::new(address.ip().to_canonical(), port)
            }
        };
        Ok(found.iter().take(ADDRESSES_MAX).map(canonical).collect())
    }

    async fn over_tls(
        &self,
        endpoint: &Endpoint,
        stream: TcpStream,
        http2: bool,
    ) -> Result<Sender, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            let detail = format!("could not agree on TLS with {endpoint}: {error}");
            Failure::unsent(AttemptFailure::Tls, detail)
        };
        let config = self.tls.client(http2).map_err(|error| failed(&error))?;
        let name = match endpoint.address() {
            Some(address) => ServerName::from(address),
            None => {
                ServerName::try_from(endpoint.host().to_owned()).map_err(|error| failed(&error))?
            }
        };
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| failed(&error))?;
        let agreed_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.handshake(endpoint, stream, agreed_http2).await
    }

    /// Starts HTTP on `stream`. HTTP/2 is driven by a task of its own until nobody can use it any
    /// more.
    async fn handshake<S>(
        &self,
        endpoint: &Endpoint,
        stream: S,
        http2: bool,
    ) -> Result<Sender, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| {
            let detail = format!("could not start HTTP with {endpoint}: {error}");
            Failure::unsent(AttemptFailure::Connect, detail)
        };
        // How a connection ends, the call on it learns by itself.
        if http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .adaptive_window(true)
                .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_EVERY)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(failed)?;
            self.tasks.spawn(async { drop(connection.await) });
            Ok(Sender::Http2(sender))
        } else {
            let budget = HeadBudget::unlimited();
            let stream = HeadLimited::new(stream, budget.clone());
            let (sender, connection) = http1::Builder::new()
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEADER_BYTES_MAX)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(failed)?;
            Ok(Sender::Http1(Http1::new(sender, connection, budget)))
        }
    }
}

/// Connects to the first address that answers; each gets its share of the time.
async fn connect(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, Failure> {
    let mut last = "no answer in time".to_owned();
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            // The kind says what has happened without the address that a full text may hold.
            Ok(Err(error)) => last = error.kind().to_string(),
            Err(_) => "no answer in time".clone_into(&mut last),
        }
    }
    let detail = format!("could not connect to {endpoint}: {last}");
    Err(Failure::unsent(AttemptFailure::Connect, detail))
}
