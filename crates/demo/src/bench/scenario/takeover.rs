//! The coordinator is killed with many sagas in flight: how soon another goes on with them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::case::PARTICIPANT;
use super::super::participant::OPEN;
use super::super::run::say;
use super::super::stage::Stage;
use super::findings::{Findings, Sheet};
use super::lists::Page;
use super::scene::{Scene, until};
use super::starter::start_all;

/// Name of the definition, whose sagas make one call that is held.
const DEFINITION: &str = "bench-held";
/// Longest time for each part.
const PART_MAX: Duration = Duration::from_mins(5);

pub(super) async fn run(scene: Scene<'_>, sagas: u32) -> anyhow::Result<Findings> {
    let all = f64::from(sagas);
    let settings = vec![
        format!("engine.live-sagas-max={}", u64::from(sagas) + 20_000),
        format!("engine.live-bytes-max={}", 16_u64 << 30),
    ];
    let mut stage = scene.stage(vec![definition()], settings, 1).await?;
    say(&format!("starting {sagas} sagas"));
    start_all(&stage.address()?, sagas, start).await?;
    reaches(&stage, "amends_saga_live", all).await?;
    let partitions = metric(&stage, "amends_partitions_owned").await?;
    let first_memory = stage.usages()?.coordinator;

    say("killing the coordinator");
    stage.crew()?.kill()?;
    let killed = Instant::now();
    stage.crew()?.join().await?;
    let ready = killed.elapsed();
    reaches(&stage, "amends_partitions_owned", partitions).await?;
    let leased = killed.elapsed();
    reaches(&stage, "amends_saga_live", all).await?;
    let resumed = killed.elapsed();
    let second_memory = stage.usages()?.coordinator;

    stage.tell_participant(OPEN).await?;
    let opened = Instant::now();
    reaches(&stage, "amends_saga_finished_total", all).await?;
    let ended = opened.elapsed();
    let ends = ends(&stage).await?;
    let completed = ends.get("completed").copied().unwrap_or_default();
    let lost = u64::from(sagas) - ends.values().sum::<u64>().min(u64::from(sagas));
    anyhow::ensure!(completed == u64::from(sagas), "{lost} sagas are lost; the ends: {ends:?}");

    let mut findings = Findings::new("takeover", scene.store);
    let resuming = resumed.saturating_sub(leased).as_secs_f64();
    let speed = all / resuming.max(0.001);
    let mut sheet = Sheet::new(&["part", "seconds", "sagas_per_second", "memory_mib"]);
    let memory = |usage: Option<super::super::process::Usage>| {
        usage.map(|usage| super::super::load::float(usage.memory_bytes) / 1_048_576.0)
    };
    sheet.add("before the kill", &[None, None, memory(first_memory)]);
    sheet.add("from the kill until the next one answers", &[Some(ready.as_secs_f64()), None, None]);
    sheet.add("from the kill until it has all leases", &[Some(leased.as_secs_f64()), None, None]);
    let cells = [Some(resuming), Some(speed), memory(second_memory)];
    sheet.add("from there until it has all sagas in memory", &cells);
    let cells = [Some(ended.as_secs_f64()), Some(all / ended.as_secs_f64()), None];
    sheet.add("from the first answer of the participant until all have ended", &cells);
    findings.tables.push(sheet);
    findings.conclude(
        "takeover",
        &format!(
            "{sagas} in flight, leases taken {:.1} s after the kill, all in memory {resuming:.1} s later (target at most 5 s at 100000), {speed:.0} resumed a second (target at least 5000), all ended {:.1} s after the participant answered, none lost",
            leased.as_secs_f64(),
            ended.as_secs_f64(),
        ),
    );
    Ok(findings)
}

fn definition() -> Value {
    json!({
        "name": DEFINITION,
        // Longer than a run: what hangs is ended by the participant.
        "defaults": { "timeout": "1h" },
        "steps": [{
            "id": "step1",
            "participant": PARTICIPANT,
            "action": { "path": "/hold", "body": { "order": "${input.order}" } },
            "compensation": { "path": "/undo" },
        }],
    })
}

fn start(index: u32) -> String {
    let id = format!("held-{index}");
    json!({ "id": id, "definition": DEFINITION, "input": { "order": id } }).to_string()
}

async fn metric(stage: &Stage, name: &str) -> anyhow::Result<f64> {
    stage.metric(&stage.address()?, name).await
}

async fn reaches(stage: &Stage, name: &str, value: f64) -> anyhow::Result<()> {
    let reached = async || Ok((metric(stage, name).await? >= value).then_some(()));
    until(&format!("{name} to reach {value}"), PART_MAX, reached).await
}

/// How many of the started sagas stand in each status; none is counted twice.
async fn ends(stage: &Stage) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/sagas?definition={DEFINITION}&limit=500{cursor}");
        let page: Page = serde_json::from_str(&stage.get(&path).await?)?;
        found.extend(page.sagas.into_iter().map(|item| (item.id, item.status)));
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut counts = BTreeMap::new();
    for status in found.into_values() {
        *counts.entry(status).or_default() += 1;
    }
    Ok(counts)
}
