//! Steps of a saga.

use amends_core::definition::{Starts, StepKind};
use amends_core::saga::{CallState, Saga};
use amends_core::{Json, ParticipantName, StepId, StepIndex};
use serde::Serialize;
use utoipa::ToSchema;

use super::CallView;

/// Whether a step is one of a saga or of TCC.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepKind)]
pub enum KindWord {
    /// `action`, maybe with `compensation`.
    Saga,
    /// `try`, `confirm` and `cancel`.
    Tcc,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepStatus)]
pub enum StepWord {
    /// Nothing of it was sent.
    Waiting,
    /// Its client makes the forward call; what became of it, the decision will tell.
    WithClient,
    /// Its forward call is open.
    Running,
    /// Its forward call took effect.
    Succeeded,
    /// Its forward call will not be tried again.
    Failed,
    /// It is not run.
    Skipped,
    /// It failed, and that does not matter.
    Ignored,
    /// Its undo is open, or due.
    Undoing,
    /// It is undone.
    Undone,
    /// Its confirm is open.
    Confirming,
    /// It is confirmed.
    Confirmed,
    /// A call of it needs an operator.
    Stuck,
}

/// One step of a saga.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: StepId,
    /// Saga or TCC.
    pub kind: KindWord,
    /// Whom it calls.
    #[schema(value_type = String)]
    pub participant: ParticipantName,
    /// Where it stands.
    pub status: StepWord,
    /// Whether its success is the point of no return.
    pub pivot: bool,
    /// Whether its failure is ignored.
    pub optional: bool,
    /// Ids of the steps it comes after.
    #[schema(value_type = Vec<String>)]
    pub after: Vec<StepId>,
    /// What its forward call answered.
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Json>,
    /// The nested saga that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub child: Option<String>,
    /// Its calls of which anything was sent.
    pub calls: Vec<CallView>,
    /// Commands on it that are permitted now.
    #[schema(value_type = Vec<String>)]
    pub allowed: Vec<&'static str>,
}

impl StepView {
    pub(crate) fn of(saga: &Saga, index: StepIndex) -> Self {
        let definition = saga.definition();
        let (step, state) = (definition.step(index), saga.step(index));
        let after = definition.graph.after(index).iter();
        let forward = saga.forward_outcome(index);
        let ops = [
            // The client's own call is no call of ours.
            (step.starts != Starts::ByClient).then(|| step.forward_op()),
            step.confirm.as_ref().map(|_| amends_core::saga::Op::Confirm),
            step.undo.as_ref().map(|_| step.undo_op()),
        ];
        Self {
            id: step.id.clone(),
            kind: match step.kind {
                StepKind::Saga => KindWord::Saga,
                StepKind::Tcc => KindWord::Tcc,
            },
            participant: step.participant.clone(),
            status: StepWord::of(saga, index),
            pivot: step.pivot,
            optional: step.optional,
            after: after.map(|other| definition.step(*other).id.clone()).collect(),
            output: state.forward.output.clone(),
            child: step.nested.as_ref().map(|nested| nested.saga_id.as_str().to_owned()),
            calls: ops
                .into_iter()
                .flatten()
                .filter_map(|op| CallView::of(op, state.call(op), forward))
                .collect(),
            allowed: permitted(saga, index),
        }
    }
}

/// Nothing is permitted on steps of an ended saga; asking would only build refusals.
fn permitted(saga: &Saga, index: StepIndex) -> Vec<&'static str> {
    if saga.status().is_terminal() {
        return Vec::new();
    }
    saga.permitted_on(index).iter().map(amends_core::saga::Command::as_str).collect()
}

impl StepWord {
    fn of(saga: &Saga, index: StepIndex) -> Self {
        let (step, state) = (saga.definition().step(index), saga.step(index));
        if state.skipped.is_some() {
            return Self::Skipped;
        }
        let is_stuck = [&state.forward, &state.confirm, &state.undo]
            .iter()
            .any(|call| matches!(call.state, CallState::Stuck { .. }));
        if is_stuck {
            return Self::Stuck;
        }
        match (&state.undo.state, &state.confirm.state) {
            (CallState::Idle, CallState::Idle) => {}
            (CallState::Idle, CallState::Succeeded) => return Self::Confirmed,
            (CallState::Idle, _) => return Self::Confirming,
            (CallState::Succeeded, _) => return Self::Undone,
            (_, _) => return Self::Undoing,
        }
        let by_client = step.starts == Starts::ByClient;
        match state.forward.state {
            CallState::Idle if by_client => Self::WithClient,
            // The client may have called.
            CallState::GivenUp if by_client => Self::Undoing,
            CallState::Idle => Self::Waiting,
            CallState::InFlight
            | CallState::Pending { .. }
            | CallState::Failed
            | CallState::Waiting { .. } => Self::Running,
            CallState::Succeeded => Self::Succeeded,
            CallState::Refused | CallState::GivenUp if step.optional => Self::Ignored,
            CallState::Refused | CallState::GivenUp => Self::Failed,
            CallState::Stuck { .. } => Self::Stuck,
        }
    }
}
