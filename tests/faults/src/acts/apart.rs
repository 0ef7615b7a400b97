//! A coordinator whose network is cut, in one direction or both.

use std::time::Duration;

use amends_testbed::{Direction, Namespace};
use anyhow::Context as _;
use futures_util::FutureExt as _;

use super::{BEYOND_LEASE, on};
use crate::catalog::Entry;
use crate::scene::Scene;
use crate::stage::{APART, LEASE, Setup};

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    on(
        Setup::Apart,
        "network-outwards",
        "nothing that one coordinator sends leaves its network, for three leases",
        "others take over and end all meanwhile; what is sent again late is refused",
        |scene| cut(scene, &[Direction::Outwards]).boxed_local(),
    ),
    on(
        Setup::Apart,
        "network-inwards",
        "nothing reaches one coordinator, whatever it sends arrives, for three leases",
        "others take over and end all meanwhile; what it committed stands",
        |scene| cut(scene, &[Direction::Inwards]).boxed_local(),
    ),
    on(
        Setup::Apart,
        "network-both-ways",
        "one coordinator is cut off from everything for three leases",
        "others take over and end all meanwhile",
        |scene| cut(scene, &[Direction::Inwards, Direction::Outwards]).boxed_local(),
    ),
];

/// Time of a cut.
const CUT_FOR: Duration = BEYOND_LEASE.saturating_add(LEASE);

async fn cut(scene: &mut Scene<'_>, directions: &[Direction]) -> anyhow::Result<()> {
    for direction in directions {
        network(scene)?.cut(*direction)?;
    }
    scene.last(CUT_FOR).await;
    scene.insist_others_end_all(APART).await?;
    for direction in directions {
        network(scene)?.heal(*direction)?;
    }
    Ok(())
}

fn network<'a>(scene: &'a Scene<'_>) -> anyhow::Result<&'a Namespace> {
    scene.stage.network.as_deref().context("no coordinator is apart")
}
