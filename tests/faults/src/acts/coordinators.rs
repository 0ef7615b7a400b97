//! Coordinators that are killed, and that stand still.

use std::future::ready;

use futures_util::FutureExt as _;

use super::{BEYOND_LEASE, plain};
use crate::catalog::Entry;
use crate::scene::Scene;
use crate::stage::COORDINATORS;

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    plain(
        "kill-coordinator",
        "SIGKILL of one, started again after two leases",
        "the others take over and end all that was under way meanwhile",
        |scene| kill_one(scene).boxed_local(),
    ),
    plain(
        "kill-all-coordinators",
        "SIGKILL of all three at once, started again at once",
        "each saga is taken over from its journal",
        |scene| ready(kill_all(scene)).boxed_local(),
    ),
    plain(
        "kill-coordinators-in-turn",
        "SIGKILL of one after another, each started again before the next",
        "no start is refused for good",
        |scene| kill_in_turn(scene).boxed_local(),
    ),
    plain(
        "stop-coordinator",
        "SIGSTOP of one for two leases, then SIGCONT",
        "the others take over and end all meanwhile; what the late one writes is refused",
        |scene| stop_one(scene).boxed_local(),
    ),
    plain(
        "stop-coordinator-again-and-again",
        "SIGSTOP of one for half a lease to one and a half, four times",
        "leases that are nearly lost, or just lost, have one owner",
        |scene| stop_often(scene).boxed_local(),
    ),
    plain(
        "stop-all-coordinators",
        "SIGSTOP of all three for two leases, then SIGCONT",
        "whoever wakes first may take over from the others",
        |scene| stop_all(scene).boxed_local(),
    ),
];

async fn kill_one(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let one = scene.any(COORDINATORS);
    scene.stage.servers[one].kill()?;
    scene.last(BEYOND_LEASE).await;
    scene.insist_others_end_all(one).await?;
    scene.stage.servers[one].launch()
}

fn kill_all(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for server in &mut scene.stage.servers {
        server.kill()?;
    }
    for server in &mut scene.stage.servers {
        server.launch()?;
    }
    Ok(())
}

async fn kill_in_turn(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for one in 0..COORDINATORS {
        scene.stage.servers[one].kill()?;
        scene.stage.servers[one].launch()?;
        scene.stage.servers[one].until_ready().await?;
    }
    Ok(())
}

async fn stop_one(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let one = scene.any(COORDINATORS);
    scene.stage.servers[one].signal("STOP")?;
    scene.last(BEYOND_LEASE).await;
    scene.insist_others_end_all(one).await?;
    scene.stage.servers[one].signal("CONT")
}

async fn stop_often(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for quarters in [2, 6, 4, 5] {
        let one = scene.any(COORDINATORS);
        scene.stage.servers[one].signal("STOP")?;
        scene.last(BEYOND_LEASE * quarters / 8).await;
        scene.stage.servers[one].signal("CONT")?;
        scene.until_accepted(5).await?;
    }
    Ok(())
}

async fn stop_all(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for server in &mut scene.stage.servers {
        server.signal("STOP")?;
    }
    scene.last(BEYOND_LEASE).await;
    for server in &mut scene.stage.servers {
        server.signal("CONT")?;
    }
    Ok(())
}
