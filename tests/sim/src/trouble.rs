//! What happens to coordinators and lock masters while the chaos lasts.

use std::sync::Arc;
use std::time::Duration;

use amends_ports::testing::MemoryLocks;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::plan;

/// Where a coordinator is dead or stands still for so long at most.
const AWAY_MAX_SECS: u64 = 15;

/// Longer than a lease and a half.
const PAUSE_MAX_SECS: u64 = 25;

/// What may happen to a coordinator.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Crash,
    Pause,
    Drain,
}

/// Begins the troubles of a run; they end when the set does.
pub(crate) fn begin(cluster: &Arc<Cluster>) -> JoinSet<()> {
    let mut troubles = JoinSet::new();
    let swarm = cluster.world.swarm();
    for place in 0..cluster.size() {
        let chance = cluster.world.chance.of(100 + place as u64);
        for (every, trouble) in [
            (swarm.crash_every, Trouble::Crash),
            (swarm.pause_every, Trouble::Pause),
            (swarm.drain_every, Trouble::Drain),
        ] {
            if let Some(every) = every {
                troubles.spawn(happen(Arc::clone(cluster), chance.clone(), place, trouble, every));
            }
        }
    }
    if let Some(every) = swarm.lock_trouble_every {
        troubles.spawn(masters(Arc::clone(cluster), cluster.world.chance.of(99), every));
    }
    troubles
}

async fn happen(
    cluster: Arc<Cluster>,
    chance: Chance,
    place: usize,
    trouble: Trouble,
    every: Duration,
) {
    loop {
        tokio::time::sleep(chance.time(Duration::from_millis(200), every * 2)).await;
        match trouble {
            Trouble::Pause => {
                cluster.set_paused(place, true);
                tokio::time::sleep(chance.seconds(PAUSE_MAX_SECS)).await;
                cluster.set_paused(place, false);
                continue;
            }
            Trouble::Crash => cluster.kill(place),
            Trouble::Drain => cluster.drain(place).await,
        }
        tokio::time::sleep(chance.seconds(AWAY_MAX_SECS)).await;
        if cluster.is_empty(place) {
            cluster.start(place).await;
        }
    }
}

async fn masters(cluster: Arc<Cluster>, chance: Chance, every: Duration) {
    let Some(locks) = cluster.locks.as_ref().map(MemoryLocks::peer) else { return };
    loop {
        tokio::time::sleep(chance.time(Duration::from_millis(200), every * 2)).await;
        let master = chance.below(3);
        match chance.below(5) {
            0 => {
                let (place, masters) = (chance.below(cluster.size()), chance.below(4));
                cluster.cut_off(place, masters);
                tokio::time::sleep(chance.seconds(20)).await;
                cluster.cut_off(place, 0);
            }
            1 => {
                cluster.world.seen("masters lost");
                (0..cluster.size()).for_each(|place| cluster.cut_off(place, 2));
                tokio::time::sleep(chance.seconds(20)).await;
                (0..cluster.size()).for_each(|place| cluster.cut_off(place, 0));
            }
            2 => {
                cluster.world.seen("master forgot");
                locks.forget(master);
            }
            3 => {
                cluster.world.seen("master's clock jumped");
                locks.jump(master, chance.seconds(30));
            }
            _ => {
                // Somebody who is no saga takes a key as soon as its guard is gone.
                let key = chance.one_of(&plan::keys()).clone();
                cluster.world.seen("outsider has a key");
                locks.occupy(&key, "a batch job");
                tokio::time::sleep(chance.seconds(8)).await;
                locks.take_away(&key);
            }
        }
    }
}
