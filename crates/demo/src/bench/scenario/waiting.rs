//! Many sagas wait: what they cost the coordinator in memory, and others in speed.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::case::PARTICIPANT;
use super::super::load::float;
use super::super::process::Usage;
use super::super::run::say;
use super::super::stage::Stage;
use super::findings::{Findings, Sheet};
use super::scene::Scene;
use super::starter::start_all;
use super::turns::{ROUNDS, Turns};

/// Longest time until they have left memory or the number there stands still.
const SETTLE_MAX: Duration = Duration::from_mins(5);
/// It stands still when it has not changed for so long, which is longer than sagas without anything
/// to do stay in memory.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// Longer than any run.
const LONG: &str = "1d";
const MIB: f64 = 1_048_576.0;

pub(super) async fn run(scene: Scene<'_>, sagas: u32) -> anyhow::Result<Findings> {
    let without = scene.stage(Vec::new(), Vec::new(), 1).await?;
    let with = scene.stage(definitions(), Vec::new(), 1).await?;
    let (without_at, with_at) = ([without.address()?], [with.address()?]);
    say("once without, so that what a load leaves in memory is not counted");
    scene.measure(&without_at, None).await?;
    scene.measure(&with_at, None).await?;
    let before = usage(&with)?;
    with.forget_peaks();
    say(&format!("starting {sagas} sagas that wait"));
    let begin = Instant::now();
    start_all(&with_at[0], 1, |_| start(0, "holder")).await?;
    start_all(&with_at[0], sagas, |index| start(index, "waiting")).await?;
    let starting = begin.elapsed();
    let live = settle(&with).await?;
    let after = usage(&with)?;
    let mut turns = Turns::default();
    for round in 1..=ROUNDS {
        say(&format!("round {round} of {ROUNDS}"));
        turns.without.push(scene.measure(&without_at, None).await?);
        turns.with.push(scene.measure(&with_at, None).await?);
    }
    let at_end = usage(&with)?;
    check(&with).await?;

    let mut findings = Findings::new("waiting", scene.store);
    let mut memory = Sheet::new(&["moment", "memory_mib", "peak_mib", "live_sagas"]);
    for (moment, usage, live) in [
        ("before any waits", before, None),
        ("when all wait", after, Some(live)),
        ("after the load beside them", at_end, None),
    ] {
        let peak = usage.memory_peak_bytes.map(|bytes| float(bytes) / MIB);
        memory.add(moment, &[Some(float(usage.memory_bytes) / MIB), peak, live]);
    }
    findings.tables.extend([memory, turns.sheet("none waits", "all wait")]);
    let each = (float(after.memory_bytes) - float(before.memory_bytes)) / f64::from(sagas);
    let text = format!(
        "{sagas} waiting, {:.0} started a second, {:.0} MiB before, {:.0} MiB when all wait (target under 1024 MiB at 1000000), {each:.0} bytes each, {:.0} sagas/s without, {:.0} with, ratio {:.2} (target 1, nothing lost)",
        f64::from(sagas) / starting.as_secs_f64(),
        float(before.memory_bytes) / MIB,
        float(after.memory_bytes) / MIB,
        turns.speed_without(),
        turns.speed_with(),
        turns.speed_ratio(),
    );
    findings.conclude("waiting", &text);
    Ok(findings)
}

/// What waits: for a time, for a callback, for a lock key.
fn definitions() -> Vec<Value> {
    let step = json!({
        "id": "step1", "participant": PARTICIPANT, "completion": "callback",
        "action": { "path": "/later" }, "compensation": { "path": "/undo" },
    });
    let named = |name: &str| json!({ "name": name, "defaults": { "timeout": LONG }, "steps": [step.clone()] });
    let mut locked = named("bench-wait-key");
    locked["lock"] = json!({ "keys": ["bench:waiting"], "wait": LONG });
    vec![named("bench-wait-time"), named("bench-wait-callback"), locked]
}

/// The request that starts one; the first of the third kind holds the key.
fn start(index: u32, word: &str) -> String {
    let id = format!("{word}-{index}");
    match index % 3 {
        0 => json!({ "id": id, "definition": "bench-wait-key" }),
        1 => json!({ "id": id, "definition": "bench-wait-callback" }),
        _ => json!({
            "id": id, "definition": "bench-wait-time", "start_at": "2099-01-01T00:00:00Z",
        }),
    }
    .to_string()
}

/// Waits until they have left memory, or no more do; how many are there.
async fn settle(stage: &Stage) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let (mut last, mut since) = (f64::MAX, Instant::now());
    loop {
        let live = stage.metric(&stage.address()?, "amends_saga_live").await?;
        if live < last {
            (last, since) = (live, Instant::now());
        }
        if live < 1.0 || since.elapsed() > SETTLED_AFTER {
            return Ok(live);
        }
        anyhow::ensure!(begin.elapsed() < SETTLE_MAX, "{live} sagas are in memory still");
        sleep(Duration::from_millis(250)).await;
    }
}

/// One of each kind must wait for what it was made for.
async fn check(stage: &Stage) -> anyhow::Result<()> {
    for (id, status) in [
        ("holder-0", "running"),
        ("waiting-0", "queued"),
        ("waiting-1", "running"),
        ("waiting-2", "queued"),
    ] {
        let saga: Value = serde_json::from_str(&stage.get(&format!("/v1/sagas/{id}")).await?)?;
        anyhow::ensure!(saga["status"] == status, "{id} is not {status}: {saga}");
    }
    Ok(())
}

fn usage(stage: &Stage) -> anyhow::Result<Usage> {
    stage.usages()?.coordinator.context("no coordinator runs")
}
