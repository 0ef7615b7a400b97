//! What is promised where somebody outside decides: the client of an interactive transaction, or
//! the parent of a nested saga.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::forward::fact;
use super::plan::Role;
use super::story::{Entry, Known, Story};
use crate::StepIndex;
use crate::definition::{BranchWork, OnLost, Starts};
use crate::saga::{CallId, Decision, EndStatus, Event, Op, SkipReason};

/// Commit is decided when it is asked for and everything that runs before the decision is done.
pub(super) fn commit_is_asked_for(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    let judge = |entry: &Entry, known: &Known| {
        if story.plan.role != Role::Alone
            && let Some(Event::Decided { decision: Decision::Commit, .. }) = fact(entry)
        {
            let is_asked = known.has(|event| matches!(event, Event::CommitRequested { .. }));
            prop_assert!(is_asked || said_yes(story, known), "commit that nobody asked for");
            for step in known_steps(story, known) {
                let is_ours = definition.step(step).starts == Starts::InOrder;
                prop_assert!(
                    !is_ours || known.is_settled(definition, step),
                    "commit before {step:?} is done"
                );
            }
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// An abort has a cause. That a client is silent is none where it can be asked; and a commit that
/// was accepted is not taken back by a cancellation.
pub(super) fn an_abort_has_a_cause(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    let judge = |entry: &Entry, known: &Known| {
        let Some(Event::Decided { decision: Decision::Abort, .. }) = fact(entry) else {
            return Ok(());
        };
        let has_started = known.has(|event| matches!(event, Event::Started));
        let is_late = known.has(|event| matches!(event, Event::DeadlinePassed))
            && !(has_started && story.asks_back());
        let waited = known.has(|event| matches!(event, Event::LockWaitPassed));
        let has_lost = story.plan.on_lost == OnLost::Abort
            && known.has(|event| matches!(event, Event::LockReleased { .. }));
        let has_failed = known_steps(story, known)
            .any(|step| !definition.step(step).optional && known.has_failed(story.forward(step)));
        let is_cancelled = known.has(|event| matches!(event, Event::CancelRequested { .. }));
        let is_promised = story.plan.role != Role::Alone
            && (known.has(|event| matches!(event, Event::CommitRequested { .. }))
                || said_yes(story, known));
        let is_caused = is_late || waited || has_lost || has_failed;
        prop_assert!(is_caused || (is_cancelled && !is_promised), "an abort without a cause");
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// The client is asked back only when it is silent beyond its deadline, and is not asked any more
/// when it has spoken.
pub(super) fn only_the_silent_are_asked(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        let asked = match (entry, fact(entry)) {
            (Entry::Sent { call, .. }, _) => Some(call.step),
            (_, Some(Event::CallStarted { step, .. })) => Some(*step),
            _ => None,
        };
        if asked.is_some_and(|step| story.is_question(step)) {
            prop_assert!(known.has(|event| matches!(event, Event::DeadlinePassed)), "too early");
            let has_spoken = known.has(|event| matches!(event, Event::CommitRequested { .. }));
            prop_assert!(!has_spoken && known.decision().is_none(), "it has spoken");
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// Nothing is added to a transaction once its client has said what becomes of it, and its deadline
/// passes at the time that was last agreed on.
pub(super) fn nothing_is_added_too_late(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        let Some(event) = fact(entry) else { return Ok(()) };
        let is_over = known.decision().is_some()
            || known.has(|event| {
                matches!(event, Event::CommitRequested { .. } | Event::DeadlinePassed)
            });
        let is_added =
            matches!(event, Event::BranchEnlisted { .. } | Event::DeadlineExtended { .. });
        prop_assert!(!(is_added && is_over), "{event:?} comes too late");
        if let (Entry::Fact(record), Event::DeadlinePassed) = (entry, event) {
            let agreed = known.events().rev().find_map(|event| match event {
                Event::DeadlineExtended { until, .. } => Some(*until),
                Event::Accepted(accepted) => accepted.deadline_at,
                _ => None,
            });
            prop_assert!(agreed.is_none_or(|at| at <= record.at), "before {agreed:?}");
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// After commit every try is confirmed and every message is sent, nothing is undone; after abort
/// no message leaves and nothing is confirmed. Rule 4 has more of it.
pub(super) fn no_branch_is_forgotten(story: &Story) -> TestCaseResult {
    let judge = |entry: &Entry, known: &Known| {
        if let Entry::Sent { call, .. } = entry
            && story.definition.step(call.step).starts == Starts::AfterCommit
        {
            let decision = known.durable_decision();
            prop_assert_eq!(decision, Some(Decision::Commit), "{:?} leaves too early", call);
        }
        if let Some(Event::Ended { status, .. }) = fact(entry) {
            for branch in &story.branches {
                let step = story.definition.index_of(branch.id.as_str()).unwrap();
                let of = |op| CallId { step, op };
                let is_kept = match (&branch.work, status) {
                    (_, EndStatus::Abandoned)
                    | (BranchWork::Compensation { .. }, EndStatus::Completed) => true,
                    (BranchWork::Compensation { .. }, EndStatus::Compensated) => {
                        known.has_succeeded(of(Op::Compensation))
                    }
                    (BranchWork::Tcc { .. } | BranchWork::Saga(_), EndStatus::Completed) => {
                        known.has_succeeded(of(Op::Confirm))
                    }
                    (BranchWork::Tcc { .. }, EndStatus::Compensated) => {
                        known.has_succeeded(of(Op::Cancel))
                    }
                    (BranchWork::Saga(_), EndStatus::Compensated) => {
                        // Of one that was not even asked for nothing is there.
                        known.last_attempt(of(Op::Try)).is_none()
                            || known.has_succeeded(of(Op::Cancel))
                            || !known.dirty.contains(&of(Op::Try))
                    }
                    (BranchWork::Message { .. }, EndStatus::Completed) => {
                        known.has_succeeded(of(Op::Action)) || was_skipped(known, step)
                    }
                    (BranchWork::Message { .. }, EndStatus::Compensated) => {
                        known.last_attempt(of(Op::Action)).is_none()
                    }
                };
                prop_assert!(is_kept, "branch {} is forgotten: {status:?}", branch.id);
            }
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// What a client enlisted is undone in the reverse order, unless it says otherwise, and what does
/// not wait for each other side by side.
pub(super) fn branches_are_undone_in_their_order(story: &Story) -> TestCaseResult {
    let order = order(story);
    let judge = |entry: &Entry, known: &Known| {
        let undo = |branch: usize| {
            let step = story.definition.index_of(story.branches[branch].id.as_str())?;
            let own = story.definition.step(step);
            (own.starts == Starts::ByClient).then(|| CallId { step, op: own.undo_op() })
        };
        let is_ready = |branch: usize| {
            let later = (branch + 1..order.len()).filter(|other| order[*other][branch]);
            later.filter_map(undo).all(|call| known.has_succeeded(call))
        };
        if let Entry::Sent { call, .. } = entry {
            let branch = (0..order.len()).find(|branch| undo(*branch) == Some(*call));
            let is_undo = call.op.is_undo();
            prop_assert!(!is_undo || branch.is_none_or(is_ready), "{call:?} is undone too early");
        }
        // Not between facts that belong together.
        let is_at_rest = matches!(entry, Entry::Sent { .. } | Entry::Answered { .. } | Entry::Held);
        let is_free = !known.is_paused()
            && !known.is_held
            && known.may_use_lock(&story.plan, known.journal.len());
        if is_at_rest && is_free && known.decision() == Some(Decision::Abort) {
            for branch in (0..order.len()).filter(|branch| is_ready(*branch)) {
                let is_begun = undo(branch).is_none_or(|call| known.last_attempt(call).is_some());
                let waits_for_nested = (branch + 1..order.len())
                    .any(|other| order[other][branch] && undo(other).is_none());
                prop_assert!(is_begun || waits_for_nested, "branch {branch} is not being undone");
            }
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// A nested saga that has done its part does nothing by itself: only its parent decides.
pub(super) fn who_is_prepared_waits(story: &Story) -> TestCaseResult {
    let definition = &story.definition;
    let judge = |entry: &Entry, known: &Known| {
        let is_prepared = matches!(story.plan.role, Role::Part { .. })
            && known.has(|event| matches!(event, Event::Started))
            && known.decision().is_none()
            && definition.indices().all(|step| known.is_settled(definition, step));
        if !is_prepared {
            return Ok(());
        }
        match fact(entry) {
            Some(Event::CancelRequested { by } | Event::CommitRequested { by }) => {
                prop_assert_eq!(&by.name, "parent", "somebody else decides");
            }
            Some(Event::Decided { decision: Decision::Abort, .. }) => {
                let is_asked = known.has(|event| matches!(event, Event::CancelRequested { .. }));
                prop_assert!(is_asked, "it aborts by itself");
            }
            _ => {}
        }
        Ok(())
    };
    story.scan(judge).map(drop)
}

/// For each branch, which others it comes after, over any number of them.
fn order(story: &Story) -> Vec<Vec<bool>> {
    let branches = &story.branches;
    let is_compensation =
        |index: usize| matches!(branches[index].work, BranchWork::Compensation { .. });
    let mut order: Vec<Vec<bool>> = Vec::new();
    for (index, branch) in branches.iter().enumerate() {
        let direct: Vec<usize> = match &branch.after {
            Some(ids) => (0..index).filter(|other| ids.contains(&branches[*other].id)).collect(),
            None if is_compensation(index) => (0..index).filter(|o| is_compensation(*o)).collect(),
            None => Vec::new(),
        };
        let mut own = vec![false; branches.len()];
        for other in direct {
            own[other] = true;
            for (mine, theirs) in own.iter_mut().zip(&order[other]) {
                *mine |= theirs;
            }
        }
        order.push(own);
    }
    order
}

/// Whether the client said that it has committed, when it was asked.
fn said_yes(story: &Story, known: &Known) -> bool {
    story
        .definition
        .indices()
        .any(|step| story.is_question(step) && known.has_succeeded(story.forward(step)))
}

fn was_skipped(known: &Known, wanted: StepIndex) -> bool {
    known.has(|event| {
        matches!(event, Event::StepSkipped { step, reason: SkipReason::Operator } if *step == wanted)
    })
}

/// The steps that were there at that time.
fn known_steps(story: &Story, known: &Known) -> impl Iterator<Item = StepIndex> {
    let branches =
        known.events().filter(|event| matches!(event, Event::BranchEnlisted { .. })).count();
    let count = story.definition.steps.len() - story.branches.len() + branches;
    story.definition.indices().take(count)
}
