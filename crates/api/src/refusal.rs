//! What the engine's refusals and failures are on the wire. Exhaustive: a new variant there does
//! not compile until it has a code here.

use amends_core::saga::Refusal;
use amends_engine::{CommandError, CompleteError, RegistryError, SubmitError};
use amends_ports::store;

use crate::wire::Fault;
use crate::{ErrorCode, Problem};

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) => {
                Self::new(ErrorCode::StoreUnavailable, error.to_string()).caused_by(error)
            }
            store::Error::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::UnknownDefinition { .. } => {
                Self::new(ErrorCode::DefinitionNotFound, detail).at("/definition")
            }
            SubmitError::Input(violations) => {
                let faults = violations.iter().map(Fault::of_input).collect();
                Self::new(ErrorCode::InputInvalid, detail).listing(faults)
            }
            SubmitError::LockKey { .. } => {
                Self::new(ErrorCode::LockKeyInvalid, detail).at("/input")
            }
            SubmitError::Mismatch(_) => Self::new(ErrorCode::IdempotencyMismatch, detail),
            SubmitError::Draining => Self::new(ErrorCode::Draining, detail),
            SubmitError::Overloaded { .. } => Self::new(ErrorCode::Overloaded, detail),
            SubmitError::Unavailable(error) => error.into(),
            SubmitError::OutcomeUnknown => Self::new(ErrorCode::OutcomeUnknown, detail),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::UnknownSaga(_) => Self::new(ErrorCode::SagaNotFound, detail),
            CommandError::Refused { refusal, permitted } => {
                Self::new(code_of(&refusal), detail).allowing(permitted)
            }
            CommandError::OwnerSilent(_) => Self::new(ErrorCode::OwnerUnreachable, detail),
            CommandError::Unavailable(error) => error.into(),
        }
    }
}

const fn code_of(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Ended(_) => ErrorCode::SagaEnded,
        Refusal::Committed => ErrorCode::CommitDecided,
        Refusal::PivotUndecided(_) => ErrorCode::PivotUndecided,
        Refusal::UnknownStep(_) => ErrorCode::StepNotFound,
        Refusal::WrongStepState { .. } | Refusal::Stale => ErrorCode::WrongStepState,
        Refusal::NothingToRetry => ErrorCode::NothingToRetry,
        Refusal::WrongStatus { .. } => ErrorCode::WrongStatus,
    }
}

impl From<CompleteError> for Problem {
    fn from(error: CompleteError) -> Self {
        let detail = error.to_string();
        match error {
            CompleteError::UnknownCallback => Self::new(ErrorCode::CallbackNotFound, detail),
            CompleteError::Late(_) => Self::new(ErrorCode::CallbackLate, detail),
            CompleteError::OwnerSilent(_) => Self::new(ErrorCode::OwnerUnreachable, detail),
            CompleteError::Unavailable(error) => error.into(),
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let detail = error.to_string();
        match error {
            RegistryError::UnknownParticipant(_) => {
                Self::new(ErrorCode::ParticipantNotFound, detail)
            }
            RegistryError::InUse { definitions, .. } => {
                let names: Vec<String> =
                    definitions.iter().map(|name| name.as_str().to_owned()).collect();
                let detail = format!("{detail}: {}", names.join(", "));
                Self::new(ErrorCode::ParticipantInUse, detail).naming(names)
            }
            RegistryError::RevisionMismatch { .. } => {
                Self::new(ErrorCode::RevisionMismatch, detail)
            }
            RegistryError::Unavailable(error) => error.into(),
        }
    }
}
