//! Branches of interactive transactions.

use amends_core::definition::{Branch, BranchWork};
use serde::Serialize;
use utoipa::ToSchema;

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
