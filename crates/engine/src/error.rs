//! How the engine refuses and fails: each variant says what has happened and what may be done.

use amends_core::definition::Violation;
use amends_core::saga::Refusal;
use amends_core::{DefinitionName, ParticipantName, SagaId, StepId};
use amends_ports::store;

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting does not fit.
    #[error(transparent)]
    Config(#[from] super::ConfigError),
    /// The store failed.
    #[error("the store could not be read at start")]
    Store(#[from] store::Error),
}

/// Why a submission was not accepted. Nothing was stored, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// No such definition or version.
    #[error("there is no definition {name}{}", .version.map_or(String::new(), |v| format!(" version {v}")))]
    UnknownDefinition {
        /// The name given.
        name: DefinitionName,
        /// The version given.
        version: Option<u32>,
    },
    /// The input does not fit the definition's schema.
    #[error("the input does not fit the definition's input_schema in {} place(s)", .0.len())]
    Input(Vec<Violation>),
    /// A lock key could not be made from the input.
    #[error("lock key {index} could not be made: {detail}")]
    LockKey {
        /// Which of `lock.keys`, from 0.
        index: usize,
        /// Why.
        detail: String,
    },
    /// There is a saga with the same id or idempotency key, made by another request.
    #[error("saga {0} was made with this id or idempotency key by a request with other content")]
    Mismatch(SagaId),
    /// The coordinator is shutting down; another one, or the next one, will take it.
    #[error("the coordinator is draining and accepts nothing new")]
    Draining,
    /// As many sagas as allowed are in flight, or the journal's queue is full.
    #[error("the coordinator is at its bound of {bound} ({name})")]
    Overloaded {
        /// The bound's name, as the configuration spells it.
        name: &'static str,
        /// Its value.
        bound: usize,
    },
    /// The store is away.
    #[error("the store is not available")]
    Unavailable(#[source] store::Error),
    /// The answer to the commit was lost and the saga is not (yet) to be seen: submit again with
    /// the same id or idempotency key.
    #[error("it is not known whether the saga was stored")]
    OutcomeUnknown,
}

/// Why a command was not carried out. Nothing was changed, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such saga.
    #[error("saga {0} does not exist")]
    UnknownSaga(SagaId),
    /// The state machine refuses it; these commands it would take (`step/command` or `command`).
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// What is permitted now.
        permitted: Vec<String>,
    },
    /// The owner of the saga did not answer in time; the command is in its inbox and may still be
    /// carried out. Repeating it is harmless.
    #[error("the coordinator that drives saga {0} did not answer in time")]
    OwnerSilent(SagaId),
    /// The store is away, or the answer to the commit was lost. Repeating it is harmless.
    #[error("the store is not available")]
    Unavailable(#[source] store::Error),
}

/// Why a completion was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The URL is not one that was handed out.
    #[error("there is no such callback")]
    UnknownCallback,
    /// The call is not pending (any more): it was completed already, or the time for it is over.
    #[error("step {0} does not wait for a completion (any more)")]
    Late(StepId),
    /// The owner of the saga did not answer in time; repeat it.
    #[error("the coordinator that drives saga {0} did not answer in time")]
    OwnerSilent(SagaId),
    /// The store is away; repeat it.
    #[error("the store is not available")]
    Unavailable(#[source] store::Error),
}

/// Why a registration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such participant.
    #[error("participant {0} is not registered")]
    UnknownParticipant(ParticipantName),
    /// Definitions name it, and force was not asked for.
    #[error("participant {name} is named by {} definition(s)", .definitions.len())]
    InUse {
        /// The participant.
        name: ParticipantName,
        /// Some of the definitions.
        definitions: Vec<DefinitionName>,
    },
    /// Somebody else changed it meanwhile.
    #[error("the stored revision is {stored}")]
    RevisionMismatch {
        /// The stored revision; 0 if there is none.
        stored: u64,
    },
    /// The store is away.
    #[error("the store is not available")]
    Unavailable(#[from] store::Error),
}
