//! The participants' books: what took effect, behind a barrier.

use std::collections::HashMap;

use amends_core::saga::{Op, Token};
use amends_core::{LockKey, SagaId, StepId};

/// What happened at one step of one saga.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepBook {
    pub(crate) forward: Option<Forward>,
    /// The undo took effect, or found nothing to undo.
    pub(crate) undone: bool,
    pub(crate) confirmed: bool,
    /// How often the forward call changed something, and the undo took it back.
    pub(crate) effects: u32,
    pub(crate) undos: u32,
    pub(crate) confirms: u32,
    /// A call came after its undo and was refused.
    pub(crate) late_refused: u32,
    /// An undo came without its forward call.
    pub(crate) empty_undos: u32,
    /// Work was begun and is not yet done: somebody will be told, or asks.
    pub(crate) in_progress: bool,
    /// The first request of each operation.
    requests: Vec<(Op, u64)>,
}

/// What became of a forward call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    Done,
    Refused,
    Closed,
}

/// What a participant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    Done,
    Refused,
}

/// One call as it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) saga: &'a SagaId,
    pub(crate) step: &'a StepId,
    pub(crate) op: Op,
    pub(crate) tokens: &'a [(LockKey, Token)],
    /// The participant does not want to do it.
    pub(crate) refuses: bool,
    /// And never will, which it remembers.
    pub(crate) keeps_refusals: bool,
}

/// All books.
#[derive(Debug, Default)]
pub(crate) struct Books {
    steps: HashMap<SagaId, Vec<(StepId, StepBook)>>,
    /// The highest token of each key, and whose it was.
    tokens: HashMap<LockKey, (Token, SagaId)>,
    /// The local transactions of clients that are asked when they fall silent.
    local: HashMap<SagaId, bool>,
    /// Without it every call takes effect: for a planted fault.
    pub(crate) has_no_barrier: bool,
    /// What was broken, until somebody takes it.
    pub(crate) broken: Vec<String>,
}

impl Books {
    /// A call arrives.
    pub(crate) fn arrive(&mut self, call: Arrival<'_>) -> Said {
        let Arrival { saga, step, op, .. } = call;
        let has_no_barrier = self.has_no_barrier;
        let book = self.book(saga, step);
        if let Some(said) = book.said(op).filter(|_| !has_no_barrier) {
            if op.is_forward() && book.forward == Some(Forward::Closed) {
                book.late_refused += 1;
            }
            return said;
        }
        for (key, token) in call.tokens {
            let fresh = || (*token, saga.clone());
            let (highest, whose) = self.tokens.entry(key.clone()).or_insert_with(fresh);
            if token < highest {
                return Said::Refused;
            }
            if token == highest && whose != saga {
                let what = format!("S16: {key} was entered by {saga} and {whose} with {token:?}");
                self.broken.push(what);
            }
            (*highest, *whose) = fresh();
        }
        if call.refuses && !call.keeps_refusals {
            return Said::Refused;
        }
        let book = self.book(saga, step);
        let said = book.take(op, call.refuses, has_no_barrier);
        if let Some(rule) = book.broken() {
            let what = format!("{rule}: {saga}/{step} after {op}: {book:?}");
            self.broken.push(what);
        }
        said
    }

    /// Rule 10: every attempt of a call says the same.
    pub(crate) fn compare(&mut self, saga: &SagaId, step: &StepId, op: Op, request: u64) {
        let book = self.book(saga, step);
        match book.requests.iter().find(|(own, _)| *own == op) {
            Some((_, first)) if *first != request => {
                self.broken.push(format!("rule 10: {saga}/{step}/{op} came with another request"));
            }
            Some(_) => {}
            None => book.requests.push((op, request)),
        }
    }

    pub(crate) fn book(&mut self, saga: &SagaId, step: &StepId) -> &mut StepBook {
        let steps = self.steps.entry(saga.clone()).or_default();
        let at = steps.iter().position(|(own, _)| own == step).unwrap_or_else(|| {
            steps.push((step.clone(), StepBook::default()));
            steps.len() - 1
        });
        &mut steps[at].1
    }

    /// What happened at a step.
    pub(crate) fn step(&self, saga: &SagaId, step: &StepId) -> StepBook {
        let steps = self.steps.get(saga).into_iter().flatten();
        steps
            .into_iter()
            .find(|(own, _)| own == step)
            .map(|(_, book)| book.clone())
            .unwrap_or_default()
    }

    /// A client commits its own transaction, unless somebody was told that it did not.
    pub(crate) fn commit_locally(&mut self, saga: &SagaId) -> bool {
        *self.local.entry(saga.clone()).or_insert(true)
    }

    /// A client gives its own transaction up, or is asked, which rules it out unless it happened.
    pub(crate) fn is_committed_locally(&mut self, saga: &SagaId) -> bool {
        *self.local.entry(saga.clone()).or_insert(false)
    }

    /// What became of a client's own transaction, if that was ever said.
    pub(crate) fn local(&self, saga: &SagaId) -> Option<bool> {
        self.local.get(saga).copied()
    }

    /// A person makes sure that a forward call has had its effect (true) or never will.
    pub(crate) fn settle_by_hand(&mut self, saga: &SagaId, step: &StepId) -> bool {
        let book = self.book(saga, step);
        if book.forward == Some(Forward::Done) {
            return true;
        }
        book.forward = Some(Forward::Closed);
        false
    }

    /// A person does what a participant has refused.
    pub(crate) fn do_by_hand(&mut self, saga: &SagaId, step: &StepId, op: Op) {
        let book = self.book(saga, step);
        let is_done = match op {
            Op::Confirm => book.confirmed,
            Op::Action | Op::Try => book.forward == Some(Forward::Done),
            Op::Compensation | Op::Cancel => book.undone,
        };
        if !is_done {
            book.take(op, false, false);
        }
    }

    /// Every step that was ever called.
    pub(crate) fn all(&self) -> impl Iterator<Item = &StepBook> {
        self.steps.values().flatten().map(|(_, book)| book)
    }
}

impl StepBook {
    /// The answer to a repetition.
    pub(crate) fn said(&self, op: Op) -> Option<Said> {
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

    /// What must never be seen, at no moment.
    fn broken(&self) -> Option<&'static str> {
        if self.effects > 1 || self.undos > 1 || self.confirms > 1 {
            return Some("S13: an effect twice");
        }
        if self.confirmed && self.undone {
            return Some("S12: both confirmed and cancelled");
        }
        if self.confirmed && self.forward != Some(Forward::Done) {
            return Some("S12: confirmed and never tried");
        }
        (self.undone && self.effects > self.undos).then_some("S9: an effect after the undo")
    }
}
