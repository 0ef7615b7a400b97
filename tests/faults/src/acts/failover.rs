//! PostgreSQL that fails over to its standby.

use std::time::Duration;

use amends_testbed::Standby;
use amends_testbed::proxy::Faults;
use anyhow::Context as _;
use futures_util::FutureExt as _;

use super::{BEYOND_LEASE, on};
use crate::catalog::Entry;
use crate::links::local;
use crate::scene::Scene;
use crate::stage::{COORDINATORS, Setup};

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    on(
        Setup::Synchronous,
        "failover-synchronous",
        "SIGKILL of the primary, a synchronous standby is promoted",
        "nothing is lost; epochs and tokens are raised",
        |scene| fail_over(scene, Loss::None).boxed_local(),
    ),
    on(
        Setup::Asynchronous,
        "failover-asynchronous",
        "the stream to the standby stands still for 1 s, SIGKILL of the primary, promotion",
        "what is gone is named in the log at level error; epochs and tokens are raised above all before",
        |scene| fail_over(scene, Loss::OneSecond).boxed_local(),
    ),
    on(
        Setup::Asynchronous,
        "old-primary-comes-back",
        "a failover; then one coordinator is led back to the old primary for two leases",
        "nobody writes to a timeline that was replaced",
        |scene| come_back(scene).boxed_local(),
    ),
    on(
        Setup::Synchronous,
        "standby-down",
        "SIGKILL of the synchronous standby, started again after two leases: commits wait",
        "starts are answered late or 503, and all goes on",
        |scene| standby_down(scene).boxed_local(),
    ),
];

/// What a failover loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    None,
    OneSecond,
}

async fn fail_over(scene: &mut Scene<'_>, loss: Loss) -> anyhow::Result<()> {
    let standby = scene.stage.standby.take().context("no standby")?;
    if loss == Loss::OneSecond {
        lose_a_second(scene, &standby).await?;
    }
    scene.stage.postgres.kill().await?;
    scene.note_tokens().await?;
    scene.stage.postgres = standby.promote().await?;
    scene.stage.links.lead_to(&scene.stage.postgres);
    scene.stage.is_spent = true;
    scene.until_accepted(20).await?;
    check_log(scene, loss);
    Ok(())
}

/// What is committed from now on does not reach the standby any more.
async fn lose_a_second(scene: &mut Scene<'_>, standby: &Standby) -> anyhow::Result<()> {
    scene.may_lose();
    standby.stream().set(Faults::silence()).await?;
    scene.last(Duration::from_secs(1)).await;
    scene.until_accepted(1).await
}

fn check_log(scene: &mut Scene<'_>, loss: Loss) {
    let logs = scene.stage.logs().concat();
    let said: Vec<&str> = logs.lines().filter(|line| line.contains("timeline")).collect();
    let is_error = |line: &&&str| line.contains("ERROR");
    scene.insist(!said.is_empty(), "no log speaks of the new timeline");
    let errors = said.iter().filter(is_error).count();
    if loss == Loss::None {
        scene.insist(errors == 0, "a log says that a synchronous failover lost facts");
    } else {
        scene.insist(errors > 0, "no log says that facts are lost");
    }
}

async fn come_back(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let standby = scene.stage.standby.take().context("no standby")?;
    lose_a_second(scene, &standby).await?;
    scene.stage.postgres.stop().await?;
    scene.note_tokens().await?;
    let promoted = standby.promote().await?;
    scene.stage.links.lead_to(&promoted);
    let mut old = std::mem::replace(&mut scene.stage.postgres, promoted);
    scene.stage.is_spent = true;
    scene.until_accepted(20).await?;
    old.start_again().await?;
    let count = "SELECT count(*), max(updated_at) FROM saga";
    let before = old.psql("amends", count).await?;
    let one = scene.any(COORDINATORS);
    let misled = &scene.stage.links.postgres[one];
    misled.retarget(local(old.port()));
    misled.drop_all();
    scene.last(BEYOND_LEASE).await;
    let after = old.psql("amends", count).await?;
    scene.stage.links.lead_to(&scene.stage.postgres);
    scene.insist(before == after, "somebody wrote to the old primary");
    let is_said = scene.stage.logs().concat().contains("it was replaced");
    scene.insist(is_said, "no log says that the server was replaced");
    Ok(())
}

async fn standby_down(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.standby.as_mut().context("no standby")?.server_mut().kill().await?;
    scene.last(BEYOND_LEASE).await;
    scene.stage.standby.as_mut().context("no standby")?.server_mut().start_again().await
}
