//! What would happen: the real state machine run over every failure point of a definition.
//!
//! No call is made and no expression that reads an output is evaluated: conditions (`when`) are
//! taken to hold. Time passes only when a retry is due.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::definition::{Definition, StepKind};
use crate::saga::{
    Accepted, Answer, AttemptFailure, CallId, CallState, Effect, Handled, Input, Op, OutcomeKind,
    Problem, Saga, Status,
};
use crate::{SagaId, StepId, StepIndex, Timestamp};

/// Most inputs that one run may take; far above what 100 steps with 1,000 attempts each need.
const INPUTS_MAX: usize = 1_000_000;

/// How a call fails in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Every attempt is refused.
    Refused,
    /// The first attempt's outcome is unknown; the next one succeeds.
    Unknown,
    /// Every attempt times out.
    TimedOut,
}

/// What fails in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which step.
    pub step: StepId,
    /// Which operation.
    pub op: Op,
    /// How.
    pub kind: FailureKind,
}

/// One call of a run, with all its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExploredCall {
    /// Which step.
    pub step: StepId,
    /// Which operation.
    pub op: Op,
    /// How often it was made.
    pub attempts: u32,
    /// What its last attempt became.
    pub outcome: OutcomeKind,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What fails; nothing in the first run.
    pub failures: Vec<Failure>,
    /// The calls, in the order in which they are first made.
    pub calls: Vec<ExploredCall>,
    /// Where the saga ends, or stands suspended.
    pub status: Status,
    /// Why it aborted, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Runs `definition` once without a failure, once for each way each forward call and confirm can
/// fail, and once for each undo that is refused while the last step that can abort is refused.
pub fn explore(definition: &Arc<Definition>) -> Vec<Run> {
    scenarios(definition).into_iter().map(|failures| run(definition, failures)).collect()
}

fn scenarios(definition: &Definition) -> Vec<Vec<Failure>> {
    let failure =
        |index: StepIndex, op, kind| Failure { step: definition.step(index).id.clone(), op, kind };
    let mut scenarios = vec![Vec::new()];
    for index in definition.indices() {
        let step = definition.step(index);
        for kind in [FailureKind::Refused, FailureKind::Unknown, FailureKind::TimedOut] {
            scenarios.push(vec![failure(index, step.forward_op(), kind)]);
        }
        if step.kind == StepKind::Tcc {
            scenarios.push(vec![failure(index, Op::Confirm, FailureKind::Refused)]);
        }
    }
    for index in definition.indices().filter(|index| definition.step(*index).undo.is_some()) {
        let undo = failure(index, definition.step(index).undo_op(), FailureKind::Refused);
        if let Some(last) = last_abort(definition, index) {
            let refused = failure(last, definition.step(last).forward_op(), FailureKind::Refused);
            scenarios.push(vec![refused, undo]);
        }
    }
    scenarios
}

/// The last step whose refusal makes the saga undo `step`.
fn last_abort(definition: &Definition, step: StepIndex) -> Option<StepIndex> {
    definition.indices().rev().find(|other| {
        *other != step
            && !definition.step(*other).optional
            && !definition.graph.is_past_pivot(*other)
            && !definition.graph.is_before(*other, step)
    })
}

fn run(definition: &Arc<Definition>, failures: Vec<Failure>) -> Run {
    let mut world = World { calls: Vec::new(), failures, now: Timestamp(0) };
    let (mut saga, handled) = Saga::accept_assuming(Arc::clone(definition), accepted(definition));
    let mut inputs = world.answer(&saga, &handled);
    for _ in 0..INPUTS_MAX {
        if inputs.is_empty() {
            match due(&saga) {
                Some((at, input)) => {
                    world.now = world.now.max(at);
                    inputs.push(input);
                }
                None => break,
            }
        }
        let input = inputs.remove(0);
        if let Ok(handled) = saga.handle(world.now, input) {
            inputs.extend(world.answer(&saga, &handled));
        }
    }
    Run {
        failures: world.failures,
        calls: world.calls,
        status: saga.status(),
        reason: saga.reason().map(str::to_owned),
    }
}

fn accepted(definition: &Definition) -> Accepted {
    #[expect(clippy::expect_used, reason = "the text is a valid id")]
    let saga_id = SagaId::new("explore").expect("letters only");
    Accepted::new(saga_id, definition)
}

/// The next retry by itself. A stuck call counts as the end of a run.
fn due(saga: &Saga) -> Option<(Timestamp, Input)> {
    saga.calls()
        .filter_map(|(step, op, call)| {
            let CallState::Waiting { until } = call.state else { return None };
            Some((until, Input::RetryDue { step, op }))
        })
        .min_by_key(|(at, _)| *at)
}

struct World {
    failures: Vec<Failure>,
    calls: Vec<ExploredCall>,
    now: Timestamp,
}

impl World {
    /// Answers every call that was asked for, in order.
    fn answer(&mut self, saga: &Saga, handled: &Handled) -> Vec<Input> {
        let calls = handled.effects.iter().filter_map(|effect| {
            let Effect::Call { call, attempt } = effect else { return None };
            Some((*call, *attempt))
        });
        calls.map(|(call, attempt)| self.make(saga, call, attempt)).collect()
    }

    fn make(&mut self, saga: &Saga, call: CallId, attempt: u32) -> Input {
        let CallId { step, op } = call;
        let id = &saga.definition().step(step).id;
        let kind = self
            .failures
            .iter()
            .find(|failure| failure.step == *id && failure.op == op)
            .map(|failure| failure.kind);
        let answer = match kind {
            Some(FailureKind::Refused) => failed(OutcomeKind::Refused, "refused"),
            Some(FailureKind::Unknown) if attempt == 1 => failed(OutcomeKind::Unknown, "unknown"),
            Some(FailureKind::TimedOut) => failed(OutcomeKind::Unknown, "timed out"),
            Some(FailureKind::Unknown) | None => Answer::succeeded(None),
        };
        let outcome = answer.outcome;
        match self.calls.iter_mut().find(|made| made.step == *id && made.op == op) {
            Some(made) => (made.attempts, made.outcome) = (attempt, outcome),
            None => {
                self.calls.push(ExploredCall { step: id.clone(), op, attempts: attempt, outcome });
            }
        }
        Input::Answered { step, op, attempt, answer: Box::new(answer) }
    }
}

fn failed(outcome: OutcomeKind, detail: &str) -> Answer {
    let kind = AttemptFailure::Status;
    Answer::failed(
        outcome,
        true,
        Problem { kind, status: None, detail: detail.to_owned(), body: None },
    )
}
