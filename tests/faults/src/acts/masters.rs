//! Redis masters that are killed, come back empty, stand still, or have another time.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::{BEYOND_LEASE, plain};
use crate::catalog::Entry;
use crate::scene::Scene;
use crate::stage::MASTERS;

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    plain(
        "kill-master",
        "SIGKILL of one Redis master, started again, empty, after two leases",
        "two of three are enough; the empty one has no vote at first",
        |scene| kill_one(scene).boxed_local(),
    ),
    plain(
        "empty-all-masters",
        "SIGKILL of all three Redis masters, started again, empty, at once",
        "sagas with lock keys wait; tokens keep writers apart",
        |scene| empty_all(scene).boxed_local(),
    ),
    plain(
        "stop-master",
        "SIGSTOP of one Redis master for two leases, then SIGCONT",
        "two of three are enough",
        |scene| stop(scene, 1).boxed_local(),
    ),
    plain(
        "stop-quorum",
        "SIGSTOP of two Redis masters for two leases, then SIGCONT",
        "starts are accepted; sagas with lock keys wait, and go on after it",
        |scene| stop(scene, 2).boxed_local(),
    ),
    plain(
        "clock-ahead",
        "the clock of one Redis master jumps 70 s ahead, and back",
        "its guards expire; the others and the tokens hold",
        |scene| move_clock(scene, 70).boxed_local(),
    ),
    plain(
        "clock-behind",
        "the clock of one Redis master jumps an hour back, and ahead again",
        "guards that live an hour there keep nobody waiting",
        |scene| move_clock(scene, -3_600).boxed_local(),
    ),
    plain(
        "clocks-ahead",
        "the clocks of two Redis masters jump 70 s ahead",
        "a quorum forgets its guards; sagas do not overlap all the same",
        |scene| move_two_clocks(scene).boxed_local(),
    ),
];

async fn kill_one(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let one = scene.any(MASTERS);
    scene.stage.masters[one].stop()?;
    scene.last(BEYOND_LEASE).await;
    scene.until_accepted(1).await?;
    scene.stage.masters[one].start_again().await
}

async fn empty_all(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for master in &mut scene.stage.masters {
        master.stop()?;
    }
    for master in &mut scene.stage.masters {
        master.start_again().await?;
    }
    Ok(())
}

async fn stop(scene: &mut Scene<'_>, count: usize) -> anyhow::Result<()> {
    let first = scene.any(MASTERS);
    let chosen: Vec<usize> = (first..first + count).map(|index| index % MASTERS).collect();
    for index in &chosen {
        scene.stage.masters[*index].pause()?;
    }
    scene.last(BEYOND_LEASE).await;
    scene.until_accepted(1).await?;
    for index in &chosen {
        scene.stage.masters[*index].resume()?;
    }
    Ok(())
}

async fn move_clock(scene: &mut Scene<'_>, seconds: i64) -> anyhow::Result<()> {
    let one = scene.any(MASTERS);
    for seconds in [seconds, 0] {
        scene.stage.masters[one].move_clock(seconds)?;
        scene.last(Duration::from_secs(2)).await;
    }
    Ok(())
}

async fn move_two_clocks(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let first = scene.any(MASTERS);
    for seconds in [70, 0] {
        for index in [first, (first + 1) % MASTERS] {
            scene.stage.masters[index].move_clock(seconds)?;
        }
        scene.last(Duration::from_secs(2)).await;
    }
    Ok(())
}
