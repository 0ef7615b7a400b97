//! Waiting for a condition, never for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks `look` again and again until it answers something; that.
///
/// # Errors
///
/// It still answered nothing after `limit`; `what` says what was waited for.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        anyhow::ensure!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        sleep(LOOK_EVERY).await;
    }
}
