//! Commits that are lost on their way, and commits whose answers are.

use std::time::Duration;

use amends_testbed::proxy::{CommitFault, CommitTrap, Faults, When};
use futures_util::FutureExt as _;

use super::plain;
use crate::catalog::Entry;
use crate::links::Link;
use crate::scene::Scene;

/// How long commits are lost.
const LOST_FOR: Duration = Duration::from_secs(4);
/// How late a commit comes: later than leases, and than the 5 s that others wait for its locks, but
/// sooner than the 10 s that a statement may take.
const HELD_FOR: Duration = Duration::from_secs(7);
/// How long commits are held.
const HOLDING_FOR: Duration = Duration::from_secs(8);

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    plain(
        "commit-answer-lost",
        "of every third commit the answer is lost: cut just after COMMIT was carried out, for 4 s",
        "nothing is written twice, and what was written counts",
        |scene| trap(scene, CommitFault::LoseAnswer, When::Every(3), LOST_FOR).boxed_local(),
    ),
    plain(
        "commit-lost",
        "every third commit is lost: cut just before COMMIT is forwarded, for 4 s",
        "what was not written is written again, or never was",
        |scene| trap(scene, CommitFault::LoseCommit, When::Every(3), LOST_FOR).boxed_local(),
    ),
    plain(
        "commit-late",
        "every tenth COMMIT is forwarded 7 s late, even if its coordinator has gone; for 8 s",
        "whoever takes over waits for it, or fences it",
        |scene| {
            trap(scene, CommitFault::HoldCommit(HELD_FOR), When::Every(10), HOLDING_FOR)
                .boxed_local()
        },
    ),
    plain(
        "commit-answer-late",
        "of every tenth commit the answer comes 7 s late, for 8 s",
        "a coordinator that is late gives up its leases",
        |scene| {
            trap(scene, CommitFault::HoldAnswer(HELD_FOR), When::Every(10), HOLDING_FOR)
                .boxed_local()
        },
    ),
];

async fn trap(
    scene: &mut Scene<'_>,
    fault: CommitFault,
    when: When,
    time: Duration,
) -> anyhow::Result<()> {
    let sprung = |scene: &Scene<'_>| -> u64 {
        let proxies = scene.stage.links.of(Link::Postgres, None);
        proxies.iter().map(|proxy| proxy.counters().commit_faults).sum()
    };
    let before = sprung(scene);
    for proxy in scene.stage.links.of(Link::Postgres, None) {
        let trap = CommitTrap { fault, when, touching: None };
        proxy.set(Faults::at_commit(trap)).await?;
    }
    scene.last(time).await;
    scene.stage.links.heal().await?;
    let count = sprung(scene) - before;
    scene.remark(format!("{count} commits"));
    scene.insist(count > 0, "no commit fell into the trap");
    Ok(())
}
