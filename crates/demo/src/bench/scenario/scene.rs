//! Where a scenario plays: the store, the load, and stages without the limits.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::generator::Load;
use super::super::load::float;
use super::super::stage::{Plan, Stage};
use super::super::{BenchOptions, Case, LoadResult, StoreKind};

/// Time between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A scenario's store and load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) exe: &'a Path,
    pub(super) options: &'a BenchOptions,
    pub(super) store: StoreKind,
    pub(super) case: Case,
    pub(super) in_flight: u32,
}

/// What a load brought. Latencies of several load generators are those of the worst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) sagas_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) errors: f64,
}

impl Scene<'_> {
    /// A stage with the definition of the case, and others.
    pub(super) async fn stage(
        &self,
        mut definitions: Vec<Value>,
        settings: Vec<String>,
        coordinators: usize,
    ) -> anyhow::Result<Stage> {
        definitions.push(self.case.definition());
        let plan = Plan {
            exe: self.exe,
            store: self.store,
            server: &self.options.server,
            definitions,
            settings,
            coordinators,
            has_limits: false,
        };
        Stage::set(plan).await
    }

    /// The load, evenly over coordinators at these addresses, of the definition of this name or the
    /// case's own.
    pub(super) async fn measure(
        &self,
        addresses: &[String],
        definition: Option<&str>,
    ) -> anyhow::Result<Measured> {
        let count = u32::try_from(addresses.len())?;
        anyhow::ensure!(
            count > 0 && self.in_flight >= count,
            "{} sagas in flight can't be spread over {count} coordinators",
            self.in_flight
        );
        let loads = (0_u32..).zip(addresses).map(|(index, address)| {
            let rest = u32::from(index < self.in_flight % count);
            let load = Load {
                address,
                case: self.case,
                definition,
                in_flight: self.in_flight / count + rest,
                seconds: self.options.seconds,
                warm_up_seconds: self.options.warm_up_seconds,
                header: None,
            };
            load.run(self.exe)
        });
        Ok(Measured::of(&try_join_all(loads).await?))
    }
}

impl Measured {
    fn of(loads: &[LoadResult]) -> Self {
        let worst = |of: fn(&LoadResult) -> f64| loads.iter().map(of).fold(0.0, f64::max);
        Self {
            sagas_per_second: loads.iter().map(LoadResult::sagas_per_second).sum(),
            p50_ms: worst(|load| load.p50_ms),
            p99_ms: worst(|load| load.p99_ms),
            errors: float(loads.iter().map(|load| load.errors).sum()),
        }
    }
}

/// Looks until there is an answer.
///
/// # Errors
///
/// A look fails, or there is none in time.
pub(super) async fn until<T>(
    what: &str,
    most: Duration,
    look: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await.with_context(|| format!("waiting for {what}"))? {
            return Ok(found);
        }
        anyhow::ensure!(start.elapsed() < most, "{what}: not within {most:?}");
        sleep(LOOK_EVERY).await;
    }
}
