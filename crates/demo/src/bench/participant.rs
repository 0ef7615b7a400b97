//! A participant that does nothing, as cheaply as can be: what remains is the coordinator's cost.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::participants::{announce, end_of_input, listen};

/// Arguments of `amends bench-participant`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchParticipantOptions {
    /// Port to listen on, on the loopback address; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
}

/// Answers 200 `{}` to everything, but 409 below `/refuse`, until standard input ends.
///
/// The first line on standard output is its base URL.
///
/// # Errors
///
/// The port is taken.
pub async fn bench_participant(options: BenchParticipantOptions) -> anyhow::Result<()> {
    let listener = listen(options.port).await?;
    announce(listener.local_addr()?)?;
    tokio::select! {
        served = serve(listener) => served,
        () = end_of_input() => Ok(()),
    }
}

async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(async {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A caller that goes away is its own affair.
                    let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_refused = request.uri().path().starts_with("/refuse");
    // The body is read so that the connection can be used again.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if is_refused {
        *response.status_mut() = StatusCode::CONFLICT;
    }
    Ok(response)
}
