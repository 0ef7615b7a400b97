//! The request of a call: made from the definition and what the saga knows, the same each time.

use super::{CallId, CallState, Op, Saga};
use crate::expression::{ExpressionError, Scope, ScopeForward, ScopeStep};
use crate::{Json, StepIndex};

/// What one call sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Path and query, below the participant's base URL.
    pub path: String,
    /// Further headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<Json>,
}

/// Why a request cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// An expression of the definition failed.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The step has no such operation.
    #[error("the step has no such operation")]
    NoOperation,
}

impl Saga {
    /// What a call sends. The same for every attempt: it depends on the input, on the steps that
    /// the step comes after, and, for an undo, on what became of its forward call.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub fn request(&self, call: CallId) -> Result<Request, RequestError> {
        let CallId { step: index, op } = call;
        let step = self.definition.step(index);
        let operation = step.operation(op).ok_or(RequestError::NoOperation)?;
        let scope = self.scope(Some((index, op)));
        let body = match &operation.body {
            Some(body) => Some(body.render(&scope)?),
            None if op.is_undo() => {
                let forward = self.scope(Some((index, step.forward_op())));
                step.forward.body.as_ref().map(|body| body.render(&forward)).transpose()?
            }
            None => None,
        };
        let headers = operation
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.render_header(&scope)?)))
            .collect::<Result<_, ExpressionError>>()?;
        let path = operation.path.render(&scope)?;
        Ok(Request { method: operation.method.clone(), path, headers, body })
    }

    /// Whether a step's `when` holds.
    pub(super) fn condition(&self, index: StepIndex) -> Result<bool, ExpressionError> {
        let when = self.definition.step(index).when.as_ref();
        let Some(condition) = when.filter(|_| !self.assumes_conditions) else {
            return Ok(true);
        };
        condition.eval(&self.scope(Some((index, self.definition.step(index).forward_op()))))
    }

    /// What the completed saga answers with.
    pub(super) fn render_output(&self) -> Result<Option<Json>, ExpressionError> {
        self.definition.output.as_ref().map(|output| output.render(&self.scope(None))).transpose()
    }

    /// What an expression sees: for a call, the steps that its step comes after (and the step
    /// itself, once its forward call is over); for the output, all steps.
    fn scope(&self, call: Option<(StepIndex, Op)>) -> Scope<'_> {
        let is_visible = |other: StepIndex| match call {
            None => true,
            Some((index, op)) => {
                self.definition.graph.is_before(other, index)
                    || (other == index && !op.is_forward())
            }
        };
        let steps = self.definition.indices().filter(|other| is_visible(*other)).map(|other| {
            let state = self.step(other);
            ScopeStep {
                id: self.definition.step(other).id.as_str(),
                status: match (&state.skipped, &state.forward.state) {
                    (Some(_), _) => "skipped",
                    (None, CallState::Succeeded) => "succeeded",
                    (None, _) => "failed",
                },
                output: state.forward.output.as_ref(),
            }
        });
        let forward = call.filter(|(_, op)| op.is_undo()).map(|(index, _)| ScopeForward {
            outcome: self.forward_outcome(index),
            output: self.step(index).forward.output.as_ref(),
        });
        Scope {
            saga_id: &self.accepted.saga_id,
            labels: &self.accepted.labels,
            input: &self.accepted.input,
            steps: steps.collect(),
            step_key: call.map(|(index, op)| self.call_key(index, op).text()),
            forward,
        }
    }
}
