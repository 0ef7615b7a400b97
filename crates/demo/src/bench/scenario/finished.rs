//! Many sagas have ended long ago: what those notice that run now, and who looks for them.

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::super::run::say;
use super::super::stage::Stage;
use super::fill::{self, DEFINITIONS, FATES};
use super::findings::{Findings, Sheet};
use super::lists;
use super::scene::Scene;
use super::turns::{ROUNDS, Turns};

pub(super) async fn run(scene: Scene<'_>, sagas: u32, has_lists: bool) -> anyhow::Result<Findings> {
    let without = scene.stage(Vec::new(), Vec::new(), 1).await?;
    let mut with = scene.stage(Vec::new(), Vec::new(), 1).await?;
    let begin = Instant::now();
    let plan = fill::fill(&mut with, sagas).await?;
    let seconds = begin.elapsed().as_secs_f64();
    say(&format!("the store is filled, after {seconds:.0} s"));
    check(&with).await?;
    let bytes = with.stored_bytes().await? / f64::from(sagas);

    let mut findings = Findings::new("finished", scene.store);
    if has_lists {
        lists::measure(&with, &plan, &mut findings).await?;
    }
    let (without_at, with_at) = ([without.address()?], [with.address()?]);
    let mut turns = Turns::default();
    for round in 1..=ROUNDS {
        say(&format!("round {round} of {ROUNDS}"));
        turns.without.push(scene.measure(&without_at, None).await?);
        turns.with.push(scene.measure(&with_at, None).await?);
    }
    let mut store = Sheet::new(&["store", "finished_sagas", "bytes_each", "seconds_to_fill"]);
    let values = [f64::from(sagas), bytes, seconds];
    store.add(scene.store.name(), &values.map(Some));
    findings.tables.extend([store, turns.sheet("empty store", "filled store")]);
    findings.conclude(
        "finished",
        &format!(
            "{sagas} finished sagas, {:.0} sagas/s without, {:.0} with, ratio {:.2} (target at least 0.90)",
            turns.speed_without(),
            turns.speed_with(),
            turns.speed_ratio(),
        ),
    );
    Ok(findings)
}

/// As much of a page as is looked at.
#[derive(Deserialize)]
struct Page {
    sagas: Vec<Value>,
}

/// A coordinator must be able to read what was filled in: one saga of each kind.
async fn check(stage: &Stage) -> anyhow::Result<()> {
    for definition in DEFINITIONS {
        for fate in FATES {
            let path = format!("/v1/sagas?definition={definition}&status={fate}&limit=2");
            let page: Page = serde_json::from_str(&stage.get(&path).await?)?;
            // The newest is the pattern itself; of few sagas not every kind has a copy.
            let Some(listed) = page.sagas.get(1) else { continue };
            let id = listed["id"].as_str().unwrap_or_default();
            let text = stage.get(&format!("/v1/sagas/{id}")).await?;
            let saga: Value = serde_json::from_str(&text)?;
            for field in ["definition", "status", "labels", "created_at", "ended_at", "lock_keys"] {
                let (own, row) = (&saga[field], &listed[field]);
                anyhow::ensure!(
                    own == row,
                    "{field} of {id} is {own} in its journal, {row} in lists"
                );
            }
        }
    }
    Ok(())
}
