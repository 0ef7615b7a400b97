//! Serves the console over in-memory adapters and participants that are often slow or unwilling,
//! for looking at pages while they are being made: `cargo run -p amends-console --example look`.
#![expect(clippy::print_stdout, reason = "says where it listens")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{Format, Registry, parse_text};
use amends_core::saga::{Answer, AttemptFailure, Op, OutcomeKind, Problem};
use amends_core::{DefinitionName, Json, SagaId};
use amends_engine::{Chosen, Engine, EngineConfig, NoTracing, Ports, Submission};
use amends_ports::testing::{MemoryStore, ScriptedAnswer, ScriptedParticipants};
use amends_ports::{OutgoingCall, SystemClock, SystemIds};

const PLACE_ORDER: &str = r#"
name: place-order
deadline: 5m
lock: { keys: ["sku:${input.sku}"] }
defaults: { timeout: 2s, retry: { max_attempts: 3, initial: 300ms, factor: 2, max: 10s, jitter: full } }
steps:
  - { id: reserve, participant: inventory, after: [], action: { path: /reservations }, compensation: { path: /release } }
  - { id: charge, participant: payment, after: [], try: { path: /holds }, confirm: { path: /capture }, cancel: { path: /void } }
  - { id: create-order, participant: orders, after: [reserve, charge], action: { path: /orders }, compensation: { path: /cancel }, pivot: true }
  - { id: notify, participant: mail, after: [create-order], action: { path: /messages }, on_failure: ignore }
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(SystemClock::new());
    let participants = ScriptedParticipants::scripted(answer);
    let ports = Ports {
        store: Arc::new(MemoryStore::new(8, clock.clone())),
        locks: None,
        participants: Arc::new(participants),
        clock,
        ids: Arc::new(SystemIds),
        tracing: Arc::new(NoTracing),
    };
    let engine = Engine::start(ports, EngineConfig::default()).await?;
    engine.wait_ready(Duration::from_secs(30)).await;
    let parsed = parse_text(PLACE_ORDER, Format::Yaml, &Registry::default());
    let definition = parsed.definition.ok_or("the definition has faults")?;
    engine.put_definition(&definition).await?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/console/sagas", listener.local_addr()?);
    let router = amends_console::router(engine.clone());
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        started = start_for_ever(&engine) => started?,
    }
    Ok(())
}

async fn start_for_ever(engine: &Engine) -> Result<(), Box<dyn Error>> {
    for number in 1000_u64.. {
        let input = format!(r#"{{"sku":"{}","note":"<b>bold</b>"}}"#, number % 7);
        let name = DefinitionName::new("place-order")?;
        let submission = Submission {
            saga_id: Some(SagaId::new(format!("order-{number}"))?),
            input: Json::parse(&input)?,
            labels: BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]),
            ..Submission::new(Chosen::Stored { name, version: None }, number.to_string())
        };
        engine.submit(submission).await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    Ok(())
}

/// Some confirms are refused for good, some orders too, and one call in five fails at first.
fn answer(call: &OutgoingCall) -> ScriptedAnswer {
    let chance = |text: &str, one_in: u64| {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash >> 7).is_multiple_of(one_in)
    };
    let delay = Duration::from_millis(20 + 37 * u64::from(call.key.to_string().ends_with('n')));
    let failed = |outcome, status: u16, detail: &str| {
        let detail = detail.to_owned();
        let problem =
            Problem { kind: AttemptFailure::Status, status: Some(status), detail, body: None };
        ScriptedAnswer::after(delay, Answer::failed(outcome, true, problem))
    };
    let key = call.key.to_string();
    match call.op() {
        Op::Confirm if chance(&key, 9) => failed(OutcomeKind::Refused, 422, "the hold has expired"),
        Op::Action if chance(&key, 13) => failed(OutcomeKind::Refused, 409, "nothing on the shelf"),
        _ if call.attempt == 1 && chance(&format!("{key}!"), 5) => {
            failed(OutcomeKind::Retryable, 503, "down for a moment")
        }
        Op::Action | Op::Compensation | Op::Try | Op::Confirm | Op::Cancel => {
            let output = Json::parse(r#"{"ok":true}"#).ok();
            ScriptedAnswer::after(delay, Answer::succeeded(output))
        }
    }
}
