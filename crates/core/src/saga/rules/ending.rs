//! Rules 2 and 13, and what an end promises.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::story::{Known, Story};
use crate::StepIndex;
use crate::definition::StepKind;
use crate::saga::Status;

/// A completed saga has the effect of every step that had to be run, and every try is confirmed.
pub(super) fn completed_means_done(story: &Story) -> TestCaseResult {
    let known = story.scan(|_, _| Ok(()))?;
    for step in story.definition.indices().filter(|_| story.status == Status::Completed) {
        let (own, truth) = (story.definition.step(step), story.truth[step.get()]);
        if story.is_question(step) {
            // What the client did by itself has no call.
        } else if known.is_skipped(step) {
            prop_assert!(!truth.effect, "{step:?} was skipped and took effect");
        } else if !own.optional {
            prop_assert!(truth.effect, "{step:?} did not take effect");
            prop_assert_eq!(truth.confirmed, own.kind == StepKind::Tcc, "{:?}", step);
        }
        prop_assert!(!truth.undone, "{step:?} was undone");
    }
    Ok(())
}

/// A compensated saga has no effect, but for steps that say that they need no undo.
pub(super) fn compensated_means_without_effect(story: &Story) -> TestCaseResult {
    let known = story.scan(|_, _| Ok(()))?;
    for step in story.definition.indices().filter(|_| story.status == Status::Compensated) {
        let truth = story.truth[step.get()];
        prop_assert!(
            !truth.effect || is_excused(story, &known, step),
            "{step:?} has an effect that was not undone"
        );
        prop_assert!(!truth.confirmed, "{step:?} was confirmed");
    }
    Ok(())
}

/// Whether a step's effect may stay: `compensation: none`, or an optional step without an undo.
fn is_excused(story: &Story, _known: &Known, step: StepIndex) -> bool {
    let own = story.definition.step(step);
    let says_none = || {
        let steps = &story.definition.source.value()["steps"];
        steps[step.get()]["compensation"] == "none"
    };
    own.undo.is_none() && (own.optional || story.is_question(step) || says_none())
}

/// The world and the machine agree: replayed, it is the same; what is on its way is what a
/// recovery asks for; it comes to rest, and says why if that is not an end.
pub(super) fn world_and_machine_agree(story: &Story) -> TestCaseResult {
    prop_assert!(story.faults.is_empty(), "{:#?}", story.faults);
    Ok(())
}
