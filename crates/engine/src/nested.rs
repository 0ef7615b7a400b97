//! Steps that are sagas of their own: started, confirmed and undone here instead of by a call to a
//! participant.
//!
//! The forward call makes the nested saga; it succeeds when that one has done its part and waits
//! for its parent. Confirm and undo tell it the parent's decision, and succeed when it has ended.
//! Each is idempotent like any call. An undo that finds no nested saga makes one that is cancelled,
//! so that a forward call that is late finds its id taken.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amends_core::SagaId;
use amends_core::definition::NestedSaga;
use amends_core::mutant::Mutant;
use amends_core::saga::{
    Actor, Answer, AttemptFailure, CallId, Command, Decision, Input, Op, OutcomeKind, Parent,
    Problem, Saga, Status,
};
use sha2::{Digest as _, Sha256};

use crate::engine::Inner;
use crate::inbox::half_hex;
use crate::submit::{Chosen, Submission};
use crate::{CommandError, Engine, SagaDetail, SubmitError};

/// First pause between two looks at a nested saga; doubles up to the step's interval.
const LOOK: Duration = Duration::from_millis(10);

/// What a call on a nested saga needs of its parent.
struct Child {
    nested: NestedSaga,
    parent: Parent,
    labels: std::collections::BTreeMap<String, String>,
    traceparent: Option<String>,
}

impl Child {
    fn of(saga: &Saga, call: CallId) -> Option<Self> {
        let step = saga.definition().step(call.step);
        let nested = step.nested.clone()?;
        let parent = Parent { saga_id: saga.id().clone(), branch: step.id.clone() };
        let accepted = saga.accepted();
        let (labels, traceparent) = (accepted.labels.clone(), accepted.traceparent.clone());
        Some(Self { nested, parent, labels, traceparent })
    }

    fn by(&self) -> Actor {
        let Parent { saga_id, branch } = &self.parent;
        Actor { name: format!("saga {saga_id}"), reason: format!("decided with branch {branch}") }
    }
}

impl Inner {
    /// Makes one attempt of a call on a nested saga; none if the step is not one.
    pub(crate) fn nested_attempt(
        self: &Arc<Self>,
        saga: &Saga,
        call: CallId,
        attempt: u32,
    ) -> Option<impl Future<Output = Input> + Send + use<>> {
        let child = Child::of(saga, call)?;
        let inner = Arc::clone(self);
        Some(async move {
            inner.ownership.wait_valid(|| inner.clock.elapsed()).await;
            let answer = match call.op {
                Op::Try | Op::Action => inner.start_nested(&child).await,
                Op::Confirm => inner.decide_nested(&child, Decision::Commit).await,
                Op::Cancel | Op::Compensation => inner.decide_nested(&child, Decision::Abort).await,
            };
            Input::Answered { step: call.step, op: call.op, attempt, answer: Box::new(answer) }
        })
    }

    /// Waits until a pending call on a nested saga has ended; none if the step is not one.
    pub(crate) fn nested_poll(
        self: &Arc<Self>,
        saga: &Saga,
        call: CallId,
        interval: Duration,
    ) -> Option<impl Future<Output = Input> + Send + use<>> {
        let child = Child::of(saga, call)?;
        let inner = Arc::clone(self);
        Some(async move {
            let mut pause = LOOK;
            loop {
                inner.clock.sleep(pause).await;
                pause = (pause * 2).min(interval);
                if let Ok(Some(detail)) = inner.detail(&child.nested.saga_id).await
                    && let Some(answer) = judge(&detail, call.op)
                {
                    let (step, op) = (call.step, call.op);
                    return Input::Completed { step, op, answer: Box::new(answer) };
                }
            }
        })
    }

    async fn start_nested(self: &Arc<Self>, child: &Child) -> Answer {
        match self.make_nested(child, None).await {
            Ok(_) => pending(&child.nested.saga_id),
            Err(error) => {
                let (outcome, sent) = match error {
                    SubmitError::UnknownDefinition { .. }
                    | SubmitError::Input(_)
                    | SubmitError::LockKey { .. }
                    | SubmitError::Mismatch(_) => (OutcomeKind::Refused, false),
                    SubmitError::Draining
                    | SubmitError::Overloaded { .. }
                    | SubmitError::Unavailable(_)
                    | SubmitError::OutcomeUnknown => (OutcomeKind::Unknown, true),
                };
                failed(outcome, sent, format!("the nested saga was not started: {error}"))
            }
        }
    }

    async fn decide_nested(self: &Arc<Self>, child: &Child, decision: Decision) -> Answer {
        let engine = Engine::from_inner(Arc::clone(self));
        let command = Command::ParentDecided { decision };
        match engine.command(&child.nested.saga_id, command, child.by()).await {
            Ok(_) => pending(&child.nested.saga_id),
            Err(CommandError::UnknownSaga(_))
                if decision == Decision::Abort && Mutant::NestedNoTombstone.is_on() =>
            {
                Answer::succeeded(None)
            }
            Err(CommandError::UnknownSaga(_)) if decision == Decision::Abort => {
                match self.make_nested(child, Some(child.by())).await {
                    Ok(true) => Answer::succeeded(None),
                    // It was made meanwhile: the next attempt tells it.
                    Ok(false) => {
                        let detail = "the nested saga was started meanwhile".to_owned();
                        failed(OutcomeKind::Retryable, true, detail)
                    }
                    Err(error) => {
                        let detail = format!("the nested saga could not be ruled out: {error}");
                        failed(OutcomeKind::Retryable, true, detail)
                    }
                }
            }
            // Somebody else has taken the id, so ours was never made.
            Err(CommandError::Refused { .. })
                if decision == Decision::Abort && self.is_foreign(child).await =>
            {
                Answer::succeeded(None)
            }
            Err(error @ (CommandError::UnknownSaga(_) | CommandError::Refused { .. })) => {
                failed(OutcomeKind::Refused, true, format!("the nested saga refuses: {error}"))
            }
            Err(error @ (CommandError::OwnerSilent(_) | CommandError::Unavailable(_))) => {
                failed(OutcomeKind::Retryable, true, error.to_string())
            }
        }
    }

    /// Whether the saga of this id is not this branch.
    async fn is_foreign(&self, child: &Child) -> bool {
        let detail = self.detail(&child.nested.saga_id).await;
        matches!(detail, Ok(Some(detail)) if detail.saga.accepted().parent.as_ref() != Some(&child.parent))
    }

    /// Makes the nested saga; false if it is there already.
    async fn make_nested(
        self: &Arc<Self>,
        child: &Child,
        cancelled: Option<Actor>,
    ) -> Result<bool, SubmitError> {
        let nested = &child.nested;
        let definition =
            self.compiled(&nested.definition).await.map_err(SubmitError::Unavailable)?;
        let definition = definition.ok_or_else(|| SubmitError::UnknownDefinition {
            name: nested.definition_name.clone(),
            version: nested.definition_version,
        })?;
        let chosen = Chosen::Known { definition, version: nested.definition_version };
        let submission = Submission {
            saga_id: Some(nested.saga_id.clone()),
            input: nested.input.clone(),
            labels: child.labels.clone(),
            traceparent: child.traceparent.clone(),
            parent: Some(child.parent.clone()),
            cancelled,
            ..Submission::new(chosen, digest(nested))
        };
        let engine = Engine::from_inner(Arc::clone(self));
        engine.submit(submission).await.map(|submitted| submitted.created)
    }
}

/// What a nested saga's state says to a pending call on it.
fn judge(detail: &SagaDetail, op: Op) -> Option<Answer> {
    let saga = &detail.saga;
    let reason = || saga.standing_reason().unwrap_or_else(|| "no reason is known".to_owned());
    match (op, saga.status()) {
        (Op::Try | Op::Action, _) if saga.is_prepared() => Some(Answer::succeeded(None)),
        (Op::Try | Op::Action, _) if saga.decision() == Some(Decision::Abort) => Some(failed(
            OutcomeKind::Refused,
            true,
            format!("the nested saga aborts: {}", reason()),
        )),
        (Op::Confirm, Status::Completed) => Some(Answer::succeeded(saga.output().cloned())),
        (Op::Cancel | Op::Compensation, Status::Compensated) => Some(Answer::succeeded(None)),
        (_, Status::Abandoned) => Some(failed(
            OutcomeKind::Refused,
            true,
            format!("the nested saga was given up: {}", reason()),
        )),
        _ => None,
    }
}

fn pending(saga_id: &SagaId) -> Answer {
    Answer {
        outcome: OutcomeKind::Pending,
        location: Some(format!("/v1/sagas/{saga_id}")),
        ..Answer::succeeded(None)
    }
}

fn failed(outcome: OutcomeKind, sent: bool, detail: String) -> Answer {
    let problem = Problem { kind: AttemptFailure::BadAnswer, status: None, detail, body: None };
    Answer::failed(outcome, sent, problem)
}

/// Tells a repetition from another request for the same id.
fn digest(nested: &NestedSaga) -> String {
    let mut hash = Sha256::new();
    hash.update(nested.definition.0.as_bytes());
    hash.update(nested.input.as_str().as_bytes());
    format!("nested:{}", half_hex(&hash.finalize()))
}

/// The id of the saga that a branch is.
pub(crate) fn nested_id(parent: &SagaId, branch: &amends_core::StepId) -> Result<SagaId, String> {
    let text = format!("{parent}.{branch}");
    SagaId::new(&text).map_err(|why| format!("its id would be {text:?}, which {why}"))
}
