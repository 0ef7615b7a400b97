//! Asks every endpoint whether it is well.

use std::time::Duration;

use amends_ports::Health;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use crate::dial::Dialer;
use crate::failure::shortened;
use crate::headers::of_question;
use crate::origin::{Origin, Outgoing};
use crate::participant::Participant;
use crate::progress::Progress;

/// Longest that one endpoint is waited for.
const TIMEOUT: Duration = Duration::from_secs(3);

/// One endpoint after another; without a health path, whether a connection can be made.
pub(crate) async fn check(participant: &Participant, dialer: &Dialer) -> Health {
    let path = participant.spec.health.as_deref();
    let headers = of_question();
    let mut endpoints = Vec::with_capacity(participant.origins.len());
    for origin in &participant.origins {
        let started = Instant::now();
        let found = timeout(TIMEOUT, ask(origin, path, &headers, dialer)).await;
        let result = found
            .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
            .map(|()| started.elapsed())
            .map_err(shortened);
        endpoints.push((origin.endpoint.to_string(), result));
    }
    Health { healthy: endpoints.iter().all(|(_, result)| result.is_ok()), endpoints }
}

async fn ask(
    origin: &Origin,
    path: Option<&str>,
    headers: &HeaderMap,
    dialer: &Dialer,
) -> Result<(), String> {
    let Some(path) = path else {
        return origin.connect(dialer, TIMEOUT).await.map(drop).map_err(|own| own.detail);
    };
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.headers_mut() = headers.clone();
    let path = PathAndQuery::try_from(path).map_err(|error| error.to_string())?;
    let mut outgoing = Outgoing { path, below_base: true, request };
    let sent = origin.send(&mut outgoing, dialer, TIMEOUT, &Progress::default()).await;
    let status = sent.map_err(|undone| undone.failure.detail)?.response.status();
    if status.is_success() { Ok(()) } else { Err(format!("answered {status}")) }
}
