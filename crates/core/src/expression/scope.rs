//! What expressions see.

use std::collections::BTreeMap;

use crate::saga::ForwardOutcome;
use crate::{Json, SagaId};

/// What expressions see: `input`, `steps.ID.output`, `steps.ID.status`, `saga.id`,
/// `saga.labels`, `step.key` and, in an undo, `forward.outcome` and `forward.output`.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// `saga.id`.
    pub saga_id: &'a SagaId,
    /// `saga.labels`.
    pub labels: &'a BTreeMap<String, String>,
    /// `input`.
    pub input: &'a Json,
    /// `steps`: those that are over, in any order.
    pub steps: Vec<ScopeStep<'a>>,
    /// `step.key`: the idempotency key of the call that is made; none outside of calls.
    pub step_key: Option<String>,
    /// `forward`; present in an undo only.
    pub forward: Option<ScopeForward<'a>>,
}

/// One step as expressions see it.
#[derive(Clone, Copy, Debug)]
pub struct ScopeStep<'a> {
    /// Its id.
    pub id: &'a str,
    /// `steps.ID.status`, such as `succeeded` or `skipped`.
    pub status: &'static str,
    /// `steps.ID.output`; none when the step gave none.
    pub output: Option<&'a Json>,
}

/// The forward call, as its undo sees it.
#[derive(Clone, Copy, Debug)]
pub struct ScopeForward<'a> {
    /// `forward.outcome`.
    pub outcome: ForwardOutcome,
    /// `forward.output`; none when it is not known.
    pub output: Option<&'a Json>,
}

impl<'a> Scope<'a> {
    /// The step named `id`, if it is over.
    pub(super) fn step(&self, id: &str) -> Option<&ScopeStep<'a>> {
        self.steps.iter().find(|step| step.id == id)
    }
}
