//! Branches of interactive transactions.

use std::collections::BTreeMap;

use amends_core::CallKey;
use amends_core::definition::{Branch, BranchWork};
use amends_core::participant::{fencing_token_header, lock_keys_header};
use amends_engine::Enlisted;
use serde::Serialize;
use utoipa::ToSchema;

/// A branch that was enlisted, now or before.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Branch)]
pub struct EnlistedView {
    /// The transaction.
    pub saga: String,
    /// The branch.
    pub branch: String,
    /// What the client sends with its own call, so that the participant's barrier knows it; absent
    /// where the client calls nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub headers: Option<BTreeMap<&'static str, String>>,
    /// The nested saga's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub child: Option<String>,
}

impl EnlistedView {
    /// The branch `id`; none if the transaction has no such branch.
    pub(crate) fn of(enlisted: &Enlisted, id: &amends_core::StepId) -> Option<Self> {
        let saga = &enlisted.detail.saga;
        let branch = saga.branches().iter().find(|branch| branch.id == *id)?;
        let child = match &branch.work {
            BranchWork::Saga(nested) => Some(nested.saga_id.as_str().to_owned()),
            BranchWork::Compensation { .. }
            | BranchWork::Tcc { .. }
            | BranchWork::Message { .. } => None,
        };
        let headers = branch.client_op().map(|op| {
            let key = CallKey { saga_id: saga.id().clone(), step_id: id.clone(), op };
            let mut headers = BTreeMap::from([
                ("Idempotency-Key", format!("\"{key}\"")),
                ("Saga-Id", key.saga_id.as_str().to_owned()),
                ("Saga-Step", id.as_str().to_owned()),
                ("Saga-Operation", op.as_str().to_owned()),
            ]);
            let tokens = saga.tokens();
            if !tokens.is_empty() {
                headers.insert("Saga-Fencing-Token", fencing_token_header(&tokens));
                headers.insert("Saga-Lock-Keys", lock_keys_header(&tokens));
            }
            let trace = saga.accepted().traceparent.clone();
            headers.extend(trace.map(|trace| ("traceparent", trace)));
            headers
        });
        Some(Self {
            saga: saga.id().as_str().to_owned(),
            branch: id.as_str().to_owned(),
            headers,
            child,
        })
    }
}

/// What a branch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BranchKind)]
pub enum BranchWord {
    /// The client calls; `compensation` undoes it.
    Compensation,
    /// The client calls `try`; `confirm` or `cancel` follows the decision.
    Tcc,
    /// Sent once commit is decided.
    Message,
    /// A saga of its own.
    Saga,
}

/// A branch, as the journal shows it: without bodies and headers, which may hold secrets.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EnlistedBranch)]
pub struct BranchView {
    /// What it is made of.
    pub kind: BranchWord,
    /// Whom it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The branches that it comes after, if its client said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// The saga that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
}

impl From<Branch> for BranchView {
    fn from(branch: Branch) -> Self {
        let participant = branch.participant().map(|name| name.as_str().to_owned());
        let (kind, child) = match branch.work {
            BranchWork::Compensation { .. } => (BranchWord::Compensation, None),
            BranchWork::Tcc { .. } => (BranchWord::Tcc, None),
            BranchWork::Message { .. } => (BranchWord::Message, None),
            BranchWork::Saga(nested) => (BranchWord::Saga, Some(nested.saga_id.into())),
        };
        let after = branch.after.map(|ids| ids.into_iter().map(String::from).collect());
        Self { kind, participant, after, child }
    }
}
