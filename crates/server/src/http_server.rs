//! Connections in: HTTP/1.1 and HTTP/2 without TLS, bounded in number and in patience.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Longest wait for the first request of a connection and for the head of each request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest head of a request, in bytes: request line and headers. More is answered 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Time between two pings of a quiet HTTP/2 connection, and longest wait for the answer.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 1_024;

/// Pause after an accept that failed: most often the process has no file descriptors left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A running server.
#[derive(Debug)]
pub(crate) struct HttpServer {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl HttpServer {
    /// Serves `router` on `listener`, on at most `connections_max` connections at once.
    ///
    /// Handlers find the client's address as [`ConnectInfo<SocketAddr>`].
    pub(crate) fn start(listener: TcpListener, router: Router, connections_max: usize) -> Self {
        let server = Self { tasks: TaskTracker::new(), stop: CancellationToken::new() };
        let places = Arc::new(Semaphore::new(connections_max));
        let (tasks, stop) = (server.tasks.clone(), server.stop.clone());
        server.tasks.spawn(async move {
            stop.run_until_cancelled(accept(&listener, &router, &places, &tasks, &stop)).await;
        });
        server
    }

    /// Takes no more connections, lets requests under way end for `at_most`, and returns.
    pub(crate) async fn stop(self, at_most: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(at_most, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "cut connections that did not end");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    router: &Router,
    places: &Arc<Semaphore>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let serving = serve(stream, peer, router.clone(), stop.clone());
                tasks.spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%peer, error, "a connection broke");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not take a connection");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send {
    let begun = CancellationToken::new();
    let first = begun.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        first.cancel();
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    async move {
        stream.set_nodelay(true)?;
        let builder = builder();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            end = connection.as_mut() => return end,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            () = silence(&begun) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
        connection.await
    }
}

/// Ends if no request has begun in time. The builder itself waits without bound to learn which
/// HTTP it is: a client that sends nothing, or the first bytes of HTTP/2's preface, would keep
/// its place for ever.
async fn silence(begun: &CancellationToken) {
    if tokio::time::timeout(HEAD_TIMEOUT, begun.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;

    async fn listening(router: Router, connections_max: usize) -> (HttpServer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (HttpServer::start(listener, router, connections_max), url)
    }

    #[tokio::test]
    async fn a_stop_hears_out_the_request_under_way_and_takes_no_more() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (handler_begun, handler_go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        let handler = get(async move || {
            handler_begun.notify_one();
            handler_go_on.notified().await;
            "done"
        });
        let (server, url) = listening(Router::new().route("/", handler), 10).await;

        let tasks = TaskTracker::new();
        let asked = url.clone();
        let answer = tasks.spawn(async move { reqwest::get(asked).await.unwrap().text().await });
        begun.notified().await;
        let stopped = tasks.spawn(server.stop(Duration::from_mins(1)));
        // The listener closes at once; only then is the request let go.
        while TcpStream::connect(url.trim_start_matches("http://")).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!stopped.is_finished());
        go_on.notify_one();

        assert_eq!(answer.await.unwrap().unwrap(), "done");
        stopped.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_closed() {
        let (server, url) = listening(Router::new(), 10).await;
        for sent in ["", "P", "PRI * HTTP/2.0\r\n", "GET /", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut client = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let end = client.read_to_end(&mut answer);
            let end = tokio::time::timeout(HEAD_TIMEOUT * 2, end).await;
            assert!(end.is_ok(), "still open after {sent:?}");
        }
        server.stop(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn handlers_know_who_asks() {
        let handler = get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string());
        let (server, url) = listening(Router::new().route("/", handler), 1).await;
        assert_eq!(reqwest::get(&url).await.unwrap().text().await.unwrap(), "127.0.0.1");
        server.stop(Duration::ZERO).await;
    }
}
