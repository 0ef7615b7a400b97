//! A PostgreSQL whose disk is full.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::{BEYOND_LEASE, on};
use crate::catalog::Entry;
use crate::scene::Scene;
use crate::stage::Setup;

/// Longest time until a server notices that it can't write its log of changes.
const NOTICED_MAX: Duration = Duration::from_secs(30);

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    on(
        Setup::SmallData,
        "data-disk-full",
        "the disk of PostgreSQL's data is full for two leases (53100), then has room again",
        "starts are answered 503; all goes on when there is room",
        |scene| fill_data(scene).boxed_local(),
    ),
    on(
        Setup::SmallWal,
        "wal-disk-full",
        "the disk of PostgreSQL's log of changes is full: it stops, and is started when there is room",
        "what was acknowledged is there",
        |scene| fill_wal(scene).boxed_local(),
    ),
];

async fn fill_data(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.disk()?.fill()?;
    scene.last(BEYOND_LEASE).await;
    scene.stage.postgres.disk()?.free()?;
    scene.insist_postgres_said("No space left on device");
    // Its log of changes is on the same disk: it may have had to stop.
    if scene.stage.postgres.until_ended(Duration::from_millis(100)).await.is_ok() {
        scene.remark("PostgreSQL stopped".to_owned());
        scene.stage.postgres.start_again().await?;
    }
    Ok(())
}

async fn fill_wal(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.disk()?.fill()?;
    let switched = amends_tests::until("PostgreSQL to be out of log", NOTICED_MAX, async || {
        scene.stage.sql("SELECT pg_switch_wal()").await.err()
    });
    switched.await?;
    scene.stage.postgres.until_ended(NOTICED_MAX).await?;
    scene.insist_postgres_said("No space left on device");
    scene.last(BEYOND_LEASE).await;
    scene.stage.postgres.disk()?.free()?;
    scene.stage.postgres.start_again().await
}
