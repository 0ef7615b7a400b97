//! What goes over the wire: types of the API's own, filled from the core's by exhaustive matches,
//! so that a renamed state there cannot change the API unseen.

mod branch;
mod call;
mod definition;
mod exploration;
mod journal;
mod lock;
mod participant;
mod problem;
mod process;
mod request;
mod saga;
mod status;
mod step;
mod summary;
mod time;

pub use branch::{BranchView, BranchWord, EnlistedView};
pub use call::{Attempt, CallView, CallWord, ForwardWord, OpWord, OutcomeWord};
pub use definition::{
    DefinitionList, DefinitionRow, DefinitionStored, DefinitionView, ValidationView,
};
pub use exploration::{ExplorationView, ExploredCallView, FailureView, FailureWord, RunView};
pub use journal::{ActorView, JournalRecord, JournalView};
pub use lock::{
    LockHolderView, LockList, LockRow, LockView, LockWaiterView, SagaLockView, SagaLocksView,
};
pub use participant::{
    EndpointHealth, HealthView, ParticipantList, ParticipantView, participant_view,
};
pub use problem::{Fault, ProblemBody, SeverityWord};
pub use process::{Check, LiveView, LockMasterView, LocksCheck, ReadyView};
pub use request::{
    CommandBody, CompletionBody, CompletionWord, DefinitionChoice, ExtendBody, ResolveBody,
    RetryBody,
};
pub use saga::{DecisionWord, ModeWord, ParentView, SagaView};
pub use status::StatusWord;
pub use step::{KindWord, StepView, StepWord};
pub use summary::{CountsView, HintView, SagaList, SagaRow};
pub use time::Time;
