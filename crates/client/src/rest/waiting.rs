//! Requests whose answer is to come later: `Prefer: wait`, asked for again while the wait lasts.

use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::error::Result;
use super::outgoing::Outgoing;
use super::saga::Saga;

/// Longest wait that a server takes on at once.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Shortest time between two requests: a server that drains answers early.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// Sends a request that may be repeated until the saga is as wanted or the wait is over; the saga
/// as it is then.
pub(crate) async fn send(
    client: &Client,
    request: &Outgoing,
    wait: Duration,
    is_done: fn(&Saga) -> bool,
) -> Result<Saga> {
    let end = Instant::now() + wait;
    let mut rest = wait;
    loop {
        let asked_at = Instant::now();
        let saga: Saga = client.send(request.clone().wait(rest.min(WAIT_MAX))).await?.read()?;
        if is_done(&saga) || wait.is_zero() {
            return Ok(saga);
        }
        let early = INTERVAL_MIN.saturating_sub(asked_at.elapsed());
        rest = end.saturating_duration_since(Instant::now()).saturating_sub(early);
        if rest.is_zero() {
            return Ok(saga);
        }
        tokio::time::sleep(early).await;
    }
}
