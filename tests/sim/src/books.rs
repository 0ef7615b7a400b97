//! The participants' books: what took effect, behind a barrier.

use std::collections::BTreeMap;

use amends_core::saga::{Op, Token};
use amends_core::{LockKey, SagaId, StepId};

/// What happened at one step of one saga.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepBook {
    forward: Option<Forward>,
    /// The undo took effect, or found nothing to undo.
    undone: bool,
    confirmed: bool,
    /// How often the forward call changed something, and the undo took it back.
    pub(crate) effects: u32,
    pub(crate) undos: u32,
    pub(crate) confirms: u32,
    /// A call came after its undo and was refused.
    pub(crate) late_refused: u32,
    /// An undo came without its forward call.
    pub(crate) empty_undos: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forward {
    Done,
    Refused,
    Closed,
}

/// What a participant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Done,
    Refused,
}

/// All books.
#[derive(Debug, Default)]
pub(crate) struct Books {
    steps: BTreeMap<(SagaId, StepId), StepBook>,
    tokens: BTreeMap<LockKey, Token>,
    /// Without it every call takes effect: for a planted fault.
    pub(crate) has_no_barrier: bool,
}

impl Books {
    /// A call arrives. `refuses`: the participant does not want to do it; `keeps_refusals`: and never
    /// will, which it remembers.
    pub(crate) fn arrive(
        &mut self,
        saga: &SagaId,
        step: &StepId,
        op: Op,
        tokens: &[(LockKey, Token)],
        refuses: bool,
        keeps_refusals: bool,
    ) -> Said {
        let has_no_barrier = self.has_no_barrier;
        let book = self.steps.entry((saga.clone(), step.clone())).or_default();
        if let Some(said) = book.said(op).filter(|_| !has_no_barrier) {
            if op.is_forward() && book.forward == Some(Forward::Closed) {
                book.late_refused += 1;
            }
            return said;
        }
        for (key, token) in tokens {
            let highest = self.tokens.entry(key.clone()).or_insert(*token);
            if token < highest {
                return Said::Refused;
            }
            *highest = (*highest).max(*token);
        }
        if refuses && !keeps_refusals {
            return Said::Refused;
        }
        book.take(op, refuses, has_no_barrier)
    }

    /// What happened at a step.
    pub(crate) fn step(&self, saga: &SagaId, step: &StepId) -> StepBook {
        self.steps.get(&(saga.clone(), step.clone())).cloned().unwrap_or_default()
    }

    /// A person makes sure that a forward call has had its effect (true) or never will.
    pub(crate) fn settle_by_hand(&mut self, saga: &SagaId, step: &StepId) -> bool {
        let book = self.steps.entry((saga.clone(), step.clone())).or_default();
        if book.forward == Some(Forward::Done) {
            return true;
        }
        book.forward = Some(Forward::Closed);
        false
    }

    /// A person does what a participant has refused.
    pub(crate) fn do_by_hand(&mut self, saga: &SagaId, step: &StepId) {
        let book = self.steps.entry((saga.clone(), step.clone())).or_default();
        if book.forward != Some(Forward::Done) {
            book.forward = Some(Forward::Done);
            book.effects += 1;
        }
    }

    /// A person undoes a step by hand.
    pub(crate) fn undo_by_hand(&mut self, saga: &SagaId, step: &StepId) {
        let book = self.steps.entry((saga.clone(), step.clone())).or_default();
        if book.said(Op::Compensation).is_none() {
            book.take(Op::Compensation, false, false);
        }
    }

    /// Every step that was ever called.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&(SagaId, StepId), &StepBook)> {
        self.steps.iter()
    }
}

impl StepBook {
    /// The answer to a repetition.
    fn said(&self, op: Op) -> Option<Said> {
        match op {
            Op::Action | Op::Try => self.forward.map(|forward| match forward {
                Forward::Done => Said::Done,
                Forward::Refused | Forward::Closed => Said::Refused,
            }),
            Op::Confirm => self.confirmed.then_some(Said::Done),
            Op::Compensation | Op::Cancel => self.undone.then_some(Said::Done),
        }
    }

    fn take(&mut self, op: Op, refuses: bool, has_no_barrier: bool) -> Said {
        match op {
            Op::Action | Op::Try if refuses => {
                self.forward = Some(Forward::Refused);
                return Said::Refused;
            }
            Op::Action | Op::Try => {
                self.forward = Some(Forward::Done);
                self.effects += 1;
            }
            Op::Confirm => {
                self.confirmed = true;
                self.confirms += 1;
            }
            Op::Compensation | Op::Cancel => {
                self.undone = true;
                if self.forward == Some(Forward::Done) {
                    self.undos += 1;
                } else {
                    self.empty_undos += u32::from(self.forward.is_none());
                    if !has_no_barrier {
                        self.forward = Some(Forward::Closed);
                    }
                }
            }
        }
        Said::Done
    }
}
