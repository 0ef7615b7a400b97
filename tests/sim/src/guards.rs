//! The lock service as one coordinator sees it: through its gate.

use std::sync::Arc;
use std::time::Duration;

use amends_ports::testing::MemoryLocks;
use amends_ports::{Guard, GuardError, Locks, LocksHealth};
use async_trait::async_trait;

use crate::gate::Gate;
use crate::world::World;

/// The lock service through one gate.
#[derive(Debug)]
pub(crate) struct SimLocks {
    pub(crate) gate: Gate,
    pub(crate) locks: MemoryLocks,
    pub(crate) world: Arc<World>,
}

#[async_trait]
impl Locks for SimLocks {
    async fn acquire(&self, guard: &Guard) -> Result<Duration, GuardError> {
        self.gate.pass().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let result = self.gate.around(self.locks.acquire(guard)).await;
        self.world.log(|| format!("guard {} of {:?}: {result:?}", guard.holder, guard.keys));
        result
    }

    async fn extend(&self, guards: &[Guard]) -> Vec<Result<Duration, GuardError>> {
        self.gate.around(self.locks.extend(guards)).await
    }

    async fn release(&self, guards: &[Guard]) {
        self.gate.around(self.locks.release(guards)).await;
    }

    fn ttl(&self) -> Duration {
        self.locks.ttl()
    }

    async fn health(&self) -> LocksHealth {
        self.locks.health().await
    }
}
