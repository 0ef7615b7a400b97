//! Participants that are killed, and that stand still.

use amends_demo::participants::Kind;
use futures_util::FutureExt as _;

use super::{BEYOND_LEASE, plain};
use crate::catalog::Entry;
use crate::scene::Scene;

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    plain(
        "kill-participant",
        "SIGKILL of one, started again after two leases",
        "calls that it may have heard are repeated under the same key",
        |scene| kill_one(scene).boxed_local(),
    ),
    plain(
        "kill-all-participants",
        "SIGKILL of all three at once, started again after two leases",
        "calls that they may have heard are repeated under the same key",
        |scene| kill_all(scene).boxed_local(),
    ),
    plain(
        "stop-participant",
        "SIGSTOP of one for two leases, then SIGCONT",
        "late answers count for nothing, late effects are undone or repeated",
        |scene| stop_one(scene).boxed_local(),
    ),
    plain(
        "stop-all-participants",
        "SIGSTOP of all three for two leases, then SIGCONT",
        "late answers count for nothing, late effects are undone or repeated",
        |scene| stop_all(scene).boxed_local(),
    ),
];

async fn kill_one(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let one = Kind::ALL[scene.any(Kind::ALL.len())];
    scene.stage.fleet.kill(one)?;
    scene.last(BEYOND_LEASE).await;
    scene.stage.fleet.launch(one).await
}

async fn kill_all(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        scene.stage.fleet.kill(kind)?;
    }
    scene.last(BEYOND_LEASE).await;
    for kind in Kind::ALL {
        scene.stage.fleet.launch(kind).await?;
    }
    Ok(())
}

async fn stop_one(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let one = Kind::ALL[scene.any(Kind::ALL.len())];
    scene.stage.fleet.signal(one, "STOP")?;
    scene.last(BEYOND_LEASE).await;
    scene.stage.fleet.signal(one, "CONT")
}

async fn stop_all(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        scene.stage.fleet.signal(kind, "STOP")?;
    }
    scene.last(BEYOND_LEASE).await;
    for kind in Kind::ALL {
        scene.stage.fleet.signal(kind, "CONT")?;
    }
    Ok(())
}
