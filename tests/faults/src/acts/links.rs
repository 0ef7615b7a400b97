//! Trouble on the ways between coordinators and all others.

use std::time::Duration;

use amends_testbed::proxy::{Faults, Flow};
use futures_util::FutureExt as _;
use rand::RngExt as _;
use tokio::time::Instant;

use super::{BEYOND_LEASE, plain};
use crate::catalog::Entry;
use crate::links::Link;
use crate::scene::Scene;
use crate::stage::COORDINATORS;

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    plain(
        "postgres-late",
        "every byte between coordinators and PostgreSQL comes 100 to 300 ms late, for 5 s",
        "slow, and nothing else",
        |scene| late(scene, Link::Postgres).boxed_local(),
    ),
    plain(
        "postgres-cut",
        "connections to PostgreSQL are reset after 1 to 3,000 bytes of an answer, for 4 s",
        "a commit whose answer is lost is neither lost nor done twice",
        |scene| cut(scene, Link::Postgres).boxed_local(),
    ),
    plain(
        "postgres-reset",
        "all connections to PostgreSQL are reset ten times a second, for 3 s",
        "a commit whose answer is lost is neither lost nor done twice",
        |scene| reset(scene, Link::Postgres).boxed_local(),
    ),
    plain(
        "postgres-silent",
        "nothing passes between one coordinator and PostgreSQL for two leases, then all of it",
        "others take over; what comes late is refused",
        |scene| mute(scene, Link::Postgres, Faults::silence()).boxed_local(),
    ),
    plain(
        "postgres-deaf",
        "only what PostgreSQL answers to one coordinator is held for two leases",
        "it gives up what it can't renew; its commits stand",
        |scene| mute(scene, Link::Postgres, to_client_silent()).boxed_local(),
    ),
    plain(
        "postgres-mute",
        "only what one coordinator says to PostgreSQL is held for two leases",
        "what comes late is refused",
        |scene| mute(scene, Link::Postgres, to_server_silent()).boxed_local(),
    ),
    plain(
        "postgres-refused",
        "one coordinator's connections to PostgreSQL are reset, and new ones refused, for two leases",
        "others take over; its clients are told to ask elsewhere",
        |scene| refuse(scene, Link::Postgres).boxed_local(),
    ),
    plain(
        "masters-late",
        "every byte between coordinators and Redis masters comes 100 to 300 ms late, for 5 s",
        "sagas with lock keys wait",
        |scene| late(scene, Link::Masters).boxed_local(),
    ),
    plain(
        "masters-cut",
        "connections to Redis masters are reset after 1 to 3,000 bytes of an answer, for 4 s",
        "a vote whose answer is lost is none",
        |scene| cut(scene, Link::Masters).boxed_local(),
    ),
    plain(
        "masters-reset",
        "all connections to Redis masters are reset ten times a second, for 3 s",
        "a vote whose answer is lost is none",
        |scene| reset(scene, Link::Masters).boxed_local(),
    ),
    plain(
        "masters-silent",
        "nothing passes between one coordinator and all masters for two leases, then all of it",
        "its sagas with lock keys wait",
        |scene| mute(scene, Link::Masters, Faults::silence()).boxed_local(),
    ),
    plain(
        "masters-deaf",
        "only what the masters answer to one coordinator is held for two leases",
        "guards that were granted unheard expire",
        |scene| mute(scene, Link::Masters, to_client_silent()).boxed_local(),
    ),
    plain(
        "masters-mute",
        "only what one coordinator says to the masters is held for two leases",
        "what comes late is undone or expires",
        |scene| mute(scene, Link::Masters, to_server_silent()).boxed_local(),
    ),
    plain(
        "participants-late",
        "every byte between coordinators and participants comes 100 to 300 ms late, for 5 s",
        "calls that take too long are repeated under the same key",
        |scene| late(scene, Link::Participants).boxed_local(),
    ),
    plain(
        "participants-cut",
        "connections to participants are reset after 1 to 3,000 bytes of an answer, for 4 s",
        "the outcome is unknown, and the call is repeated",
        |scene| cut(scene, Link::Participants).boxed_local(),
    ),
    plain(
        "participants-reset",
        "all connections to participants are reset ten times a second, for 3 s",
        "the outcome is unknown, and the call is repeated",
        |scene| reset(scene, Link::Participants).boxed_local(),
    ),
    plain(
        "participants-silent",
        "nothing passes between coordinators and participants for two leases, then all of it",
        "late calls are repetitions, or refused by the barrier",
        |scene| mute(scene, Link::Participants, Faults::silence()).boxed_local(),
    ),
    plain(
        "participants-deaf",
        "only what participants answer is held for two leases",
        "what took effect unheard is repeated without a second effect",
        |scene| mute(scene, Link::Participants, to_client_silent()).boxed_local(),
    ),
    plain(
        "participants-mute",
        "only what participants are asked is held for two leases",
        "late calls are repetitions, or refused by the barrier",
        |scene| mute(scene, Link::Participants, to_server_silent()).boxed_local(),
    ),
];

const fn to_client_silent() -> Faults {
    Faults { to_server: PASSES, to_client: Flow::SILENT, refuse: false, commit: None }
}

const fn to_server_silent() -> Faults {
    Faults { to_server: Flow::SILENT, to_client: PASSES, refuse: false, commit: None }
}

/// A flow without faults.
const PASSES: Flow = Flow { silent: false, ..Flow::SILENT };

async fn late(scene: &mut Scene<'_>, link: Link) -> anyhow::Result<()> {
    let flow =
        Flow { jitter: Duration::from_millis(200), ..Flow::late(Duration::from_millis(100)) };
    for proxy in scene.stage.links.of(link, None) {
        proxy.set(Faults { to_server: flow, to_client: flow, ..Faults::default() }).await?;
    }
    scene.last(Duration::from_secs(5)).await;
    scene.stage.links.heal().await
}

/// With another length every 200 ms, so that ends fall into every part of an answer.
async fn cut(scene: &mut Scene<'_>, link: Link) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        for proxy in scene.stage.links.of(link, None) {
            let after_bytes = scene.chance.random_range(1..3_000);
            proxy.set(Faults { to_client: Flow::cut(after_bytes), ..Faults::default() }).await?;
        }
        scene.last(Duration::from_millis(200)).await;
    }
    scene.stage.links.heal().await
}

async fn reset(scene: &mut Scene<'_>, link: Link) -> anyhow::Result<()> {
    for _ in 0..30 {
        for proxy in scene.stage.links.of(link, None) {
            proxy.drop_all();
        }
        scene.last(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// On the ways of one coordinator, or of all to the participants.
async fn mute(scene: &mut Scene<'_>, link: Link, faults: Faults) -> anyhow::Result<()> {
    let one = scene.any(COORDINATORS);
    for proxy in scene.stage.links.of(link, Some(one)) {
        proxy.set(faults.clone()).await?;
    }
    scene.last(BEYOND_LEASE).await;
    if link == Link::Postgres {
        scene.insist_others_end_all(one).await?;
    }
    scene.stage.links.heal().await
}

async fn refuse(scene: &mut Scene<'_>, link: Link) -> anyhow::Result<()> {
    let one = scene.any(COORDINATORS);
    for proxy in scene.stage.links.of(link, Some(one)) {
        proxy.set(Faults::refuse()).await?;
        proxy.drop_all();
    }
    scene.last(BEYOND_LEASE).await;
    if link == Link::Postgres {
        scene.insist_others_end_all(one).await?;
    }
    scene.stage.links.heal().await
}
