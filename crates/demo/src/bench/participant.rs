//! A participant that does nothing, as cheaply as can be: what remains is the coordinator's cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode, body::Incoming};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::wire::{Body, json_answer, serve};
use crate::participants::{announce, end_of_input, listen};

/// Lets all held calls go, and all that come.
pub(super) const OPEN: &str = "/gate/open";
/// Holds the calls that come from now on.
pub(super) const SHUT: &str = "/gate/shut";

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

/// Answers 200 `{}` to everything, but 409 below `/refuse` and 202 below `/later`, until standard
/// input ends. What is below `/hold` is answered only while the gate is open; it is shut at first.
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
    let gate = Arc::new(watch::Sender::new(false));
    tokio::select! {
        served = serve(listener, move |request| answer(request, latency, Arc::clone(&gate))) => served,
        () = end_of_input() => Ok(()),
    }
}

async fn answer(
    request: Request<Incoming>,
    latency: Duration,
    gate: Arc<watch::Sender<bool>>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    // The body is read so that the connection can be used again.
    let _ = body.collect().await;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let status = match head.uri.path() {
        path if path.starts_with("/refuse") => StatusCode::CONFLICT,
        path if path.starts_with("/later") => StatusCode::ACCEPTED,
        path if path.starts_with("/hold") => {
            // It fails only when the gate is gone, which this call keeps alive.
            let _ = gate.subscribe().wait_for(|is_open| *is_open).await;
            StatusCode::OK
        }
        path @ (OPEN | SHUT) => {
            gate.send_replace(path == OPEN);
            StatusCode::OK
        }
        _ => StatusCode::OK,
    };
    json_answer(status, "{}")
}
