//! Starting many sagas as fast as it goes, without waiting for their ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use hyper::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::wire::{self, Connection};

/// Connections that start sagas beside each other.
const CONNECTIONS: u32 = 64;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// For how long a coordinator may refuse a saga because it has too much to do.
const BUSY_MAX: Duration = Duration::from_mins(5);
/// Time between two tries then.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Starts sagas 0 to `count`, each with the request body that `body` gives, which holds an id so
/// that it may be repeated.
///
/// # Errors
///
/// One is refused, or not taken in time.
pub(super) async fn start_all(
    address: &str,
    count: u32,
    body: impl Fn(u32) -> String + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let (next, body) = (Arc::new(AtomicU32::new(0)), Arc::new(body));
    let mut starters = JoinSet::new();
    for _ in 0..CONNECTIONS.min(count) {
        let (address, next, body) = (address.to_owned(), Arc::clone(&next), Arc::clone(&body));
        starters.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return anyhow::Ok(());
                }
                start(&mut connection, &address, &body(index)).await?;
            }
        });
    }
    while let Some(ended) = starters.join_next().await {
        ended??;
    }
    Ok(())
}

async fn start(connection: &mut Connection, address: &str, body: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let request = wire::post(address, "/v1/sagas", body.to_owned())?;
        let answer = timeout(ANSWER_MAX, connection.send(request)).await;
        let (status, text) = answer.context("a saga was not started in time")??;
        let is_busy =
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        if status.is_success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&text);
        anyhow::ensure!(
            is_busy && begin.elapsed() < BUSY_MAX,
            "a start was answered {status}: {text}"
        );
        if !connection.is_open() {
            *connection = Connection::open(address).await?;
        }
        sleep(BUSY_PAUSE).await;
    }
}
