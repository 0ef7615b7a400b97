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
        self.world.log(("guard", &guard.holder.saga_id, result.is_ok()));
        result
    }

    async fn extend(&self, guards: &[Guard]) -> Vec<Result<Duration, GuardError>> {
        let results = self.gate.around(self.locks.extend(guards)).await;
        for (guard, result) in guards.iter().zip(&results) {
            if matches!(result, Err(GuardError::Lost { .. } | GuardError::Busy { .. })) {
                self.world.watch(|watch| watch.guard_lost(&guard.holder.saga_id));
            }
        }
        results
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
