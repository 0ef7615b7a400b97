//! What happened in a world, entry by entry, and what can be read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::test_runner::TestCaseResult;

use super::participant::Truth;
use super::plan::{Plan, Role};
use crate::StepIndex;
use crate::definition::{Branch, BranchWork, Definition, LockRelease, Starts};
use crate::saga::{
    CallId, Decision, Event, Op, OutcomeKind, Record, Request, RequestError, SkipReason, Status,
};

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// The machine gave a fact.
    Fact(Record),
    /// This many facts are durable.
    Durable(usize),
    /// An attempt left.
    Sent { call: CallId, attempt: u32, request: Result<Request, RequestError> },
    /// An attempt of a coordinator that is gone is waited for.
    Drained { call: CallId },
    /// An attempt was answered, or its time-out passed.
    Answered { call: CallId, fate: Fate },
    /// Accepted work is waited for.
    Pending { call: CallId },
    /// It is not, any more.
    Settled { call: CallId, fate: Fate },
    /// The participant accepted an undo.
    Undone(StepIndex),
    /// An operator made sure that nothing of a forward call has happened or will.
    Cleared(StepIndex),
    /// The coordinator died and this many facts were kept.
    Crashed(usize),
    /// The saga is being handed over.
    Held,
}

/// What is certain about one attempt that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// It had no effect and will have none.
    Clean,
    /// It had, or may have, or may still have an effect.
    Dirty,
}

/// A whole run.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) definition: Arc<Definition>,
    pub(super) entries: Vec<Entry>,
    /// How it ended, once calm was there for long enough.
    pub(super) status: Status,
    /// What really happened, after everything late has arrived.
    pub(super) truth: Vec<Truth>,
    /// Where the world and the machine did not agree.
    pub(super) faults: Vec<String>,
    pub(super) plan: Plan,
    /// In the order in which they were enlisted.
    pub(super) branches: Vec<Branch>,
}

/// All that is known just before an entry.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) journal: Vec<Record>,
    pub(super) durable: usize,
    /// Attempts on their way, and accepted work that is waited for.
    pub(super) open: BTreeSet<CallId>,
    /// Those of them that are accepted work.
    pub(super) pending: BTreeSet<CallId>,
    /// Calls of which an attempt may have had an effect.
    pub(super) dirty: BTreeSet<CallId>,
    /// Calls that were ever sent, with what was sent first.
    pub(super) sent: BTreeMap<CallId, Result<Request, RequestError>>,
    pub(super) undone: BTreeSet<StepIndex>,
    pub(super) crashes: u32,
    pub(super) is_held: bool,
}

impl Story {
    /// Goes through the story; `judge` sees each entry with what was known before it.
    pub(super) fn scan(
        &self,
        mut judge: impl FnMut(&Entry, &Known) -> TestCaseResult,
    ) -> Result<Known, proptest::test_runner::TestCaseError> {
        let mut known = Known::default();
        for entry in &self.entries {
            judge(entry, &known)?;
            known.take(entry);
        }
        Ok(known)
    }

    /// Whether the client of the transaction is asked back when it falls silent.
    pub(super) const fn asks_back(&self) -> bool {
        matches!(self.plan.role, Role::Interactive { asks_back: true })
    }

    /// Whether a step is that question.
    pub(super) fn is_question(&self, step: StepIndex) -> bool {
        self.definition.step(step).starts == Starts::WhenSilent
    }

    pub(super) fn forward(&self, step: StepIndex) -> CallId {
        CallId { step, op: self.definition.step(step).forward_op() }
    }
}

impl Known {
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Fact(record) => {
                if let Event::CallGivenUp { step, op } = &record.event {
                    let call = CallId { step: *step, op: *op };
                    // Only of a nested saga is the end not waited for.
                    if self.pending.remove(&call) {
                        self.open.remove(&call);
                        self.dirty.insert(call);
                    }
                }
                self.journal.push(record.clone());
            }
            Entry::Durable(count) => self.durable = *count,
            Entry::Sent { call, request, .. } => {
                self.open.insert(*call);
                self.sent.entry(*call).or_insert_with(|| request.clone());
            }
            Entry::Drained { call } => {
                self.open.insert(*call);
            }
            Entry::Pending { call } => {
                self.open.insert(*call);
                self.pending.insert(*call);
            }
            Entry::Answered { call, fate } | Entry::Settled { call, fate } => {
                self.open.remove(call);
                self.pending.remove(call);
                if *fate == Fate::Dirty {
                    self.dirty.insert(*call);
                }
            }
            Entry::Undone(step) => {
                self.undone.insert(*step);
            }
            Entry::Cleared(step) => self.dirty.retain(|call| call.step != *step),
            Entry::Crashed(kept) => {
                self.journal.truncate(*kept);
                self.durable = *kept;
                // Accepted work is waited for by the next coordinator if the journal knows it.
                let waited_for = std::mem::take(&mut self.pending)
                    .into_iter()
                    .filter(|call| self.waits_for(*call));
                self.pending = waited_for.collect();
                self.dirty.extend(self.open.difference(&self.pending));
                self.open.clone_from(&self.pending);
                self.crashes += 1;
                self.is_held = false;
            }
            Entry::Held => self.is_held = true,
        }
    }

    pub(super) fn decision(&self) -> Option<Decision> {
        decision(&self.journal)
    }

    /// The decision as far as it is durable.
    pub(super) fn durable_decision(&self) -> Option<Decision> {
        decision(&self.journal[..self.durable])
    }

    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.journal.iter().map(|record| &record.event)
    }

    pub(super) fn has(&self, fits: impl FnMut(&Event) -> bool) -> bool {
        self.events().any(fits)
    }

    /// The number of the last attempt that the journal knows.
    pub(super) fn last_attempt(&self, call: CallId) -> Option<u32> {
        self.events().rev().find_map(|event| match event {
            Event::CallStarted { step, op, attempt } if is(call, *step, *op) => Some(*attempt),
            _ => None,
        })
    }

    /// Whether the last that the journal knows of a call is that it is pending.
    fn waits_for(&self, call: CallId) -> bool {
        let last = self.events().rev().find_map(|event| match event {
            Event::CallPending { step, op, .. } if is(call, *step, *op) => Some(true),
            Event::CallStarted { step, op, .. } | Event::CallAnswered { step, op, .. }
                if is(call, *step, *op) =>
            {
                Some(false)
            }
            _ => None,
        });
        last == Some(true)
    }

    pub(super) fn is_paused(&self) -> bool {
        let last = self
            .events()
            .rfind(|event| matches!(event, Event::Paused { .. } | Event::Resumed { .. }));
        matches!(last, Some(Event::Paused { .. }))
    }

    /// Whether the saga may make calls, as far as its lock keys go, by the first `count` facts.
    pub(super) fn may_use_lock(&self, plan: &Plan, count: usize) -> bool {
        let facts = &self.journal[..count];
        let last = facts.iter().rev().find_map(|record| match &record.event {
            Event::LockGranted { .. } => Some(true),
            Event::LockReleased { .. } => Some(false),
            _ => None,
        });
        let is_given_back =
            plan.release == LockRelease::Pivot && decision(facts) == Some(Decision::Commit);
        !plan.locked || is_given_back || last == Some(true)
    }

    /// Whether a step is a nested saga: what is said to it goes without the parent's lock keys.
    pub(super) fn is_nested(&self, plan: &Plan, step: StepIndex) -> bool {
        let asks_back = matches!(plan.role, Role::Interactive { asks_back: true });
        let branches = self.journal.iter().filter_map(|record| match &record.event {
            Event::BranchEnlisted { branch } => Some(&branch.work),
            _ => None,
        });
        let place = step.get().checked_sub(usize::from(asks_back));
        let work = place.and_then(|place| branches.into_iter().nth(place));
        matches!(work, Some(BranchWork::Saga(_)))
    }

    pub(super) fn is_skipped(&self, wanted: StepIndex) -> bool {
        self.has(|event| matches!(event, Event::StepSkipped { step, .. } if *step == wanted))
    }

    /// Whether the journal says that a call took effect.
    pub(super) fn has_succeeded(&self, call: CallId) -> bool {
        self.has(|event| match event {
            Event::CallAnswered { step, op, answer, .. } => {
                is(call, *step, *op) && answer.outcome == OutcomeKind::Succeeded
            }
            Event::CallResolved { step, op, succeeded, .. } => is(call, *step, *op) && *succeeded,
            _ => false,
        })
    }

    /// Whether the journal says that a forward call ended without success.
    pub(super) fn has_failed(&self, call: CallId) -> bool {
        self.has(|event| match event {
            Event::CallAnswered { step, op, answer, .. } => {
                is(call, *step, *op) && answer.outcome == OutcomeKind::Refused
            }
            Event::CallGivenUp { step, op } => is(call, *step, *op),
            Event::CallResolved { step, op, succeeded, .. } => is(call, *step, *op) && !succeeded,
            _ => false,
        })
    }

    /// Whether the steps after `step` may start, as far as it is concerned.
    pub(super) fn is_settled(&self, definition: &Definition, step: StepIndex) -> bool {
        let own = definition.step(step);
        let forward = CallId { step, op: own.forward_op() };
        self.is_skipped(step)
            || (matches!(own.starts, Starts::ByClient | Starts::WhenSilent)
                && self.decision() == Some(Decision::Commit))
            || self.has_succeeded(forward)
            || (own.optional && self.has_failed(forward))
    }
}

fn decision(journal: &[Record]) -> Option<Decision> {
    journal.iter().find_map(|record| match &record.event {
        Event::Decided { decision, .. } => Some(*decision),
        _ => None,
    })
}

const fn is(call: CallId, step: StepIndex, op: Op) -> bool {
    call.step.0 == step.0 && call.op as u8 == op as u8
}

/// The step that a fact lets begin or leaves out, before anything of it was sent.
pub(super) fn begun(event: &Event) -> Option<StepIndex> {
    match event {
        Event::CallStarted { step, op, attempt: 1 } if op.is_forward() => Some(*step),
        Event::StepSkipped { step, reason: SkipReason::Condition } => Some(*step),
        _ => None,
    }
}
