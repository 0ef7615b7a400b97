//! Rules 4 and 9: one decision, and the pivot.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::forward::fact;
use super::plan::Role;
use super::story::{Entry, Known, Story};
use crate::saga::{CallId, Decision, Event, Op};

/// Rule 4: there is one decision; what follows from it is sent when it is durable, and what
/// contradicts it is not.
pub(super) fn there_is_one_decision(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Some(Event::Decided { decision, .. }) = fact(entry) {
            prop_assert_eq!(known.decision(), None, "decided again: {:?}", decision);
        }
        let Entry::Sent { call, .. } = entry else { return Ok(()) };
        let decision = known.durable_decision();
        match call.op {
            Op::Confirm => prop_assert_eq!(decision, Some(Decision::Commit), "{:?}", call),
            Op::Compensation | Op::Cancel => {
                prop_assert_eq!(decision, Some(Decision::Abort), "{:?}", call);
            }
            Op::Action | Op::Try => {
                prop_assert_ne!(known.decision(), Some(Decision::Abort), "{:?}", call);
            }
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Commit is decided when the pivot has succeeded (or is left out), or, without one, when every
/// step is settled.
pub(super) fn commit_comes_with_the_pivot(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    let judge = |entry: &Entry, known: &Known| {
        if story.plan.role == Role::Alone
            && let Some(Event::Decided { decision: Decision::Commit, .. }) = fact(entry)
        {
            let pivots: Vec<_> =
                definition.indices().filter(|step| definition.step(*step).pivot).collect();
            let is_reached = if pivots.is_empty() {
                definition.indices().all(|step| known.is_settled(definition, step))
            } else {
                pivots.iter().any(|pivot| known.is_settled(definition, *pivot))
            };
            prop_assert!(is_reached, "commit is decided too early");
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Rule 9: after the pivot's success nothing is undone; as long as it may have happened and has no
/// undo, nothing is given up. A saga that is decided from outside has no such point of its own.
pub(super) fn the_pivot_is_the_point_of_no_return(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    if story.plan.role != Role::Alone {
        return Ok(());
    }
    let pivots = || definition.indices().filter(|step| definition.step(*step).pivot);
    let judge = |entry: &Entry, known: &Known| {
        let Some(Event::Decided { decision: Decision::Abort, .. }) = fact(entry) else {
            return Ok(());
        };
        for pivot in pivots() {
            let forward = story.forward(pivot);
            prop_assert!(!known.has_succeeded(forward), "abort after the pivot {pivot:?}");
            let may_have_happened = known.dirty.contains(&forward) || known.open.contains(&forward);
            prop_assert!(
                definition.step(pivot).undo.is_some() || !may_have_happened,
                "abort while the pivot {pivot:?} may have happened"
            );
        }
        Ok(())
    };
    let known = story.scan(judge)?;
    for pivot in pivots()
        .filter(|pivot| known.decision() == Some(Decision::Commit) && !known.is_skipped(*pivot))
    {
        let undo = CallId { step: pivot, op: definition.step(pivot).undo_op() };
        prop_assert!(!known.sent.contains_key(&undo), "the pivot {pivot:?} is undone");
    }
    Ok(())
}
