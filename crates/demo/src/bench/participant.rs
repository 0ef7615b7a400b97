//! A participant that does nothing, as cheaply as can be: what remains is the coordinator's cost.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode, body::Incoming};
use tokio::net::TcpListener;

use super::wire::{Body, json_answer, serve};
use crate::participants::{announce, end_of_input, listen};

/// Arguments of `amends bench-participant`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchParticipantOptions {
    /// Address to listen on; without one, a free port of the loopback address.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// How long it takes for an answer, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
}

/// Answers 200 `{}` to everything, but 409 below `/refuse`, until standard input ends.
///
/// The first line on standard output is its base URL.
///
/// # Errors
///
/// The port is taken.
pub async fn bench_participant(options: BenchParticipantOptions) -> anyhow::Result<()> {
    let listener = match options.listen {
        None => listen(0).await?,
        Some(address) => TcpListener::bind(address)
            .await
            .with_context(|| format!("the participant can't listen on {address}"))?,
    };
    announce(listener.local_addr()?)?;
    let latency = Duration::from_millis(options.latency_ms);
    tokio::select! {
        served = serve(listener, move |request| answer(request, latency)) => served,
        () = end_of_input() => Ok(()),
    }
}

async fn answer(request: Request<Incoming>, latency: Duration) -> Response<Body> {
    let is_refused = request.uri().path().starts_with("/refuse");
    // The body is read so that the connection can be used again.
    let _ = request.into_body().collect().await;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    json_answer(if is_refused { StatusCode::CONFLICT } else { StatusCode::OK }, "{}")
}
