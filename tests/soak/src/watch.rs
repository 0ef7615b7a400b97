//! Looks at the server once a second while the load runs.

use std::time::Duration;

use amends_tests::Server;
use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::sample::{Sample, Samples};
use crate::tally::Tally;

/// Longest time in which the server must say that it is ready, however busy the machine is.
const READY_MAX: Duration = Duration::from_secs(5);

/// Samples between two lines that show how it goes.
const SHOW_EVERY: usize = 30;

/// Watches for so long.
///
/// # Errors
///
/// The server is gone.
pub(crate) async fn watch(
    server: &Server,
    tally: &Tally,
    run: Duration,
) -> anyhow::Result<Samples> {
    let client = server.client()?;
    let mut samples = Samples::default();
    let (end, mut tick) = (Instant::now() + run, interval(Duration::from_secs(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        tick.tick().await;
        let memory_kib = server.memory_kib().context("the server is gone")?;
        let files = server.open_files()?;
        samples.push(Sample { memory_kib, files });
        if samples.len().is_multiple_of(SHOW_EVERY) {
            let seconds = samples.len();
            println!("soak: {seconds:>5} s, rss {:>4} MiB, fds {files}", memory_kib / 1024);
        }
        match timeout(READY_MAX, client.get("/readyz")).await {
            Ok(Ok(answer)) if answer.status == 200 => {}
            Ok(Ok(answer)) => tally.note(format!("not ready: {}", answer.text)),
            Ok(Err(error)) => tally.note(format!("/readyz: {error:#}")),
            Err(_) => tally.note(format!("/readyz was not answered within {READY_MAX:?}")),
        }
    }
    Ok(samples)
}
