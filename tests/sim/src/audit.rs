//! The invariants, judged from journals, books and what clients were told.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an invariant looks at the facts that it is about and passes over all others"
)]

use std::collections::BTreeMap;

use amends_core::definition::{LockRelease, Mode, Starts, StepKind};
use amends_core::saga::{Decision, EndStatus, Event, Record, Saga, Status, Token};
use amends_core::{LockKey, Timestamp};

use crate::client::Known;
use crate::world::World;

/// One saga at the end: as its journal says.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) saga: Saga,
    pub(crate) records: Vec<Record>,
    pub(crate) row_status: Status,
}

/// Judges all sagas of a run.
pub(crate) fn audit(world: &World, sagas: &[Ended], known: &[Known]) {
    for ended in sagas {
        let before = world.violations().len();
        state_is_the_fold(world, ended);
        one_decision(world, ended);
        order_holds(world, ended);
        books_agree(world, ended);
        if world.violations().len() > before {
            world.log(|| format!("definition {}", ended.saga.definition().source.as_str()));
            for record in &ended.records {
                world.log(|| serde_json::to_string(record).unwrap_or_default());
            }
        }
    }
    told_is_true(world, sagas, known);
    locks_exclude(world, sagas);
    for ended in sagas {
        world.seen(match ended.saga.status() {
            Status::Completed => "completed",
            Status::Compensated => "compensated",
            Status::Abandoned => "abandoned",
            Status::Queued
            | Status::Running
            | Status::Confirming
            | Status::Compensating
            | Status::Suspended => "not ended",
        });
        if ended.records.iter().any(|record| matches!(record.event, Event::Recovered { .. })) {
            world.seen("taken over");
        }
    }
    for (_, book) in world.books.lock().all() {
        if book.empty_undos > 0 {
            world.seen("empty undo");
        }
        if book.late_refused > 0 {
            world.seen("late call refused");
        }
    }
}

/// Rule 13: the row says what the journal adds up to.
fn state_is_the_fold(world: &World, ended: &Ended) {
    let status = ended.saga.status();
    if status != ended.row_status {
        let id = ended.saga.id();
        world
            .violated(format!("{id} is {} by its row and {status} by its facts", ended.row_status));
    }
}

/// Rules 4 and 9.
fn one_decision(world: &World, ended: &Ended) {
    let decisions =
        ended.records.iter().filter(|record| matches!(record.event, Event::Decided { .. })).count();
    let end = ended.records.iter().find_map(|record| match &record.event {
        Event::Ended { status, .. } => Some(*status),
        _ => None,
    });
    let id = ended.saga.id();
    if decisions > 1 {
        world.violated(format!("{id} was decided {decisions} times"));
    }
    let fits = match (end, ended.saga.decision()) {
        (Some(EndStatus::Completed), decision) => decision == Some(Decision::Commit),
        (Some(EndStatus::Compensated), decision) => decision == Some(Decision::Abort),
        (Some(EndStatus::Abandoned) | None, _) => true,
    };
    if !fits {
        world.violated(format!("{id} ended {end:?} after {:?}", ended.saga.decision()));
    }
}

/// Rules 3, 4, 6 and 7, from the order of facts.
fn order_holds(world: &World, ended: &Ended) {
    let saga = &ended.saga;
    let (definition, id) = (saga.definition(), saga.id());
    let mut decided = None;
    let mut undone = vec![false; definition.steps.len()];
    let mut in_flight = vec![false; definition.steps.len()];
    let mut started = vec![false; definition.steps.len()];
    for record in &ended.records {
        match &record.event {
            Event::Decided { decision, .. } => decided = Some(*decision),
            Event::CallStarted { step, op, attempt } => {
                let index = step.get();
                if op.is_forward() {
                    started[index] = true;
                    in_flight[index] = true;
                    if *attempt == 1 && decided == Some(Decision::Abort) {
                        world.violated(format!("{id} began step {index} after its abort"));
                    }
                } else if op.is_undo() {
                    if decided != Some(Decision::Abort) {
                        world.violated(format!("{id} undid step {index} without an abort"));
                    }
                    if in_flight[index] && *attempt == 1 {
                        world.violated(format!("{id} undid step {index} in flight"));
                    }
                    for later in definition.indices() {
                        let is_later = definition.graph.is_before(*step, later);
                        let is_open = saga.step(later).undo.attempts > 0 && !undone[later.get()];
                        if is_later && is_open {
                            world.violated(format!("{id} undid {index} before {}", later.get()));
                        }
                    }
                } else if decided != Some(Decision::Commit) {
                    world.violated(format!("{id} confirmed step {index} without a commit"));
                }
            }
            Event::CallAnswered { step, op, answer, .. } => {
                in_flight[step.get()] &= !op.is_forward();
                if op.is_undo() && answer.outcome == amends_core::saga::OutcomeKind::Succeeded {
                    undone[step.get()] = true;
                }
            }
            Event::CallResolved { step, op, succeeded, .. } => {
                in_flight[step.get()] &= !op.is_forward();
                undone[step.get()] |= op.is_undo() && *succeeded;
            }
            Event::CallGivenUp { step, .. } => in_flight[step.get()] = false,
            _ => {}
        }
    }
}

/// Exactly once, and all or nothing, by the participants' books.
fn books_agree(world: &World, ended: &Ended) {
    let saga = &ended.saga;
    let id = saga.id();
    let books = world.books.lock();
    let mut faults = Vec::new();
    for index in saga.definition().indices() {
        let (step, state) = (saga.definition().step(index), saga.step(index));
        let book = books.step(id, &step.id);
        if book.effects > 1 || book.undos > 1 || book.confirms > 1 {
            faults.push(format!("{id}/{} took effect more than once: {book:?}", step.id));
        }
        let net = i64::from(book.effects) - i64::from(book.undos);
        let is_forward_ours = step.starts != Starts::ByClient;
        match saga.status() {
            Status::Completed => {
                let must = state.skipped.is_none() && !step.optional && step.nested.is_none();
                if must && is_forward_ours && step.starts != Starts::WhenSilent && net != 1 {
                    faults.push(format!("{id}/{} is committed without its effect", step.id));
                }
                let is_tcc = step.kind == StepKind::Tcc && step.nested.is_none();
                if is_tcc && state.skipped.is_none() && book.confirms != 1 {
                    faults.push(format!("{id}/{} was not confirmed: {book:?}", step.id));
                }
                if book.undos > 0 {
                    faults.push(format!("{id}/{} was undone in a commit", step.id));
                }
            }
            Status::Compensated => {
                if step.undo.is_some() && step.nested.is_none() && net != 0 {
                    faults.push(format!("{id}/{} was not undone: {book:?}", step.id));
                }
                if book.confirms > 0 {
                    faults.push(format!("{id}/{} was confirmed in an abort", step.id));
                }
                let is_message = step.starts == Starts::AfterCommit;
                if is_message && book.effects > 0 {
                    faults.push(format!("{id}/{} was sent in an abort", step.id));
                }
            }
            Status::Abandoned
            | Status::Queued
            | Status::Running
            | Status::Confirming
            | Status::Compensating
            | Status::Suspended => {}
        }
    }
    drop(books);
    for fault in faults {
        world.violated(fault);
    }
}

/// Rule 1, and what clients of transactions were told.
fn told_is_true(world: &World, sagas: &[Ended], known: &[Known]) {
    let by_id: BTreeMap<_, _> =
        sagas.iter().map(|ended| (ended.saga.id().clone(), ended)).collect();
    for client in known.iter().filter(|client| client.acknowledged) {
        let id = &client.saga_id;
        let Some(ended) = by_id.get(id) else {
            world.violated(format!("{id} was accepted and is lost"));
            continue;
        };
        if ended.saga.mode() != Mode::Interactive {
            continue;
        }
        for name in &client.branches {
            if ended.saga.definition().index_of(name).is_none() {
                world.violated(format!("{id}: branch {name} was enlisted and is lost"));
            }
        }
        let decision = ended.saga.decision();
        if client.told.is_some() && client.told != decision {
            world.violated(format!("{id} was told {:?} and decided {decision:?}", client.told));
        }
    }
}

/// Rule 12: one at a time, first come first served.
fn locks_exclude(world: &World, sagas: &[Ended]) {
    #[derive(Debug)]
    struct Hold<'s> {
        token: Token,
        from: Timestamp,
        until: Timestamp,
        saga: &'s Saga,
        was_requeued: bool,
    }
    let mut holds: BTreeMap<&LockKey, Vec<Hold<'_>>> = BTreeMap::new();
    for Ended { saga, records, .. } in sagas {
        let keys = &saga.accepted().lock_keys;
        let releases_early =
            saga.definition().lock.as_ref().is_some_and(|lock| lock.release == LockRelease::Pivot);
        let was_requeued =
            records.iter().any(|record| matches!(record.event, Event::LockReleased { .. }));
        for (at, record) in records.iter().enumerate() {
            let Event::LockGranted { tokens } = &record.event else { continue };
            let end = records[at..].iter().find(|later| match &later.event {
                Event::Ended { .. } | Event::LockReleased { .. } => true,
                Event::Decided { decision, .. } => releases_early && *decision == Decision::Commit,
                _ => false,
            });
            let until = end.map_or(Timestamp(i64::MAX), |record| record.at);
            for (key, token) in keys.iter().zip(tokens) {
                let (token, from) = (*token, record.at);
                holds.entry(key).or_default().push(Hold { token, from, until, saga, was_requeued });
            }
        }
    }
    for (key, mut holds) in holds {
        holds.sort_by_key(|hold| hold.token);
        for pair in holds.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            if first.token == second.token {
                world.violated(format!("{key}: token {:?} was given twice", first.token));
            }
            if second.from < first.until && first.saga.id() != second.saga.id() {
                world.violated(format!(
                    "{key}: {} and {} overlap",
                    first.saga.id(),
                    second.saga.id()
                ));
            }
            let places = (world.place(first.saga.id()), world.place(second.saga.id()));
            if let (Some(one), Some(other)) = places
                && one > other
                && !first.was_requeued
                && !second.was_requeued
            {
                world.violated(format!("{key}: {} overtook {}", first.saga.id(), second.saga.id()));
            }
        }
    }
}
