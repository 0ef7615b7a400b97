//! Rules 3 and 12, and what holds new things back: pause, hand-over, deadline.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::story::{Entry, Known, Story, begun};
use crate::saga::{EndStatus, Event};

/// Rule 3: a step starts, or is left out, when all that it comes after is settled; the pivot when
/// all that is not past a pivot is.
pub(super) fn steps_come_in_order(story: &Story) -> TestCaseResult {
    let graph = &story.definition.graph;
    let judge = |entry: &Entry, known: &Known| {
        let Some(step) = fact(entry).and_then(begun) else { return Ok(()) };
        // The question after the client's own transaction waits for nothing.
        let is_pivot = story.definition.step(step).pivot && !story.is_question(step);
        for other in story.definition.indices().filter(|other| *other != step) {
            let comes_first = graph.is_before(other, step)
                || (is_pivot && !graph.is_past_pivot(other) && !story.definition.step(other).pivot);
            prop_assert!(
                !comes_first || known.is_settled(&story.definition, other),
                "{step:?} begins before {other:?} is settled"
            );
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Nothing new starts while a saga is paused or handed over.
pub(super) fn nothing_starts_while_held_back(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Some(Event::CallStarted { step, op, .. }) = fact(entry) {
            prop_assert!(!known.is_paused(), "{op} of {step:?} starts while paused");
            prop_assert!(!known.is_held, "{op} of {step:?} starts while handed over");
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// After the deadline no forward call starts or is repeated before the decision, but for a pivot
/// that has to become known, and for what hangs on the client's own transaction.
pub(super) fn nothing_starts_after_the_deadline(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Some(Event::CallStarted { step, op, attempt }) = fact(entry)
            && op.is_forward()
            && known.decision().is_none()
            && known.has(|event| matches!(event, Event::DeadlinePassed))
        {
            let is_repeated_pivot = story.definition.graph.pivot() == Some(*step) && *attempt > 1;
            prop_assert!(
                is_repeated_pivot || story.asks_back(),
                "{op} of {step:?} starts after the deadline"
            );
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Rule 12, as far as one saga can keep it: nothing is sent without the lock keys, also while they
/// are taken away; they are given
/// back when nothing is on its way any more, and who has them has not waited too long.
pub(super) fn nothing_is_sent_without_the_lock(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        let plan = &story.plan;
        let is_begun = match fact(entry) {
            Some(Event::CallStarted { step, .. }) => !known.is_nested(plan, *step),
            _ => false,
        };
        prop_assert!(
            !is_begun || known.may_use_lock(plan, known.journal.len()),
            "{entry:?} begins without the lock"
        );
        if let Entry::Sent { call, .. } = entry {
            let is_ours =
                known.is_nested(plan, call.step) || known.may_use_lock(plan, known.durable);
            prop_assert!(is_ours, "{call:?} is sent without the lock");
        }
        if let Some(Event::LockWaitPassed) = fact(entry) {
            let was_granted = known.has(|event| matches!(event, Event::LockGranted { .. }));
            prop_assert!(!was_granted, "it has its keys, but waited too long for them");
        }
        if let Some(Event::Ended { status, .. }) = fact(entry)
            && *status != EndStatus::Abandoned
        {
            prop_assert!(known.open.is_empty(), "it ends while {:?} is on its way", known.open);
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// The fact that an entry is, if it is one.
pub(super) const fn fact(entry: &Entry) -> Option<&Event> {
    match entry {
        Entry::Fact(record) => Some(&record.event),
        _ => None,
    }
}
