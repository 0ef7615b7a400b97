//! One saga, whole.

use std::collections::BTreeMap;

use amends_core::definition::Mode;
use amends_core::saga::{Command, Decision, Parent};
use amends_core::{DefinitionName, Json, LockKey, SagaId, StepId};
use amends_engine::SagaDetail;
use amends_ports::store::SagaLock;
use serde::Serialize;
use utoipa::ToSchema;

use super::{SagaLocksView, StatusWord, StepView, Time};

/// The one decision of a saga.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Decision)]
pub enum DecisionWord {
    /// Go forward only.
    Commit,
    /// Undo what may have happened.
    Abort,
}

impl From<Decision> for DecisionWord {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Commit => Self::Commit,
            Decision::Abort => Self::Abort,
        }
    }
}

/// Where a saga's steps come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Mode)]
pub enum ModeWord {
    /// From its definition.
    Definition,
    /// From its client, who decides too.
    Interactive,
}

impl From<Mode> for ModeWord {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Definition => Self::Definition,
            Mode::Interactive => Self::Interactive,
        }
    }
}

/// The branch of another saga.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Parent)]
pub struct ParentView {
    /// The other saga, whose decision this one shares.
    pub saga: String,
    /// Its branch.
    pub branch: String,
}

impl From<&Parent> for ParentView {
    fn from(parent: &Parent) -> Self {
        let Parent { saga_id, branch } = parent;
        Self { saga: saga_id.as_str().to_owned(), branch: branch.as_str().to_owned() }
    }
}

/// One saga.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Saga)]
pub struct SagaView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: SagaId,
    /// Its definition's name.
    #[schema(value_type = String)]
    pub definition: DefinitionName,
    /// Its definition's version; null for an ad-hoc one.
    pub version: Option<u32>,
    /// Where its steps come from.
    pub mode: ModeWord,
    /// The branch that it is, if it is one.
    pub parent: Option<ParentView>,
    /// Where it stands.
    pub status: StatusWord,
    /// Whether nothing new starts.
    pub paused: bool,
    /// The decision, once it is taken.
    pub decision: Option<DecisionWord>,
    /// Why it stands where it stands; null while all goes well.
    pub reason: Option<String>,
    /// The step that it waits for an operator at, or that made it abort.
    #[schema(value_type = Option<String>)]
    pub step: Option<StepId>,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// Its lock keys, sorted.
    #[schema(value_type = Vec<String>)]
    pub lock_keys: Vec<LockKey>,
    /// Fencing tokens, one a lock key; empty before they are granted.
    pub tokens: Vec<u64>,
    /// Where it stands for its lock keys; null if it has none, or none any more.
    pub lock: Option<SagaLocksView>,
    /// The input.
    #[schema(value_type = serde_json::Value)]
    pub input: Json,
    /// What it completed with.
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Json>,
    /// When it was accepted.
    pub created_at: Time,
    /// When anything about it last changed.
    pub updated_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// After this time no forward step starts; an interactive transaction is rolled back.
    pub deadline_at: Option<Time>,
    /// Not before this time.
    pub start_at: Option<Time>,
    /// How many facts it is made of: grows with every change.
    pub seq: u64,
    /// Its steps, in the definition's order.
    pub steps: Vec<StepView>,
    /// Commands on the whole saga that are permitted now.
    #[schema(value_type = Vec<String>)]
    pub allowed: Vec<&'static str>,
    /// One sentence: why it is where it is and what happens next, and when.
    pub explanation: String,
}

impl SagaView {
    /// The saga, and where it stands for its lock keys.
    pub(crate) fn new(detail: &SagaDetail, places: Vec<SagaLock>) -> Self {
        let saga = &*detail.saga;
        let (definition, accepted) = (saga.definition(), saga.accepted());
        let step = saga.focus().map(|(index, _)| definition.step(index).id.clone());
        let explanation = amends_engine::explain(saga, &places);
        Self {
            id: saga.id().clone(),
            definition: accepted.definition_name.clone(),
            version: accepted.definition_version,
            mode: saga.mode().into(),
            parent: accepted.parent.as_ref().map(ParentView::from),
            status: saga.status().into(),
            paused: saga.is_paused(),
            decision: saga.decision().map(DecisionWord::from),
            reason: saga.standing_reason(),
            step,
            labels: accepted.labels.clone(),
            lock_keys: accepted.lock_keys.clone(),
            tokens: saga.tokens().into_iter().map(|(_, token)| token.0).collect(),
            lock: SagaLocksView::of(places),
            input: accepted.input.clone(),
            output: saga.output().cloned(),
            created_at: Time(saga.accepted_at()),
            updated_at: Time(detail.updated_at),
            ended_at: saga.ended_at().map(Time),
            deadline_at: saga.deadline_at().map(Time),
            start_at: accepted.start_at.map(Time),
            seq: saga.fact_count(),
            steps: definition.indices().map(|index| StepView::of(saga, index)).collect(),
            allowed: saga.permitted().iter().map(Command::as_str).collect(),
            explanation,
        }
    }
}
