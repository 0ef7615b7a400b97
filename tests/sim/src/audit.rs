//! What is judged when a run is over: the participants' books beside the journals, and what clients
//! were told. All else was judged when it happened ([`crate::watch`]).

use amends_core::definition::{Mode, Starts, StepKind};
use amends_core::saga::{Decision, EndStatus, Record, Saga, Status};

use crate::books::Books;
use crate::client::Known;
use crate::watch::SagaWatch;
use crate::world::World;

/// One saga at the end: as its journal says.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) saga: Saga,
    pub(crate) records: Vec<Record>,
    pub(crate) row_status: Status,
}

/// Judges a run.
pub(crate) fn audit(world: &World, sagas: &[Ended], known: &[Known]) {
    let mut broken = world.watch(|watch| {
        let books = world.books.lock();
        let mut broken: Vec<String> =
            watch.sagas().into_iter().flat_map(|saga| books_agree(&books, saga)).collect();
        broken.extend(known.iter().flat_map(|client| {
            let saga = client.saga_id.as_ref().and_then(|id| watch.saga(id));
            told_is_true(&books, saga, client)
        }));
        for book in books.all() {
            if book.empty_undos > 0 {
                watch.see("empty undo");
            }
            if book.late_refused > 0 {
                watch.see("late call refused");
            }
        }
        broken
    });
    for ended in sagas {
        let (id, status) = (ended.saga.id(), ended.saga.status());
        let by_watch = world.watch(|watch| watch.saga(id).map(SagaWatch::status));
        if status != ended.row_status || by_watch != Some(status) {
            let row = ended.row_status;
            broken.push(format!("S2: {id}: row {row}, facts {status}, {by_watch:?} by the watch"));
        }
    }
    for what in broken {
        for ended in sagas.iter().filter(|ended| is_about(&what, ended)) {
            tell(world, ended);
        }
        world.violated(&what);
    }
}

fn is_about(what: &str, ended: &Ended) -> bool {
    what.split(|c: char| !c.is_alphanumeric()).any(|word| word == ended.saga.id().as_str())
}

/// Shows a saga, if somebody looks.
pub(crate) fn tell(world: &World, ended: &Ended) {
    world.show(|| format!("definition {}", ended.saga.definition().source.as_str()));
    for record in &ended.records {
        world.show(|| serde_json::to_string(record).unwrap_or_default());
    }
}

/// Exactly once, and all or nothing, by the participants' books (S7, S8, S12 to S14).
fn books_agree(books: &Books, saga: &SagaWatch) -> Vec<String> {
    let id = saga.id();
    let mut broken = Vec::new();
    for index in saga.definition.indices() {
        let (step, state) = (saga.definition.step(index), &saga.steps[index.get()]);
        if step.nested.is_some() || step.starts == Starts::WhenSilent {
            continue;
        }
        let book = books.step(id, &step.id);
        let net = i64::from(book.effects) - i64::from(book.undos);
        let rule = match saga.end {
            Some(EndStatus::Completed) => {
                let is_tcc = step.kind == StepKind::Tcc;
                match state.skipped {
                    Some(_) => (net != 0).then_some("S3: a skipped step has an effect"),
                    None if book.undos > 0 => Some("S8: undone in a commit"),
                    None if is_tcc && saga.needs_confirm(index) && book.confirms != 1 => {
                        Some("S8: not confirmed")
                    }
                    None if !step.optional && net != 1 => Some("S8: committed without its effect"),
                    None => None,
                }
            }
            Some(EndStatus::Compensated) => {
                let may_stay = step.optional && step.undo.is_none();
                if book.confirms > 0 {
                    Some("S7: confirmed in an abort")
                } else {
                    (net != 0 && !may_stay).then_some("S7: not undone")
                }
            }
            Some(EndStatus::Abandoned) | None => None,
        };
        broken.extend(rule.map(|rule| format!("{rule}: {id}/{}: {book:?}", step.id)));
    }
    broken
}

/// What clients were told, and what they did themselves.
fn told_is_true(books: &Books, saga: Option<&SagaWatch>, client: &Known) -> Vec<String> {
    let Some(id) = &client.saga_id else { return Vec::new() };
    let Some(saga) = saga else { return vec![format!("S1: {id} was accepted and is lost")] };
    if saga.definition.mode != Mode::Interactive {
        return Vec::new();
    }
    let mut broken = Vec::new();
    if client.told.is_some() && client.told != saga.decision {
        broken.push(format!("{id} was told {:?} and decided {:?}", client.told, saga.decision));
    }
    if saga.decision == Some(Decision::Commit) && !client.all_done {
        broken.push(format!("{id} committed what its client had not done"));
    }
    let is_committed = books.local(id) == Some(true);
    if saga.accepted.prepared.is_some() && is_committed != (saga.end == Some(EndStatus::Completed))
    {
        let end = saga.end;
        broken.push(format!("rule 4: {id} ended {end:?}, its client committed: {is_committed}"));
    }
    broken
}
