//! One participant of ten never answers: what the sagas notice that don't use it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::participant::{OPEN, SHUT};
use super::super::run::say;
use super::super::stage::Stage;
use super::findings::Findings;
use super::scene::{Scene, until};
use super::starter::start_all;
use super::turns::{ROUNDS, Turns};

/// Definition whose sagas use the nine that answer.
const NINE: &str = "bench-nine";
/// Definition whose sagas use the one that doesn't, and that one.
const HANGING: &str = "bench-hanging";
/// Longest time until all sagas hang, or have ended when it answers again.
const SETTLE_MAX: Duration = Duration::from_mins(2);

pub(super) async fn run(scene: Scene<'_>) -> anyhow::Result<Findings> {
    let stage = scene.stage(Vec::new(), Vec::new(), 1).await?;
    prepare(&stage, scene.in_flight).await?;
    let addresses = [stage.address()?];
    let mut turns = Turns::default();
    for round in 1..=ROUNDS {
        say(&format!("round {round} of {ROUNDS}"));
        turns.without.push(scene.measure(&addresses, Some(NINE)).await?);
        hang(&stage, scene.in_flight, round).await?;
        turns.with.push(scene.measure(&addresses, Some(NINE)).await?);
        let live = live(&stage).await?;
        anyhow::ensure!(live >= f64::from(scene.in_flight), "only {live} sagas hung to the end");
        stage.tell_participant(OPEN).await?;
        let gone = async || Ok((self::live(&stage).await? < 1.0).then_some(()));
        until("hanging sagas to end once they are answered", SETTLE_MAX, gone).await?;
    }
    let mut findings = Findings::new("hanging", scene.store);
    findings.tables.push(turns.sheet("all answer", "one of ten hangs"));
    let (speed, p99) = (turns.speed_ratio(), turns.p99_ratio());
    findings.conclude(
        "hanging",
        &format!(
            "{:.0} sagas/s without, {:.0} with, ratio {speed:.2} (target at least 0.95), p99 ratio {p99:.2} (target at most 1.5)",
            turns.speed_without(),
            turns.speed_with(),
        ),
    );
    Ok(findings)
}

/// Ten participants, and what uses them. Half as many calls hang at once as there are sagas that
/// want to, so that others wait for their turn; a call is given up after a while and made again.
async fn prepare(stage: &Stage, in_flight: u32) -> anyhow::Result<()> {
    let url = format!("http://{}", stage.participant_address);
    for number in 1..=9 {
        stage.register(&format!("bench-{number}"), &json!({ "endpoints": [url] })).await?;
    }
    let most = in_flight.div_ceil(2);
    let spec = json!({ "endpoints": [format!("{url}/hold")], "max_concurrency": most });
    stage.register(HANGING, &spec).await?;
    let nine: Vec<Value> = (1..=9).map(|number| step(&format!("bench-{number}"))).collect();
    stage.define(&definition(NINE, "10s", &nine)).await?;
    stage.define(&definition(HANGING, "2s", &[step(HANGING)])).await
}

fn step(participant: &str) -> Value {
    json!({
        "id": participant,
        "participant": participant,
        "action": { "path": "/do", "body": { "order": "${input.order}" } },
        "compensation": { "path": "/undo" },
    })
}

fn definition(name: &str, timeout: &str, steps: &[Value]) -> Value {
    let retry = json!({ "max_attempts": 1_000, "initial": "100ms", "max": "1s" });
    json!({ "name": name, "defaults": { "timeout": timeout, "retry": retry }, "steps": steps })
}

/// Starts as many sagas on the participant that doesn't answer.
async fn hang(stage: &Stage, count: u32, round: usize) -> anyhow::Result<()> {
    stage.tell_participant(SHUT).await?;
    let body = move |index| {
        format!(
            r#"{{"id":"hanging-{round}-{index}","definition":"{HANGING}","input":{{"order":"{index}"}}}}"#
        )
    };
    start_all(&stage.address()?, count, body).await?;
    let all = async || Ok((live(stage).await? >= f64::from(count)).then_some(()));
    until("sagas to hang", SETTLE_MAX, all).await
}

async fn live(stage: &Stage) -> anyhow::Result<f64> {
    stage.metric(&stage.address()?, "amends_saga_live").await
}
