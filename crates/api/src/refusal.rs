//! What the engine's refusals and failures are on the wire. Exhaustive: a new variant there does
//! not compile until it has a code here.

use amends_core::definition;
use amends_core::saga::Refusal;
use amends_engine::{
    CommandError, CompleteError, EnlistError, RegistryError, ReleaseError, SubmitError,
};
use amends_ports::store;

use crate::wire::Fault;
use crate::{ErrorCode, Problem};

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) | store::Error::Outdated(_) => {
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
                let problem = Self::new(code_of(&refusal), detail).allowing(permitted);
                let is_other = matches!(refusal, Refusal::OtherCall { .. });
                if is_other { problem.at("/op") } else { problem }
            }
            CommandError::OwnerSilent(_) => Self::new(ErrorCode::OwnerUnreachable, detail),
            CommandError::Unavailable(error) => error.into(),
        }
    }
}

fn code_of(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Ended(_) => ErrorCode::SagaEnded,
        Refusal::Committed => ErrorCode::CommitDecided,
        Refusal::CommitRequested => ErrorCode::CommitRequested,
        Refusal::PivotUndecided(_) => ErrorCode::PivotUndecided,
        Refusal::UnknownStep(_) => ErrorCode::StepNotFound,
        Refusal::WrongStepState { .. } | Refusal::Stale => ErrorCode::WrongStepState,
        Refusal::OtherCall { .. } => ErrorCode::OtherCall,
        Refusal::NothingToRetry => ErrorCode::NothingToRetry,
        Refusal::WrongStatus { command, .. } if is_by_client(command) => ErrorCode::NotRunning,
        Refusal::WrongStatus { .. } => ErrorCode::WrongStatus,
        Refusal::Aborted(_) => ErrorCode::AbortDecided,
        Refusal::NotInteractive => ErrorCode::NotInteractive,
        Refusal::BranchMismatch(_) => ErrorCode::BranchMismatch,
        Refusal::TooManyBranches(_) => ErrorCode::TooManyBranches,
        Refusal::Nested(_) => ErrorCode::ParentDecides,
        Refusal::NoLock => ErrorCode::LockNotHeld,
    }
}

/// Whether a command is the client's of an interactive transaction, which must run for it.
fn is_by_client(command: &str) -> bool {
    ["enlist", "commit", "extend"].contains(&command)
}

/// The problem of a branch or check-back with faults, their places below `prefix`.
pub(crate) fn invalid_branch(faults: &[definition::Fault], prefix: &str) -> Problem {
    let first = faults.first().map(|fault| fault.detail.as_str()).unwrap_or_default();
    let what = if prefix.is_empty() { "the branch" } else { "the check-back" };
    let detail = format!("{what} has {} error(s); the first: {first}", faults.len());
    let faults = faults
        .iter()
        .map(Fault::from)
        .map(|fault| Fault { pointer: format!("{prefix}{}", fault.pointer), ..fault });
    Problem::new(ErrorCode::BranchInvalid, detail).listing(faults.collect())
}

impl From<EnlistError> for Problem {
    fn from(error: EnlistError) -> Self {
        match error {
            EnlistError::Faults(faults) => invalid_branch(&faults, ""),
            // The only steps that an enlistment names are those of `after`.
            EnlistError::Command(CommandError::Refused {
                refusal: Refusal::UnknownStep(id),
                ..
            }) => {
                let detail = format!("there is no branch {id} yet; enlist it first");
                let code = definition::FaultCode::UnknownStep;
                invalid_branch(&[definition::Fault::new("/after", code, detail)], "")
            }
            EnlistError::Command(error) => error.into(),
            EnlistError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ReleaseError> for Problem {
    fn from(error: ReleaseError) -> Self {
        let detail = error.to_string();
        match error {
            ReleaseError::UnknownLock(_) => Self::new(ErrorCode::LockNotFound, detail),
            ReleaseError::NotHeld(_) => Self::new(ErrorCode::LockNotHeld, detail),
            ReleaseError::Command(error) => error.into(),
            ReleaseError::Unavailable(error) => error.into(),
        }
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
