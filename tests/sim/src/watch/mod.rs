//! Who watches every write, call and grant while a run goes on, and judges them at once.
//!
//! It folds each saga's facts by itself, so that it does not believe what the engine believes.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule looks at the facts that it is about and passes over all others"
)]

mod call;
mod facts;
mod leases;
mod queues;
mod saga;
mod steps;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use amends_core::SagaId;
use amends_core::definition::{Definition, Digest, OnLost};
use amends_core::saga::{Event, Record, Status, Token};
use amends_ports::OutgoingCall;
use amends_ports::store::{AcceptOutcome, Append, Lease, NewSaga, StoredSaga, Tickets};
use amends_ports::testing::Commit;

pub(crate) use call::Phase;
use leases::Leases;
use queues::Queues;
pub(crate) use saga::SagaWatch;

/// What the watch knows.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    definitions: HashMap<Digest, Arc<Definition>>,
    sagas: HashMap<SagaId, SagaWatch>,
    /// Who has which partition.
    pub(crate) leases: Leases,
    queues: Queues,
    /// What was broken, until somebody takes it.
    broken: Vec<String>,
    /// What was seen, how often.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Watch {
    /// A definition that sagas will run.
    pub(crate) fn knows(&mut self, definition: &Arc<Definition>) {
        self.definitions.insert(definition.digest.clone(), Arc::clone(definition));
    }

    /// A definition, by what it is made of.
    pub(crate) fn definition(&self, digest: &Digest) -> Option<Arc<Definition>> {
        self.definitions.get(digest).map(Arc::clone)
    }

    /// What was broken since the last time.
    pub(crate) fn take_broken(&mut self) -> Vec<String> {
        self.broken.append(&mut self.leases.broken);
        std::mem::take(&mut self.broken)
    }

    /// One saga, as far as it is written.
    pub(crate) fn saga(&self, saga_id: &SagaId) -> Option<&SagaWatch> {
        self.sagas.get(saga_id)
    }

    /// All sagas, by id.
    pub(crate) fn sagas(&self) -> Vec<&SagaWatch> {
        let mut all: Vec<_> = self.sagas.values().collect();
        all.sort_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// Notes that something was seen.
    pub(crate) fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    // --- what the store does ---------------------------------------------------------------------

    /// A batch was written.
    pub(crate) fn written(&mut self, commit: &Commit<'_>) {
        let leases = &commit.batch.leases;
        self.leases.check(leases);
        for append in &commit.batch.appends {
            let lease = leases.iter().find(|lease| lease.partition == append.partition);
            self.appended(append, lease.copied(), commit);
        }
        for successor in &commit.written.successors {
            let id = &successor.saga.saga_id;
            self.broken.extend(self.queues.granted(id, &successor.tokens));
            self.see("keys handed on");
        }
        for (new, outcome) in commit.batch.accepts.iter().zip(&commit.written.accepts) {
            if let AcceptOutcome::Created { tokens } = outcome {
                let lease = leases.iter().find(|lease| lease.partition == new.partition);
                self.accepted(new, tokens.as_deref(), lease.copied(), commit);
            }
        }
        for (grant, tokens) in commit.batch.grants.iter().zip(&commit.written.grants) {
            if let Some(tokens) = tokens {
                self.broken.extend(self.queues.granted(&grant.saga_id, tokens));
            }
        }
    }

    fn accepted(
        &mut self,
        new: &NewSaga,
        tokens: Option<&[Token]>,
        lease: Option<Lease>,
        commit: &Commit<'_>,
    ) {
        let id = &new.saga_id;
        let records = commit.records(id, 0);
        let Some((Record { at, event: Event::Accepted(accepted) }, rest)) = records.split_first()
        else {
            return self
                .broken
                .push(format!("{id}: its journal does not begin with its acceptance"));
        };
        let Some(definition) = self.definitions.get(&accepted.definition) else {
            return self.broken.push(format!("{id} runs a definition that nobody stored"));
        };
        let saga = SagaWatch::new(Arc::clone(definition), accepted.clone(), *at);
        if self.sagas.insert(id.clone(), saga).is_some() {
            self.broken.push(format!("S19: {id} was accepted twice"));
        }
        self.queues.enter(id, &new.lock_keys);
        let granted = new.grant.as_ref().zip(tokens);
        if let Some((_, tokens)) = granted {
            self.broken.extend(self.queues.granted(id, tokens));
        }
        self.fold(id, rest, lease, commit);
        // If its facts don't tell of the grant yet, its row does.
        let untold = granted.filter(|(grant, _)| grant.facts.is_none());
        self.check_row(id, untold.map(|(grant, _)| grant.status), commit);
    }

    fn appended(&mut self, append: &Append, lease: Option<Lease>, commit: &Commit<'_>) {
        let id = &append.saga_id;
        let records = commit.records(id, append.from);
        if lease.is_none() {
            self.broken.push(format!("S4: {id} was written without the lease of its partition"));
        }
        if !records.is_empty() {
            self.fold(id, records, lease, commit);
        }
        self.check_row(id, None, commit);
        let Some(saga) = self.sagas.get(id) else { return };
        match append.tickets {
            Tickets::Keep => {}
            Tickets::Release if saga.may_release() => self.queues.leave(id),
            Tickets::Release => {
                self.broken.push(format!("rule 12: {id} gave its lock keys back too early"));
                self.queues.leave(id);
            }
            Tickets::Requeue => self.queues.requeue(id, &saga.accepted.lock_keys),
        }
        if saga.end.is_some() && self.queues.stands_in(id) {
            self.broken.push(format!("S18: {id} has ended and keeps its lock keys"));
        }
    }

    /// Takes new facts of a saga in.
    fn fold(&mut self, id: &SagaId, records: &[Record], lease: Option<Lease>, commit: &Commit<'_>) {
        let Some(saga) = self.sagas.get_mut(id) else {
            return self.broken.push(format!("S2: {id} was written and never accepted"));
        };
        let epoch = lease.map_or(0, |lease| lease.epoch.0);
        if epoch < saga.epoch {
            self.broken.push(format!("S4: {id} was written under {epoch} after {}", saga.epoch));
        }
        saga.epoch = epoch.max(saga.epoch);
        for record in records {
            let what = saga.check(record, epoch);
            if let Some(rule) = what {
                let event = serde_json::to_string(record).unwrap_or_default();
                self.broken.push(format!("{rule}: {id} at {:?}: {event}", commit.at));
            }
            match &record.event {
                Event::LockGranted { tokens } => {
                    let keys = &saga.accepted.lock_keys;
                    self.broken.extend(self.queues.holds(id, keys, tokens));
                }
                Event::LockReleased { .. } => self.queues.lets_go(id),
                _ => {}
            }
            for what in saga.fold(record) {
                *self.seen.entry(what).or_default() += 1;
            }
        }
        if saga.may_release() {
            self.queues.lets_go(id);
        }
        if saga.end.is_some() {
            self.judge_nested(id);
        }
    }

    /// The row says what the facts say, or the status that came with a grant.
    fn check_row(&mut self, id: &SagaId, granted: Option<Status>, commit: &Commit<'_>) {
        let Some(saga) = self.sagas.get(id) else { return };
        let row = commit.status(id);
        let facts = granted.unwrap_or_else(|| saga.status());
        if row != Some(facts) {
            self.broken.push(format!("S2: the row of {id} says {row:?} and should say {facts}"));
        }
    }

    /// A saga was deleted.
    pub(crate) fn deleted(&mut self, saga_id: &SagaId) {
        self.see("deleted");
        let Some(saga) = self.sagas.get_mut(saga_id) else { return };
        saga.is_deleted = true;
        if saga.end.is_none() {
            self.broken.push(format!("S1: {saga_id} was deleted and had not ended"));
        }
        let parent = saga.accepted.parent.as_ref().map(|parent| parent.saga_id.clone());
        let parent = parent.and_then(|parent| self.sagas.get(&parent));
        if let Some(parent) = parent.filter(|parent| parent.end.is_none()) {
            let parent = parent.id();
            self.broken.push(format!("S1: {saga_id} was deleted, and {parent} may ask for it"));
        }
    }

    /// A coordinator has read sagas to drive them.
    pub(crate) fn taken(&mut self, found: &[StoredSaga], leases: &[Lease]) {
        for stored in found {
            let Some(saga) = self.sagas.get_mut(&stored.saga_id) else { continue };
            let lease = leases.iter().find(|lease| lease.partition == stored.partition);
            let Some(epoch) = lease.map(|lease| lease.epoch.0) else { continue };
            if epoch > saga.epoch.max(saga.taken_under) && saga.epoch > 0 {
                let what = saga.place();
                *self.seen.entry(what).or_default() += 1;
            }
            saga.taken_under = epoch.max(saga.taken_under);
        }
    }

    // --- what participants and clients see -----------------------------------------------------------

    /// S5: what arrives was written down before it left.
    pub(crate) fn calls(&mut self, call: &OutgoingCall) {
        let key = &call.key;
        let Some(saga) = self.sagas.get(&key.saga_id) else {
            return self.broken.push(format!("S1: {key} was called for a saga that is not there"));
        };
        if let Some(what) = saga.check_call(call) {
            self.broken.push(format!("{what}: {key} attempt {}", call.attempt));
        }
    }

    /// A saga lost the guard of its keys on the lock service.
    pub(crate) fn guard_lost(&mut self, saga_id: &SagaId) {
        let Some(saga) = self.sagas.get(saga_id) else { return };
        if saga.started && saga.end.is_none() && saga.granted {
            let what = match saga.definition.lock.as_ref().map(|lock| lock.on_lost) {
                Some(OnLost::Abort) => "guard lost, on_lost abort",
                Some(OnLost::Fence) => "guard lost, on_lost fence",
                Some(OnLost::Pause) | None => "guard lost, on_lost pause",
            };
            self.see(what);
        }
    }

    /// Saga and branch are decided together.
    fn judge_nested(&mut self, id: &SagaId) {
        let Some(saga) = self.sagas.get(id) else { return };
        for step in saga.definition.indices() {
            let Some(nested) = &saga.definition.step(step).nested else { continue };
            let child = self.sagas.get(&nested.saga_id);
            let what = match (saga.end, child.map(|child| child.end)) {
                (Some(end), Some(Some(same))) if end == same => match end {
                    amends_core::saga::EndStatus::Completed => "nested commit",
                    amends_core::saga::EndStatus::Compensated => "nested abort",
                    amends_core::saga::EndStatus::Abandoned => "nested abandoned",
                },
                // Nothing of it was ever asked for.
                (Some(amends_core::saga::EndStatus::Compensated), None)
                    if saga.steps[step.get()].forward.attempts == 0 =>
                {
                    "nested never began"
                }
                (own, of_child) => {
                    let text = format!("{id} ended {own:?}, its branch {of_child:?}");
                    self.broken.push(format!("rule 4, nested: {text}"));
                    continue;
                }
            };
            *self.seen.entry(what).or_default() += 1;
        }
    }
}
