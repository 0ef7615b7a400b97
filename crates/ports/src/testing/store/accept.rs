//! New sagas.

use amends_core::Timestamp;
use amends_core::saga::Record;

use super::state::{SagaRow, State, Ticket};
use super::write::parse_records;
use crate::store::{AcceptOutcome, NewSaga};

impl State {
    /// Makes a saga of facts that were checked before, unless its id or idempotency key is taken.
    pub(super) fn accept(
        &mut self,
        new: &NewSaga,
        records: Vec<Record>,
        now: Timestamp,
    ) -> AcceptOutcome {
        if let Some(existing) = self.existing(new) {
            return existing;
        }
        let ticket = self.take_tickets(&new.saga_id, &new.lock_keys, now);
        if let Some(key) = &new.idempotency_key {
            self.idempotency.insert(key.clone(), new.saga_id.clone());
        }
        if new.header.ended_at.is_none() {
            self.live.insert(new.saga_id.clone());
        }
        self.sagas.insert(new.saga_id.clone(), SagaRow::new(new, ticket, records));
        let tokens = new.grant.as_ref().and_then(|_| self.grant(&new.saga_id));
        if let (Some(grant), Some(tokens)) = (&new.grant, &tokens)
            && let Some(row) = self.sagas.get_mut(&new.saga_id)
        {
            row.header.status = grant.status;
            if let Some(facts) = &grant.facts {
                let told = parse_records(&facts.records(tokens), facts.record_count);
                row.records.extend(told.unwrap_or_default());
            }
        }
        AcceptOutcome::Created { tokens }
    }

    fn existing(&self, new: &NewSaga) -> Option<AcceptOutcome> {
        let by_key = || self.idempotency.get(new.idempotency_key.as_ref()?).cloned();
        let saga_id = Some(new.saga_id.clone())
            .filter(|saga_id| self.sagas.contains_key(saga_id))
            .or_else(by_key)?;
        let request_digest = self.sagas.get(&saga_id)?.request_digest.clone();
        Some(AcceptOutcome::Exists { saga_id, request_digest })
    }
}

impl SagaRow {
    fn new(new: &NewSaga, ticket: Option<Ticket>, records: Vec<Record>) -> Self {
        Self {
            partition: new.partition,
            definition: new.definition.clone(),
            definition_name: new.definition_name.clone(),
            definition_version: new.definition_version,
            labels: new.labels.clone(),
            lock_keys: new.lock_keys.clone(),
            ticket,
            idempotency_key: new.idempotency_key.clone(),
            request_digest: new.request_digest.clone(),
            created_at: new.created_at,
            header: new.header.clone(),
            records,
        }
    }
}
