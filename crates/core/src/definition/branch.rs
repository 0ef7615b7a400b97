//! Branches: the steps of an interactive transaction, which its client adds one by one.
//!
//! A branch says what is called once the transaction is decided. Its texts are taken as they stand:
//! whoever enlists it knows every value, so there are no expressions in it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Completion, Definition, Digest, Graph, Operation, OutcomeOverride, Starts, Step, StepKind,
};
use crate::expression::{PathTemplate, Template};
use crate::saga::{Op, OutcomeKind};
use crate::{DefinitionName, Json, ParticipantName, RetryPolicy, SagaId, StepId, StepIndex};

/// Time between two looks at a nested saga.
const NESTED_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for a nested saga: until its parent's deadline or an operator ends it.
const NESTED_MAX: Duration = Duration::from_hours(24 * 3660);

/// One branch, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its name, unique in its transaction.
    pub id: StepId,
    /// The branches that it comes after, if its client says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<StepId>>,
    /// What it is made of.
    pub work: BranchWork,
}

/// What a branch is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BranchWork {
    /// The client makes the call; an abort undoes it.
    Compensation {
        /// Whom the undo calls.
        participant: ParticipantName,
        /// The undo.
        compensation: BranchCall,
    },
    /// The client makes the `try` call; the decision confirms or cancels it.
    Tcc {
        /// Whom both call.
        participant: ParticipantName,
        /// After the commit decision.
        confirm: BranchCall,
        /// After the abort decision.
        cancel: BranchCall,
    },
    /// Sent once commit is decided, until it succeeds.
    Message {
        /// Whom it is for.
        participant: ParticipantName,
        /// The call.
        action: BranchCall,
    },
    /// A saga of its own, decided together with this transaction.
    Saga(NestedSaga),
}

/// One call of a branch; everything in it is sent as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchCall {
    /// HTTP method, upper case.
    pub method: String,
    /// Path below the participant's base URL, maybe with a query.
    pub path: String,
    /// The body, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// Further headers, names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Time for one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
}

/// The saga that a branch is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NestedSaga {
    /// Its id, made of its parent's and the branch's.
    pub saga_id: SagaId,
    /// Identity of its definition's content.
    pub definition: Digest,
    /// Its definition's name.
    pub definition_name: DefinitionName,
    /// Its definition's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_version: Option<u32>,
    /// Its input.
    pub input: Json,
}

/// How the client is asked whether it has committed, when it falls silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckBack {
    /// Who is asked.
    pub participant: ParticipantName,
    /// The question.
    pub call: BranchCall,
}

impl CheckBack {
    /// The name of the step that it becomes.
    pub const STEP: &'static str = "prepared";

    /// Statuses that say "no, it was rolled back". Any other refusal may be a fault on the way to
    /// the client, and must not undo what it has committed.
    const NO: [u16; 3] = [404, 409, 410];

    fn step(&self, id: StepId) -> Step {
        // All of them, so that what the participant's registration says of a status does not count.
        let outcome = |status: u16| {
            if Self::NO.contains(&status) { OutcomeKind::Refused } else { OutcomeKind::Retryable }
        };
        let outcomes =
            (400..500).map(|status| OutcomeOverride { status, outcome: outcome(status) }).collect();
        Step {
            pivot: true,
            starts: Starts::WhenSilent,
            outcomes,
            ..step(id, StepKind::Saga, self.participant.clone(), self.call.operation())
        }
    }
}

impl BranchCall {
    fn operation(&self) -> Operation {
        Operation {
            method: self.method.clone(),
            path: PathTemplate::literal(&self.path),
            body: self.body.as_ref().map(Template::literal),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), Template::literal_text(value)))
                .collect(),
            timeout: self.timeout,
            retry: self.retry,
        }
    }
}

impl Branch {
    /// Most branches of one transaction.
    pub const COUNT_MAX: usize = super::read::STEPS_MAX;

    /// Whom its operations call; none for a nested saga.
    pub const fn participant(&self) -> Option<&ParticipantName> {
        match &self.work {
            BranchWork::Compensation { participant, .. }
            | BranchWork::Tcc { participant, .. }
            | BranchWork::Message { participant, .. } => Some(participant),
            BranchWork::Saga(_) => None,
        }
    }

    /// The operation that its client calls itself, if it does.
    pub const fn client_op(&self) -> Option<Op> {
        match &self.work {
            BranchWork::Compensation { .. } => Some(Op::Action),
            BranchWork::Tcc { .. } => Some(Op::Try),
            BranchWork::Message { .. } | BranchWork::Saga(_) => None,
        }
    }

    fn step(&self) -> Step {
        let id = self.id.clone();
        let by_client = || BranchCall::nowhere().operation();
        match &self.work {
            BranchWork::Compensation { participant, compensation } => Step {
                undo: Some(compensation.operation()),
                starts: Starts::ByClient,
                ..step(id, StepKind::Saga, participant.clone(), by_client())
            },
            BranchWork::Tcc { participant, confirm, cancel } => Step {
                undo: Some(cancel.operation()),
                confirm: Some(confirm.operation()),
                starts: Starts::ByClient,
                ..step(id, StepKind::Tcc, participant.clone(), by_client())
            },
            BranchWork::Message { participant, action } => Step {
                starts: Starts::AfterCommit,
                ..step(id, StepKind::Saga, participant.clone(), action.operation())
            },
            BranchWork::Saga(nested) => {
                let operation =
                    || Operation { timeout: Some(NESTED_MAX), ..BranchCall::nowhere().operation() };
                Step {
                    undo: Some(operation()),
                    confirm: Some(operation()),
                    undo_refused: true,
                    completion: Completion::Poll { interval: NESTED_EVERY },
                    nested: Some(nested.clone()),
                    ..step(id, StepKind::Tcc, ParticipantName::own(), operation())
                }
            }
        }
    }

    /// Whether it must be undone before what its client enlisted earlier, as far as that has a
    /// compensation too.
    const fn is_ordered(&self) -> bool {
        matches!(self.work, BranchWork::Compensation { .. })
    }
}

impl BranchCall {
    /// The call of a step that is not called over the network by us.
    fn nowhere() -> Self {
        Self {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body: None,
            headers: Vec::new(),
            timeout: None,
            retry: None,
        }
    }
}

fn step(id: StepId, kind: StepKind, participant: ParticipantName, forward: Operation) -> Step {
    Step {
        id,
        kind,
        participant,
        forward,
        undo: None,
        confirm: None,
        when: None,
        optional: false,
        pivot: false,
        undo_refused: false,
        completion: Completion::Answer,
        outcomes: Vec::new(),
        starts: Starts::InOrder,
        nested: None,
    }
}

impl Definition {
    /// This definition with the question after its client's own transaction.
    #[must_use]
    pub fn with_check_back(&self, check_back: &CheckBack) -> Self {
        match StepId::new(CheckBack::STEP) {
            Ok(id) => self.with_step(check_back.step(id), Vec::new()),
            Err(_) => self.clone(),
        }
    }

    /// This definition with one branch more.
    #[must_use]
    pub fn with_branch(&self, branch: &Branch) -> Self {
        let after = match &branch.after {
            Some(ids) => ids.iter().filter_map(|id| self.index_of(id.as_str())).collect(),
            None if branch.is_ordered() => self.last_compensations(),
            None => Vec::new(),
        };
        self.with_step(branch.step(), after)
    }

    /// The branches with a compensation that no other one comes after: whoever comes after these
    /// comes after all of them.
    fn last_compensations(&self) -> Vec<StepIndex> {
        let ordered: Vec<StepIndex> = self
            .indices()
            .filter(|index| {
                let step = self.step(*index);
                step.starts == Starts::ByClient && step.kind == StepKind::Saga
            })
            .collect();
        let is_last =
            |index: &StepIndex| !ordered.iter().any(|other| self.graph.is_before(*index, *other));
        ordered.iter().copied().filter(is_last).collect()
    }

    fn with_step(&self, step: Step, after: Vec<StepIndex>) -> Self {
        let mut order: Vec<Vec<StepIndex>> =
            self.indices().map(|index| self.graph.after(index).to_vec()).collect();
        order.push(after);
        let mut steps = self.steps.clone();
        steps.push(Arc::new(step));
        let pivots: Vec<StepIndex> = (0_u16..)
            .zip(&steps)
            .filter(|(_, step)| step.pivot)
            .map(|(n, _)| StepIndex(n))
            .collect();
        // A step only comes after steps that were there before it, so there is no cycle.
        let graph = Graph::new(order, &pivots).unwrap_or_else(|_| self.graph.clone());
        Self { steps, graph, ..self.clone() }
    }
}
