//! Rules 8 and 10: not giving up, and the same call each time.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::forward::fact;
use super::story::{Entry, Known, Story};
use crate::saga::{CallId, Decision, Event};

/// Rule 8: only forward calls are given up, and after the commit decision only optional ones.
pub(super) fn nothing_is_given_up_after_the_decision(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Some(Event::CallGivenUp { step, op }) = fact(entry) {
            prop_assert!(op.is_forward(), "{op} of {step:?} is given up");
            prop_assert!(
                known.decision() != Some(Decision::Commit) || story.definition.step(*step).optional,
                "{op} of {step:?} is given up after commit"
            );
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Rule 10: every attempt of a call sends the same.
pub(super) fn every_attempt_sends_the_same(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Entry::Sent { call, request, .. } = entry
            && let Some(first) = known.sent.get(call)
        {
            prop_assert_eq!(first, request, "{:?} is not what was sent first", call);
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Attempts are counted one by one, and none is sent that the journal does not know; the first
/// one only when it is durable.
pub(super) fn every_attempt_is_journalled(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Some(Event::CallStarted { step, op, attempt }) = fact(entry) {
            let call = CallId { step: *step, op: *op };
            let last = known.last_attempt(call).unwrap_or(0);
            prop_assert_eq!(last + 1, *attempt, "{:?}", call);
        }
        if let Entry::Sent { call, attempt, .. } = entry {
            prop_assert_eq!(known.last_attempt(*call), Some(*attempt), "{:?}", call);
            let is_durable = known.journal[..known.durable].iter().any(|record| {
                let Event::CallStarted { step, op, .. } = &record.event else { return false };
                (*step, *op) == (call.step, call.op)
            });
            prop_assert!(is_durable, "{call:?} is sent before that is durable");
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}
