//! A clock on tokio's time, so that a paused runtime moves it.

use std::time::Duration;

use amends_core::Timestamp;
use async_trait::async_trait;

use crate::Clock;

/// A clock that shows a chosen time when it is made and moves with tokio's time from then on.
///
/// Under a paused tokio clock it stands still until everything waits, and then jumps. Make it
/// inside the runtime whose time it shows.
#[derive(Clone, Copy, Debug)]
pub struct TestClock {
    origin: Timestamp,
    started: tokio::time::Instant,
}

impl TestClock {
    /// What a clock from [`TestClock::new`] shows at first: 2026-01-01T00:00:00Z.
    pub const ORIGIN: Timestamp = Timestamp(1_767_225_600_000_000);

    /// A clock that shows [`TestClock::ORIGIN`] now.
    pub fn new() -> Self {
        Self::starting_at(Self::ORIGIN)
    }

    /// A clock that shows `origin` now: for coordinators whose clocks differ.
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: tokio::time::Instant::now() }
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.origin.after(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
