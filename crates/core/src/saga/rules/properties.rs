//! Every rule holds in every run.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestCaseResult, TestRunner};

use super::calm::{Run, any_run};
use super::moves::Weather;
use super::story::Story;
use super::{backward, decision, ending, forward, outside, repetition};
use crate::saga::Status;

type Rule = fn(&Story) -> TestCaseResult;

/// The rules with what they say. Rules 1 and 11 are the store's and the engine's.
const RULES: &[(&str, Rule)] = &[
    ("rules 2 and 13: it comes to rest, and a replay is the same", ending::world_and_machine_agree),
    ("rule 3: order forward", forward::steps_come_in_order),
    ("rule 4: one decision", decision::there_is_one_decision),
    ("rule 4: commit comes with the pivot", decision::commit_comes_with_the_pivot),
    ("rule 4: commit is asked for", outside::commit_is_asked_for),
    ("rule 4: an abort has a cause", outside::an_abort_has_a_cause),
    ("rule 5: what may have happened is undone", backward::what_may_have_happened_is_undone),
    ("rule 5: nothing else is undone", backward::nothing_else_is_undone),
    ("rule 6: order backward", backward::undo_goes_backward),
    ("rule 7: undo does not overtake", backward::undo_does_not_overtake),
    ("rule 8: nothing is given up", repetition::nothing_is_given_up_after_the_decision),
    ("rule 9: the pivot", decision::the_pivot_is_the_point_of_no_return),
    ("rule 10: the same request", repetition::every_attempt_sends_the_same),
    ("rule 10: attempts are journalled", repetition::every_attempt_is_journalled),
    ("rule 12: locks", forward::nothing_is_sent_without_the_lock),
    ("pause and hand-over", forward::nothing_starts_while_held_back),
    ("the deadline", forward::nothing_starts_after_the_deadline),
    ("check-back", outside::only_the_silent_are_asked),
    ("branches: not too late", outside::nothing_is_added_too_late),
    ("branches: none is forgotten", outside::no_branch_is_forgotten),
    ("branches: undone in their order", outside::branches_are_undone_in_their_order),
    ("nested: who is prepared waits", outside::who_is_prepared_waits),
    ("completed means done", ending::completed_means_done),
    ("compensated means without effect", ending::compensated_means_without_effect),
];

fn every_rule_holds(run: &Run) -> TestCaseResult {
    let story = run.story();
    for (sentence, rule) in RULES {
        rule(&story).map_err(|why| TestCaseError::fail(format!("{sentence}: {why}")))?;
    }
    Ok(())
}

/// `PROPTEST_CASES` makes it longer; `factor` is for what takes several things to go wrong.
fn config(factor: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { failure_persistence: None, cases: config.cases * factor, ..config }
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn every_rule_holds_in_fair_weather(run in any_run(Weather::Fair)) {
        every_rule_holds(&run)?;
    }

    #[test]
    fn every_rule_holds_when_participants_fail(run in any_run(Weather::Rough)) {
        every_rule_holds(&run)?;
    }

    #[test]
    fn every_rule_holds_when_answers_come_late(run in any_run(Weather::Slow)) {
        every_rule_holds(&run)?;
    }

    #[test]
    fn every_rule_holds_when_operators_meddle(run in any_run(Weather::Meddling)) {
        every_rule_holds(&run)?;
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn every_rule_holds_when_clients_decide(run in any_run(Weather::Client)) {
        every_rule_holds(&run)?;
    }

    #[test]
    fn every_rule_holds_when_parents_decide(run in any_run(Weather::Family)) {
        every_rule_holds(&run)?;
    }

    #[test]
    fn every_rule_holds_when_lock_keys_come_and_go(run in any_run(Weather::Locks)) {
        every_rule_holds(&run)?;
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn every_rule_holds_when_coordinators_crash(run in any_run(Weather::Crashes)) {
        every_rule_holds(&run)?;
    }
}

/// Rules that nothing puts to the test hold too easily.
#[test]
fn runs_come_to_every_end_and_see_every_kind_of_fact() {
    let mut runner = TestRunner::deterministic();
    let (mut ends, mut facts) = (BTreeSet::new(), HashSet::new());
    let weathers = [
        Weather::Fair,
        Weather::Rough,
        Weather::Slow,
        Weather::Crashes,
        Weather::Meddling,
        Weather::Client,
        Weather::Family,
        Weather::Locks,
    ];
    for weather in weathers.into_iter().cycle().take(640) {
        let story = any_run(weather).new_tree(&mut runner).unwrap().current().story();
        ends.insert(story.status);
        facts.extend(story.entries.iter().filter_map(forward::fact).map(std::mem::discriminant));
    }
    let expected = [Status::Suspended, Status::Completed, Status::Compensated, Status::Abandoned];
    assert!(ends.iter().eq(&expected), "{ends:?}");
    assert_eq!(facts.len(), 24, "some kind of fact never came up");
}
