//! What is particular to interactive transactions, whose client brings the steps and decides, and
//! to nested sagas, whose parent decides.

use std::sync::Arc;

use super::{CallState, Decision, Event, Handled, Op, Refusal, Saga, SkipReason, StepState};
use crate::definition::{Branch, Mode, Starts};
use crate::{StepIndex, Timestamp};

impl Saga {
    /// Where its steps come from.
    pub fn mode(&self) -> Mode {
        self.definition.mode
    }

    /// The branches of an interactive transaction, in the order in which they were enlisted.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// Whether its decision is somebody else's: it commits only when asked to.
    pub(super) fn is_decided_from_outside(&self) -> bool {
        self.mode() == Mode::Interactive || self.accepted.parent.is_some()
    }

    /// Whether it is an interactive transaction that runs and whose client has the next word.
    pub fn waits_for_client(&self) -> bool {
        self.mode() == Mode::Interactive
            && self.started
            && self.end.is_none()
            && self.decision.is_none()
            && !self.commit_requested
            && !self.deadline_passed
            && !self.waits_for_lock()
    }

    /// Whether it is a nested saga that has done its part and waits for its parent: from now on
    /// only the parent decides.
    pub fn is_prepared(&self) -> bool {
        self.accepted.parent.is_some()
            && self.started
            && self.decision.is_none()
            && self.mode() == Mode::Definition
            && self.definition.indices().all(|step| self.is_done(step))
    }

    /// Whether somebody outside said that it commits, by a request or when asked: nobody can take
    /// that back.
    pub(super) fn is_commit_promised(&self) -> bool {
        let said_yes = |step| self.step(step).forward.state == CallState::Succeeded;
        self.commit_requested || self.check_back().is_some_and(said_yes)
    }

    /// Whether commit can be decided where somebody outside decides: they said so, and everything
    /// that the engine does before the decision is done.
    pub(super) fn is_commit_wanted(&self) -> bool {
        self.is_commit_promised()
            && self.definition.indices().all(|index| match self.definition.step(index).starts {
                Starts::InOrder => self.is_done(index),
                Starts::ByClient | Starts::AfterCommit | Starts::WhenSilent => true,
            })
    }

    /// Whether the client's own transaction counts, and not its silence: the deadline does not
    /// abort what may be committed there, unless the client said that it is not.
    pub(super) fn hangs_on_client(&self) -> bool {
        let said_no = |step| self.step(step).forward.state == CallState::Refused;
        self.started && self.check_back().is_some_and(|step| !said_no(step))
    }

    pub(super) fn check_back(&self) -> Option<StepIndex> {
        self.definition
            .indices()
            .find(|index| self.definition.step(*index).starts == Starts::WhenSilent)
    }

    /// Whether a step's own rule lets it start, besides the order of steps.
    pub(super) fn is_its_turn(&self, step: StepIndex) -> bool {
        match self.definition.step(step).starts {
            Starts::InOrder => true,
            Starts::ByClient => false,
            Starts::AfterCommit => self.decision == Some(Decision::Commit),
            Starts::WhenSilent => {
                self.deadline_passed && self.decision.is_none() && !self.commit_requested
            }
        }
    }

    /// Takes a branch in.
    pub(super) fn enlisted(&mut self, branch: &Branch) {
        self.definition = Arc::new(self.definition.with_branch(branch));
        self.branches.push(branch.clone());
        self.steps.push(StepState::default());
    }

    /// With the decision it is over with what the client calls and is asked: by a commit it says
    /// that its calls took effect; otherwise nobody knows.
    pub(super) fn settle_client_calls(&mut self, decision: Decision) {
        for (state, step) in self.steps.iter_mut().zip(&self.definition.steps) {
            match (step.starts, decision) {
                (Starts::ByClient, Decision::Commit) => state.forward.state = CallState::Succeeded,
                (Starts::ByClient, Decision::Abort) => {
                    state.forward.state = CallState::GivenUp;
                    state.forward.maybe_effect = true;
                }
                (Starts::InOrder | Starts::AfterCommit | Starts::WhenSilent, _) => {}
            }
        }
        self.drop_question();
    }

    /// What a silent client is asked is known, so nobody waits for the answer any more.
    pub(super) fn drop_question(&mut self) {
        let Some(step) = self.check_back() else { return };
        let state = &mut self.steps[step.get()];
        if !matches!(state.forward.state, CallState::Succeeded | CallState::Refused) {
            state.forward.state = CallState::Idle;
            state.skipped = Some(SkipReason::Decided);
        }
    }

    /// Whether a branch may be added now, or stands there already.
    pub(super) fn permits_enlist(&self, branch: &Branch) -> Result<(), Refusal> {
        self.permits_interaction("enlist")?;
        match self.branches.iter().find(|other| other.id == branch.id) {
            Some(same) if same == branch => return Ok(()),
            Some(_) => return Err(Refusal::BranchMismatch(branch.id.clone())),
            None => {}
        }
        if self.definition.index_of(branch.id.as_str()).is_some() {
            return Err(Refusal::BranchMismatch(branch.id.clone()));
        }
        if self.branches.len() >= Branch::COUNT_MAX {
            return Err(Refusal::TooManyBranches(Branch::COUNT_MAX));
        }
        let after = branch.after.iter().flatten();
        match after.into_iter().find(|id| !self.branches.iter().any(|other| other.id == **id)) {
            Some(unknown) => Err(Refusal::UnknownStep(unknown.clone())),
            None => Ok(()),
        }
    }

    /// Whether commit may be asked for; repeating it is permitted, also after the end.
    pub(super) fn permits_commit(&self) -> Result<(), Refusal> {
        self.permits_any_interaction()?;
        match self.decision {
            Some(Decision::Commit) => Ok(()),
            Some(Decision::Abort) => Err(self.aborted()),
            None if self.commit_requested => Ok(()),
            None if self.started && !self.waits_for_lock() => Ok(()),
            None => Err(self.wrong_status("commit", "has its lock keys and runs")),
        }
    }

    /// Whether the client may still shape the transaction.
    pub(super) fn permits_interaction(&self, command: &'static str) -> Result<(), Refusal> {
        self.permits_any_interaction()?;
        match self.decision {
            Some(Decision::Commit) => return Err(Refusal::Committed),
            Some(Decision::Abort) => return Err(self.aborted()),
            None => {}
        }
        if self.commit_requested {
            return Err(Refusal::CommitRequested);
        }
        let needed = if self.deadline_passed {
            "is within its deadline"
        } else if self.paused {
            "is not paused"
        } else if !self.started || self.waits_for_lock() {
            "has its lock keys and runs"
        } else {
            return Ok(());
        };
        Err(self.wrong_status(command, needed))
    }

    fn wrong_status(&self, command: &'static str, needed: &'static str) -> Refusal {
        Refusal::WrongStatus { status: self.status(), command, needed }
    }

    fn permits_any_interaction(&self) -> Result<(), Refusal> {
        if self.mode() == Mode::Interactive { Ok(()) } else { Err(Refusal::NotInteractive) }
    }

    fn aborted(&self) -> Refusal {
        Refusal::Aborted(self.reason().unwrap_or("an abort was decided").to_owned())
    }

    /// Adds a branch unless it is there.
    pub(super) fn enlist(&mut self, at: Timestamp, branch: &Branch, handled: &mut Handled) {
        if self.branches.iter().all(|other| other.id != branch.id) {
            let branch = Box::new(branch.clone());
            self.note(at, Event::BranchEnlisted { branch }, handled);
        }
    }

    /// Whether a call is a question that has no effect, so that its refusal is an answer.
    pub(super) fn is_question(&self, step: StepIndex, op: Op) -> bool {
        op.is_forward() && self.definition.step(step).starts == Starts::WhenSilent
    }
}
