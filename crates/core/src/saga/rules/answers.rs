//! What a reader of the journal, who knows nothing of the machine, expects clients to be answered.

use super::plan::{Plan, Role};
use super::story::Known;
use crate::StepIndex;
use crate::definition::Branch;
use crate::saga::{Decision, EndStatus, Event, Op, OutcomeKind, Record, Refusal};

/// The journal as a reader sees it who knows nothing of the machine.
pub(super) struct Journal<'a> {
    pub(super) records: &'a [Record],
    pub(super) plan: &'a Plan,
}

impl Journal<'_> {
    fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.records.iter().map(|record| &record.event)
    }

    fn has(&self, fits: impl FnMut(&Event) -> bool) -> bool {
        self.events().any(fits)
    }

    pub(super) fn decision(&self) -> Option<Decision> {
        self.events().find_map(|event| match event {
            Event::Decided { decision, .. } => Some(*decision),
            _ => None,
        })
    }

    pub(super) fn end(&self) -> Option<EndStatus> {
        self.events().find_map(|event| match event {
            Event::Ended { status, .. } => Some(*status),
            _ => None,
        })
    }

    pub(super) fn may_use_lock(&self) -> bool {
        let known = Known { journal: self.records.to_vec(), ..Known::default() };
        known.may_use_lock(self.plan, self.records.len())
    }

    /// Whether the client has said that it commits, be it when it was asked.
    pub(super) fn is_commit_wanted(&self) -> bool {
        let is_question = |step: &StepIndex, op: &Op| {
            matches!(self.plan.role, Role::Interactive { asks_back: true })
                && (*step, *op) == (StepIndex(0), Op::Action)
        };
        self.has(|event| match event {
            Event::CommitRequested { .. } => true,
            Event::CallAnswered { step, op, answer, .. } => {
                is_question(step, op) && answer.outcome == OutcomeKind::Succeeded
            }
            Event::CallResolved { step, op, succeeded, .. } => is_question(step, op) && *succeeded,
            _ => false,
        })
    }

    /// Whether the client is being asked back.
    fn is_asking(&self) -> bool {
        matches!(self.plan.role, Role::Interactive { asks_back: true })
            && self.has(|event| {
                matches!(event, Event::CallStarted { step: StepIndex(0), op: Op::Action, .. })
            })
    }

    fn runs(&self) -> bool {
        self.has(|event| matches!(event, Event::Started)) && self.may_use_lock()
    }

    /// What everything is answered that only an undecided transaction can do.
    fn outcome(&self) -> Option<&'static str> {
        if !matches!(self.plan.role, Role::Interactive { .. }) {
            return Some("not interactive");
        }
        match (self.end(), self.decision()) {
            (Some(_), _) => Some("ended"),
            (None, Some(Decision::Commit)) => Some("committed"),
            (None, Some(Decision::Abort)) => Some("aborted"),
            (None, None) => None,
        }
    }

    /// What is answered to who shapes the transaction.
    pub(super) fn shape(&self) -> &'static str {
        let pauses = self
            .events()
            .rfind(|event| matches!(event, Event::Paused { .. } | Event::Resumed { .. }));
        match self.outcome() {
            Some(outcome) => outcome,
            None if self.has(|event| matches!(event, Event::CommitRequested { .. })) => "promised",
            None if matches!(pauses, Some(Event::Paused { .. }))
                || self.has(|event| matches!(event, Event::DeadlinePassed))
                || !self.runs() =>
            {
                "not now"
            }
            None => "done",
        }
    }

    pub(super) fn enlist(&self, branch: &Branch) -> &'static str {
        let branches = || {
            self.events().filter_map(|event| match event {
                Event::BranchEnlisted { branch } => Some(&**branch),
                _ => None,
            })
        };
        let shape = self.shape();
        if shape != "done" {
            return shape;
        }
        if let Some(known) = branches().find(|known| known.id == branch.id) {
            return if known == branch { "done" } else { "mismatch" };
        }
        let mut after = branch.after.iter().flatten();
        if after.all(|id| branches().any(|known| known.id == *id)) { "done" } else { "unknown" }
    }

    /// What a commit is answered, be it the first or another one.
    pub(super) fn commit(&self) -> &'static str {
        match (self.end(), self.decision()) {
            _ if !matches!(self.plan.role, Role::Interactive { .. }) => "not interactive",
            (Some(EndStatus::Abandoned), _) => "ended",
            (_, Some(Decision::Commit)) => "done",
            (_, Some(Decision::Abort)) => "aborted",
            (_, None) => {
                let is_known = self.has(|event| matches!(event, Event::CommitRequested { .. }));
                if is_known || self.runs() { "done" } else { "not now" }
            }
        }
    }

    /// What a cancellation is answered, be it the first or another one.
    pub(super) fn cancel(&self) -> &'static str {
        match (self.end(), self.decision()) {
            (Some(EndStatus::Abandoned), _) => "ended",
            (_, Some(Decision::Commit)) => "committed",
            (_, None) if self.is_commit_wanted() => "promised",
            (_, None) if self.is_asking() => "in doubt",
            (_, Some(Decision::Abort) | None) => "done",
        }
    }
}

/// An answer in a word.
pub(super) fn word(told: &Result<(), Refusal>) -> &'static str {
    match told {
        Ok(()) => "done",
        Err(Refusal::Committed) => "committed",
        Err(Refusal::CommitRequested) => "promised",
        Err(Refusal::Aborted(_)) => "aborted",
        Err(Refusal::Ended(_)) => "ended",
        Err(Refusal::NotInteractive) => "not interactive",
        Err(Refusal::WrongStatus { .. }) => "not now",
        Err(Refusal::BranchMismatch(_)) => "mismatch",
        Err(Refusal::UnknownStep(_)) => "unknown",
        Err(Refusal::PivotUndecided(_)) => "in doubt",
        Err(_) => "something else",
    }
}
