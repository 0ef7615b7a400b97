//! Clients and operators: they submit, repeat, look, and meddle.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{BranchDocument, Definition, Registry, parse, parse_branch};
use amends_core::saga::{Actor, CallState, Command, Decision, Op, Saga, Status};
use amends_core::{Json, SagaId, StepId};
use amends_engine::{Chosen, CommandError, Engine, Submission, SubmitError};
use serde_json::json;
use tokio::time::timeout;

use crate::books::Said;
use crate::cluster::Cluster;
use crate::plan;

/// How long a client waits for one answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a client knows at the end.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) saga_id: SagaId,
    /// Its submission was answered.
    pub(crate) acknowledged: bool,
    /// The decision that it was told.
    pub(crate) told: Option<Decision>,
    /// Every branch that was enlisted with an answer.
    pub(crate) branches: Vec<String>,
}

/// Asks any coordinator, again and again, until `ask` says that it has its answer.
async fn until_answered<T>(cluster: &Cluster, mut ask: impl AsyncFnMut(&Engine) -> Option<T>) -> T {
    loop {
        if let Some((engine, gate)) = cluster.any() {
            let answer = timeout(PATIENCE, async {
                gate.pass().await;
                let answer = ask(&engine).await;
                gate.pass().await;
                answer
            });
            if let Ok(Some(answer)) = answer.await {
                return answer;
            }
        }
        let pause = cluster.world.chance.time(Duration::from_millis(50), Duration::from_secs(1));
        tokio::time::sleep(pause).await;
    }
}

fn by() -> Actor {
    Actor { name: "sim".to_owned(), reason: "so it was drawn".to_owned() }
}

/// One saga of a definition, from its submission on.
pub(crate) async fn run_saga(
    cluster: Arc<Cluster>,
    definition: Arc<Definition>,
    number: usize,
) -> Known {
    let world = &cluster.world;
    let saga_id = id(number);
    let input = Json::from_value(&plan::input(&world.chance));
    let chosen = Chosen::Known { definition: Arc::clone(&definition), version: None };
    let submission = Submission {
        saga_id: Some(saga_id.clone()),
        input,
        idempotency_key: world.chance.is(0.5).then(|| format!("key-{number}")),
        ..Submission::new(chosen, format!("digest-{number}"))
    };
    let acknowledged =
        until_answered(&cluster, async |engine| match engine.submit(submission.clone()).await {
            Ok(_) => Some(true),
            Err(SubmitError::Mismatch(_)) => {
                world.violated(format!("{saga_id} was taken for another request"));
                Some(false)
            }
            Err(_) => None,
        })
        .await;
    world.log(|| format!("acknowledged {saga_id}"));
    let mut known = Known { saga_id, acknowledged, told: None, branches: Vec::new() };
    meddle(&cluster, &mut known).await;
    known
}

/// Cancels, pauses and resumes, asks for retries, now and then.
async fn meddle(cluster: &Cluster, known: &mut Known) {
    let world = &cluster.world;
    let id = &known.saga_id;
    while world.draws(|swarm| swarm.meddling) {
        let wait = world.chance.time(Duration::ZERO, Duration::from_secs(10));
        tokio::time::sleep(wait).await;
        match world.chance.below(6) {
            0 => {
                let told = ask(cluster, id, &Command::Cancel).await;
                if told {
                    world.seen("cancelled");
                }
            }
            1 => {
                ask(cluster, id, &Command::Pause).await;
                let wait = world.chance.time(Duration::ZERO, Duration::from_secs(5));
                tokio::time::sleep(wait).await;
                ask(cluster, id, &Command::Resume).await;
            }
            2 => {
                ask(cluster, id, &Command::RetryNow { step: None }).await;
            }
            3 | 4 => {
                if ask(cluster, id, &Command::ReleaseLock).await {
                    world.seen("lock taken away");
                }
            }
            _ => {
                until_answered(cluster, async |engine| engine.saga(id).await.ok()).await;
            }
        }
    }
    ask(cluster, id, &Command::Resume).await;
}

/// Whether a command was carried out; false if it was refused.
pub(crate) async fn ask(cluster: &Cluster, id: &SagaId, command: &Command) -> bool {
    until_answered(cluster, async |engine| match engine.command(id, command.clone(), by()).await {
        Ok(_) => Some(true),
        Err(CommandError::Refused { .. } | CommandError::UnknownSaga(_)) => Some(false),
        Err(CommandError::OwnerSilent(_) | CommandError::Unavailable(_)) => None,
    })
    .await
}

/// One interactive transaction: begin, enlist, call, commit or roll back, or fall silent.
pub(crate) async fn run_transaction(cluster: Arc<Cluster>, number: usize) -> Known {
    let world = &cluster.world;
    let chance = &world.chance;
    let saga_id = id(number);
    let document = json!({ "name": "interactive", "mode": "interactive" });
    let definition = parse(&document, &Registry::default()).definition;
    let mut known =
        Known { saga_id: saga_id.clone(), acknowledged: false, told: None, branches: Vec::new() };
    let Some(definition) = definition else { return known };
    let submission = Submission {
        saga_id: Some(saga_id.clone()),
        deadline: Some(chance.time(Duration::from_secs(2), Duration::from_secs(40))),
        ..Submission::new(Chosen::AdHoc(definition), format!("digest-{number}"))
    };
    until_answered(&cluster, async |engine| engine.submit(submission.clone()).await.ok()).await;
    known.acknowledged = true;
    let mut all_done = true;
    for branch in 0..=chance.below(4) {
        let name = format!("b{branch}");
        let (document, op) = match chance.below(3) {
            0 => (json!({ "participant": "p0", "compensation": call("/undo") }), Some(Op::Action)),
            1 => (
                json!({ "participant": "p1", "confirm": call("/confirm"), "cancel": call("/cancel") }),
                Some(Op::Try),
            ),
            _ => (json!({ "participant": "p2", "action": call("/message") }), None),
        };
        let Ok(step) = StepId::new(&name) else { continue };
        let Ok(branch) = parse_branch(step.clone(), &document, &Registry::default()) else {
            world.violated(format!("branch {document} was refused"));
            continue;
        };
        if !enlist(&cluster, &saga_id, &branch).await {
            break;
        }
        known.branches.push(name);
        if let Some(op) = op {
            // The client's own call may be lost, or arrive late.
            if chance.is(0.9) {
                let refuses = chance.is(0.05);
                let said = world.books.lock().arrive(&saga_id, &step, op, &[], refuses, true);
                world.log(|| format!("client {saga_id}/{step}/{op} {said:?}"));
                all_done &= said == Said::Done;
            } else {
                all_done = false;
            }
        }
    }
    let silent = chance.is(0.1);
    if silent {
        world.seen("client fell silent");
        return known;
    }
    let command = if all_done && chance.is(0.8) { Command::Commit } else { Command::Cancel };
    for _ in 0..=chance.below(3) {
        let told = ask(&cluster, &saga_id, &command).await;
        let decision = match (command.clone(), told) {
            (Command::Commit, true) => Decision::Commit,
            _ => Decision::Abort,
        };
        if known.told.is_some_and(|before| before != decision) {
            world.violated(format!("{saga_id} was told two decisions"));
        }
        known.told = Some(decision);
    }
    known
}

fn call(path: &str) -> serde_json::Value {
    json!({ "path": path, "timeout": "1s", "retry": {
        "max_attempts": 30, "initial": "100ms", "factor": 2, "max": "2s" } })
}

async fn enlist(cluster: &Cluster, saga_id: &SagaId, branch: &BranchDocument) -> bool {
    until_answered(cluster, async |engine| {
        match engine.enlist(saga_id, branch.clone(), by()).await {
            Ok(_) => Some(true),
            Err(
                amends_engine::EnlistError::Command(
                    CommandError::OwnerSilent(_) | CommandError::Unavailable(_),
                )
                | amends_engine::EnlistError::Unavailable(_),
            ) => None,
            Err(_) => Some(false),
        }
    })
    .await
}

/// An operator looks at a suspended saga and mends it truthfully.
pub(crate) async fn mend(cluster: &Cluster, saga: &Saga) {
    let world = &cluster.world;
    let Some((index, op)) = saga.stuck() else { return };
    let step = saga.definition().step(index).id.clone();
    let id = saga.id();
    world.seen("mended");
    let command = if op.is_undo() {
        world.books.lock().undo_by_hand(id, &step);
        Command::ResolveUndone { step }
    } else if op == Op::Confirm {
        Command::RetryNow { step: Some(step) }
    } else if saga.decision() == Some(Decision::Commit) {
        world.books.lock().do_by_hand(id, &step);
        Command::ResolveSucceeded { step, output: None }
    } else if world.books.lock().settle_by_hand(id, &step) {
        Command::ResolveSucceeded { step, output: None }
    } else {
        Command::ResolveFailed { step }
    };
    ask(cluster, id, &command).await;
}

/// Whether a saga needs a person.
pub(crate) fn needs_operator(saga: &Saga) -> bool {
    saga.status() == Status::Suspended
        && saga.calls().all(|(_, _, call)| call.state != CallState::InFlight)
}

fn id(number: usize) -> SagaId {
    #[expect(clippy::expect_used, reason = "a letter and digits")]
    SagaId::new(format!("s{number}")).expect("a letter and digits")
}
