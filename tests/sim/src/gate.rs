//! One life of a coordinator: it runs, stands still, or is dead.
//!
//! Everything that a coordinator does to the world goes through its ports, and every port goes
//! through the gate, before and after. So a coordinator can be stopped at any await of a port: one
//! that is paused gets its answers late, and one that is dead never again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use amends_core::Timestamp;
use amends_ports::Clock;
use amends_ports::testing::TestClock;
use async_trait::async_trait;
use tokio::sync::Notify;

const RUNS: u8 = 0;
const STANDS: u8 = 1;
const DEAD: u8 = 2;

/// The gate of one life. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: AtomicU8,
    changed: Notify,
}

impl Gate {
    /// Goes on if the coordinator runs; waits while it stands still, and for ever if it is dead.
    pub(crate) async fn pass(&self) {
        loop {
            let changed = self.0.changed.notified();
            match self.0.state.load(Ordering::Relaxed) {
                RUNS => return,
                STANDS => changed.await,
                _ => std::future::pending().await,
            }
        }
    }

    /// Passes, works, passes again.
    pub(crate) async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        self.pass().await;
        let done = work.await;
        self.pass().await;
        done
    }

    /// Whether this life is over.
    pub(crate) fn is_dead(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) == DEAD
    }

    /// Ends it.
    pub(crate) fn kill(&self) {
        self.0.state.store(DEAD, Ordering::Relaxed);
    }

    /// Lets it stand still, unless it is dead.
    pub(crate) fn pause(&self) {
        let _ = self.0.state.compare_exchange(RUNS, STANDS, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Lets it go on, unless it is dead.
    pub(crate) fn resume(&self) {
        let _ = self.0.state.compare_exchange(STANDS, RUNS, Ordering::Relaxed, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}

/// The clock of one life; its wall time may be wrong.
#[derive(Clone, Debug)]
pub(crate) struct SimClock {
    pub(crate) gate: Gate,
    pub(crate) clock: TestClock,
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.gate.around(tokio::time::sleep(duration)).await;
    }
}
