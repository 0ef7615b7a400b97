//! Rules 5 to 7: what is undone, in which order, and not too early.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::forward::fact;
use super::story::{Entry, Known, Story};
use crate::StepIndex;
use crate::definition::Starts;
use crate::saga::{CallId, EndStatus, Event, SkipReason};

impl Story {
    fn undo(&self, step: StepIndex) -> CallId {
        CallId { step, op: self.definition.step(step).undo_op() }
    }

    /// Whether a step must be undone if the saga aborts.
    fn needs_undo(&self, known: &Known, step: StepIndex) -> bool {
        self.definition.step(step).undo.is_some() && known.dirty.contains(&self.forward(step))
    }
}

/// Rule 5, one half: what may have happened is undone when the saga ends without effect, and a
/// step that nothing can undo is not left in doubt.
pub(super) fn what_may_have_happened_is_undone(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Some(Event::Ended { status: EndStatus::Compensated, .. }) = fact(entry) {
            for step in story.definition.indices() {
                prop_assert!(
                    !story.needs_undo(known, step) || known.undone.contains(&step),
                    "{step:?} may have happened and is not undone"
                );
            }
        }
        if let Some(Event::StepSkipped { step, reason: SkipReason::Operator }) = fact(entry) {
            let forward = story.forward(*step);
            let may_have_happened = known.dirty.contains(&forward) || known.open.contains(&forward);
            prop_assert!(!may_have_happened, "{step:?} may have happened and is skipped");
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Rule 5, the other half: nothing else is undone. After a crash what was begun counts as unknown.
pub(super) fn nothing_else_is_undone(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        let Entry::Sent { call, .. } = entry else { return Ok(()) };
        if !call.op.is_undo() {
            return Ok(());
        }
        let (step, forward) = (story.definition.step(call.step), story.forward(call.step));
        prop_assert!(!known.is_skipped(call.step), "{call:?} undoes a skipped step");
        let is_enlisted = step.starts == Starts::ByClient;
        prop_assert!(
            is_enlisted || known.last_attempt(forward).is_some(),
            "{call:?} undoes what never began"
        );
        prop_assert!(
            known.dirty.contains(&forward) || known.crashes > 0 || step.undo_refused,
            "{call:?} undoes what was refused"
        );
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Rule 6: a step is undone only after every step that came after it is.
pub(super) fn undo_goes_backward(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    let judge = |entry: &Entry, known: &Known| {
        let Entry::Sent { call, .. } = entry else { return Ok(()) };
        if !call.op.is_undo() {
            return Ok(());
        }
        let later =
            definition.indices().filter(|other| definition.graph.is_before(call.step, *other));
        for other in later {
            let undo = story.undo(other);
            let is_undone = known.has_succeeded(undo);
            let is_begun = known.last_attempt(undo).is_some();
            prop_assert!(
                is_undone || !(is_begun || story.needs_undo(known, other)),
                "{call:?} is undone before {other:?}"
            );
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Rule 7: while a forward call is on its way, neither it nor what it came after is undone.
pub(super) fn undo_does_not_overtake(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    let judge = |entry: &Entry, known: &Known| {
        let Entry::Sent { call, .. } = entry else { return Ok(()) };
        let open = known.open.iter().filter(|open| open.op.is_forward() && call.op.is_undo());
        for open in open {
            prop_assert!(
                open.step != call.step && !definition.graph.is_before(call.step, open.step),
                "{call:?} overtakes {open:?}"
            );
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}
