//! What requests say, once it is read and checked. The fields describe the body for the OpenAPI
//! document too; they are read by hand (see `body`) so that every fault is reported with its
//! place.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_core::definition::Mode;
use amends_core::{DefinitionName, Json, LockKey, SagaId, StepId, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{BranchCallBody, ModeWord};

/// A request to start a saga.
#[derive(Debug, ToSchema)]
#[schema(as = StartRequest)]
pub struct SubmitBody {
    /// `interactive` begins a transaction whose client brings the branches and decides.
    #[schema(value_type = Option<ModeWord>)]
    pub mode: Mode,
    /// The name of a stored definition, or a whole definition (ad hoc); not with
    /// `mode: interactive`.
    #[schema(value_type = Option<serde_json::Value>)]
    pub definition: Option<DefinitionChoice>,
    /// A version of the stored definition; the newest without one.
    #[schema(minimum = 1)]
    pub version: Option<u32>,
    /// The caller's own id; one is made without it.
    #[schema(value_type = Option<String>, max_length = 128)]
    pub id: Option<SagaId>,
    /// The input; null without one.
    #[schema(value_type = Option<serde_json::Value>)]
    pub input: Json,
    /// Labels by which sagas are found; at most 32.
    pub labels: Option<BTreeMap<String, String>>,
    /// Not before this time.
    #[schema(value_type = Option<super::Time>)]
    pub start_at: Option<Timestamp>,
    /// Instead of the definition's deadline, counted from now. An interactive transaction that is
    /// not committed by then is rolled back: 1 s to 366 d, 1 minute without one.
    #[schema(value_type = Option<String>, example = "5m")]
    pub deadline: Option<Duration>,
    /// `mode: interactive` only: shown as the definition's name.
    #[schema(value_type = Option<String>, max_length = 128)]
    pub name: Option<DefinitionName>,
    /// `mode: interactive` only: keys that serialise transactions; at most 16 of 1 to 256 bytes.
    #[schema(value_type = Option<Vec<String>>, max_items = 16)]
    pub lock_keys: Vec<LockKey>,
    /// `mode: interactive` only: longest wait for the lock keys.
    #[schema(value_type = Option<String>, example = "5s")]
    pub lock_wait: Option<Duration>,
    /// `mode: interactive` only: how its client is asked whether it has committed, when the
    /// deadline passes without a word from it.
    #[schema(value_type = Option<PreparedBody>)]
    pub prepared: Option<Box<RawValue>>,
}

/// The answer 2xx: the client's own transaction was committed, so commit. 404, 409 or 410: it was
/// not, and never will be, so roll back. Anything else is asked again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CheckBack)]
pub struct PreparedBody {
    /// Who is asked.
    pub participant: String,
    /// The question; `GET` where it does not say.
    #[serde(flatten)]
    pub call: BranchCallBody,
}

/// More time for an interactive transaction.
#[derive(Debug, ToSchema)]
#[schema(as = ExtendRequest)]
pub struct ExtendBody {
    /// The new deadline, counted from now: 1 s to 366 d.
    #[schema(value_type = String, example = "30s")]
    pub deadline: Duration,
    /// Why, for the journal; at most 1,024 characters.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
}

/// Which definition a start request runs.
#[derive(Debug)]
pub enum DefinitionChoice {
    /// A stored one.
    Named(DefinitionName),
    /// One that stands in the request, not yet looked at.
    AdHoc(Box<RawValue>),
}

/// A command.
#[derive(Debug, Default, ToSchema)]
#[schema(as = CommandRequest)]
pub struct CommandBody {
    /// Why, for the journal; at most 1,024 characters.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
}

/// A command to retry.
#[derive(Debug, Default, ToSchema)]
#[schema(as = RetryRequest)]
pub struct RetryBody {
    /// Which step; every one that waits or is stuck, without it.
    #[schema(value_type = Option<String>)]
    pub step: Option<StepId>,
    /// Why, for the journal; at most 1,024 characters.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
}

/// What became of a call, as an operator found out.
#[derive(Debug, Default, ToSchema)]
#[schema(as = ResolveRequest)]
pub struct ResolveBody {
    /// Why, for the journal; at most 1,024 characters.
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
    /// The step's output (`resolve-succeeded` only).
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Json>,
}

/// The later answer to a pending call, when it is more than a success with an output.
#[derive(Debug, ToSchema)]
#[schema(as = Completion)]
pub struct CompletionBody {
    /// What became of the call.
    pub outcome: CompletionWord,
    /// The step's output, on success.
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Json>,
    /// Why it did not succeed; at most 2,048 bytes are kept.
    pub detail: Option<String>,
}

/// What became of a pending call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CompletionOutcome)]
pub enum CompletionWord {
    /// It took effect.
    Succeeded,
    /// It had no effect, and will have none.
    Refused,
    /// It had no effect; try again.
    Retryable,
}
