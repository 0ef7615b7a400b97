//! Operators, who act truthfully: they look into the participants' books first.

use std::time::Duration;

use amends_core::definition::Starts;
use amends_core::saga::{CallState, Command, Decision, JournalFormat, Op, Saga, Status};
use amends_core::{SagaId, StepIndex};

use super::{Client, ask};
use crate::cluster::Cluster;

/// How often an operator looks for a call to do something about.
const LOOKS: usize = 10;

impl Client {
    /// Finds out what became of a call that waits or is stuck, and says so. Where coordinators
    /// can't tell one another which call is meant, some pause the saga for as long.
    pub(super) async fn resolve(&self, id: &SagaId) {
        let is_told = self.world().journal_format() >= JournalFormat::RESOLVED_OP;
        if is_told || self.chance.is(0.3) {
            self.find_out(id).await;
        } else if self.command(id, &Command::Pause).await.is_some() {
            self.find_out(id).await;
            self.command(id, &Command::Resume).await;
        }
    }

    async fn find_out(&self, id: &SagaId) {
        for _ in 0..LOOKS {
            let detail = self.until_answered(async |engine| engine.saga(id).await.ok()).await;
            let Some(detail) = detail.filter(|detail| !detail.saga.status().is_terminal()) else {
                return;
            };
            let mut calls = detail.saga.calls();
            let Some((step, op, _)) = calls.find(|(_, _, call)| is_unsettled(&call.state)) else {
                self.idle(Duration::from_millis(300)).await;
                continue;
            };
            let Some(command) = truth(&self.cluster, &detail.saga, step, op) else { return };
            if op == Op::Try && matches!(command, Command::ResolveSucceeded { .. }) {
                self.linger(id, step).await;
            }
            self.command(id, &command).await;
            return;
        }
    }

    /// What was seen to have happened stays so: a person may say it late, at worst when the step's
    /// next call is in doubt.
    async fn linger(&self, id: &SagaId, step: StepIndex) {
        for _ in 0..self.chance.below(LOOKS) {
            self.idle(Duration::from_secs(1)).await;
            let detail = self.until_answered(async |engine| engine.saga(id).await.ok()).await;
            let is_next = detail.is_some_and(|detail| {
                is_unsettled(&detail.saga.step(step).call(Op::Confirm).state)
            });
            if is_next {
                return;
            }
        }
    }

    /// Leaves a step out: one whose call waits, if there is one before long.
    pub(super) async fn skip(&self, id: &SagaId) {
        for _ in 0..LOOKS {
            let detail = self.until_answered(async |engine| engine.saga(id).await.ok()).await;
            let Some(detail) = detail.filter(|detail| !detail.saga.status().is_terminal()) else {
                return;
            };
            let steps = &detail.saga.definition().steps;
            let waiting = detail.saga.calls().find(|(_, op, call)| {
                op.is_forward() && matches!(call.state, CallState::Waiting { .. })
            });
            let step = match waiting {
                Some((step, ..)) => &detail.saga.definition().step(step).id,
                None if !steps.is_empty() && self.chance.is(0.2) => &self.chance.one_of(steps).id,
                None => {
                    self.idle(Duration::from_millis(300)).await;
                    continue;
                }
            };
            self.command(id, &Command::Skip { step: step.clone() }).await;
            return;
        }
    }
}

fn is_unsettled(state: &CallState) -> bool {
    matches!(state, CallState::Waiting { .. } | CallState::Stuck { .. })
}

/// What became of a call, after a person has seen to it that it stays so.
fn truth(cluster: &Cluster, saga: &Saga, index: StepIndex, op: Op) -> Option<Command> {
    let (id, own) = (saga.id(), saga.definition().step(index));
    if own.nested.is_some() {
        return None;
    }
    let step = own.id.clone();
    let is_committed = saga.decision() == Some(Decision::Commit);
    cluster.world.books(|books| {
        let is_done = match op {
            Op::Compensation | Op::Cancel => {
                books.do_by_hand(id, &step, op);
                return Some(Command::ResolveUndone { step });
            }
            Op::Action if own.starts == Starts::WhenSilent => books.is_committed_locally(id),
            Op::Confirm => {
                books.do_by_hand(id, &step, op);
                true
            }
            // An operator who asks before the decision may be overtaken by a commit: what is
            // ruled out then is done by hand later.
            Op::Action | Op::Try if is_committed => {
                books.do_by_hand(id, &step, op);
                true
            }
            Op::Action | Op::Try => books.settle_by_hand(id, &step),
        };
        Some(if is_done {
            Command::ResolveSucceeded { step, output: None, op: Some(op) }
        } else {
            Command::ResolveFailed { step }
        })
    })
}

/// An operator looks at a suspended saga and mends it.
pub(crate) async fn mend(cluster: &Cluster, saga: &Saga) {
    let Some((index, op)) = saga.stuck() else { return };
    cluster.world.seen("mended");
    let again = Command::RetryNow { step: Some(saga.definition().step(index).id.clone()) };
    let command = truth(cluster, saga, index, op).unwrap_or(again);
    let _ = ask::command(cluster, &cluster.world.chance, saga.id(), &command).await;
}

/// A pause whose answer was lost may be carried out after the resume that followed it.
pub(crate) async fn resume(cluster: &Cluster, saga: &Saga) {
    let _ = ask::command(cluster, &cluster.world.chance, saga.id(), &Command::Resume).await;
}

/// Whether a saga needs a person.
pub(crate) fn needs_operator(saga: &Saga) -> bool {
    saga.status() == Status::Suspended
        && saga.calls().all(|(_, _, call)| call.state != CallState::InFlight)
}
