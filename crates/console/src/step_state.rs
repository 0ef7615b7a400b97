//! Where a step and each of its calls stand, in the words of the REST API.

use amends_core::StepIndex;
use amends_core::definition::{Starts, Step, StepKind};
use amends_core::saga::{Call, CallState, Decision, Op, Saga};

use crate::look::Look;

/// Where one step stands as a whole.
pub(crate) fn of_step(saga: &Saga, index: StepIndex) -> Look {
    let (step, state) = (saga.definition().step(index), saga.step(index));
    let is_stuck = |call: &Call| matches!(call.state, CallState::Stuck { .. });
    if state.skipped.is_some() {
        return Look::new("off", "skip", "skipped");
    }
    if is_stuck(&state.forward) || is_stuck(&state.confirm) || is_stuck(&state.undo) {
        return Look::new("bad", "alert", "stuck");
    }
    if state.undo.state == CallState::Succeeded {
        return Look::new("off", "undo", "undone");
    }
    if state.undo.state != CallState::Idle {
        return Look::new("undo", "undo", "undoing");
    }
    if state.confirm.state == CallState::Succeeded {
        return Look::new("good", "confirm", "confirmed");
    }
    if state.confirm.state != CallState::Idle {
        return Look::new("confirm", "confirm", "confirming");
    }
    let is_open = saga.decision().is_none();
    match state.forward.state {
        CallState::Idle if step.starts == Starts::ByClient && is_open => with_client(),
        CallState::GivenUp if step.starts == Starts::ByClient => {
            Look::new("undo", "undo", "to be undone")
        }
        CallState::Idle if step.starts == Starts::AfterCommit && is_open => {
            Look::new("idle", "clock", "after the commit")
        }
        CallState::Idle if step.starts == Starts::WhenSilent && is_open => {
            Look::new("idle", "dot", "not asked")
        }
        CallState::Idle if saga.status().is_terminal() => Look::new("off", "dot", "not run"),
        CallState::Idle if saga.decision() == Some(Decision::Abort) => {
            Look::new("off", "dot", "not run")
        }
        CallState::Idle => Look::new("idle", "clock", "waiting"),
        CallState::InFlight | CallState::Pending { .. } => Look::new("active", "run", "running"),
        CallState::Failed | CallState::Waiting { .. } => Look::new("warn", "retry", "retrying"),
        CallState::Succeeded => Look::new("good", "check", "succeeded"),
        CallState::Refused | CallState::GivenUp if step.optional => {
            Look::new("off", "skip", "ignored")
        }
        CallState::Refused | CallState::GivenUp => Look::new("bad", "cross", "failed"),
        CallState::Stuck { .. } => Look::new("bad", "alert", "stuck"),
    }
}

const fn with_client() -> Look {
    Look::new("active", "person", "with client")
}

/// Where one call of a step stands.
pub(crate) fn of_call(step: &Step, op: Op, state: &CallState) -> Look {
    let by_client = op.is_forward() && step.starts == Starts::ByClient;
    match state {
        CallState::Idle if by_client => with_client(),
        CallState::GivenUp if by_client => Look::new("warn", "question", "outcome unknown"),
        CallState::Idle => Look::new("idle", "dot", "not called"),
        CallState::InFlight => Look::of_open_attempt(op),
        CallState::Pending { .. } => Look::new("active", "clock", "accepted, to be completed"),
        CallState::Failed | CallState::Waiting { .. } => {
            Look::new("warn", "retry", "waits for a retry")
        }
        CallState::Succeeded => Look::new("good", "check", "succeeded"),
        CallState::Refused => Look::new("bad", "cross", "refused"),
        CallState::GivenUp => Look::new("bad", "question", "given up"),
        CallState::Stuck { .. } => Look::new("bad", "alert", "stuck"),
    }
}

/// The operations that a step has, forward first.
pub(crate) fn operations(saga: &Saga, index: StepIndex) -> Vec<Op> {
    let step = saga.definition().step(index);
    let confirm = (step.kind == StepKind::Tcc).then_some(Op::Confirm);
    let undo = step.undo.as_ref().map(|_| step.undo_op());
    [Some(step.forward_op()), confirm, undo].into_iter().flatten().collect()
}
