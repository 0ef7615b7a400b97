//! Putting finished sagas into a store by SQL: copies of a few real ones with ids, times, labels and
//! lock keys of their own, journals included, as many a shop has after four weeks.

mod patterns;
mod plan;
mod postgres;
mod session;
mod sql;
mod sqlite;

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use super::super::StoreKind;
use super::super::run::say;
use super::super::stage::Stage;
pub(super) use patterns::{DEFINITIONS, FATES};
pub(super) use plan::Plan;
use session::Session;

/// Longest time for all of it.
const FILL_MAX: Duration = Duration::from_hours(1);

/// Fills the store of a stage while no coordinator runs; one does before and after it.
pub(super) async fn fill(stage: &mut Stage, sagas: u32) -> anyhow::Result<Plan> {
    let patterns = patterns::make(stage).await?;
    let store = stage.store;
    let crew = stage.crew()?;
    let url = crew.database().to_owned();
    crew.leave().await?;
    say(&format!("filling the store with {sagas} finished sagas"));
    let filled = async {
        let mut session = Session::open(&url).await?;
        let plan = Plan::read(&mut session, patterns, sagas).await?;
        match store {
            StoreKind::Sqlite => sqlite::fill(session, &plan).await?,
            StoreKind::Postgres | StoreKind::Server => postgres::fill(session, &url, &plan).await?,
        }
        anyhow::Ok(plan)
    };
    let plan = timeout(FILL_MAX, filled).await.context("filling takes too long")??;
    stage.crew()?.join().await?;
    Ok(plan)
}
