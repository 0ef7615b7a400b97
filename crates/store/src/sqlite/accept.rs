//! The submissions of a batch as the statements read them, and what became of each.

use std::collections::HashMap;

use amends_core::SagaId;
use amends_ports::store::{AcceptOutcome, NewSaga};
use serde::Serialize;

use super::batch::{json_array, wake_us};
use super::failure::Failure;

#[derive(Serialize)]
struct SagaJson<'a> {
    saga_id: &'a str,
    partition: u16,
    definition: &'a str,
    definition_name: &'a str,
    definition_version: Option<u32>,
    labels: Option<String>,
    lock_keys: Option<String>,
    idempotency_key: Option<&'a str>,
    request_digest: &'a str,
    created_us: i64,
    status: &'static str,
    paused: bool,
    step: Option<&'a str>,
    reason: Option<&'a str>,
    updated_us: i64,
    ended_us: Option<i64>,
    wake_us: Option<i64>,
    grant: bool,
}

#[derive(Serialize)]
struct FirstFactsJson<'a> {
    saga_id: &'a str,
    record_count: u32,
    records: &'a str,
}

/// The submissions of one batch.
pub(super) struct Submissions<'a> {
    accepts: &'a [NewSaga],
    /// For each submission the index of the first with its id: only that one is tried.
    first_of_id: Vec<usize>,
    /// JSON array of the sagas, one a submission; those not tried are `null`.
    pub(super) sagas: String,
    /// JSON array of their first facts.
    pub(super) facts: String,
    pub(super) has_labels: bool,
    pub(super) has_lock_keys: bool,
}

impl<'a> Submissions<'a> {
    pub(super) fn new(accepts: &'a [NewSaga]) -> Result<Self, Failure> {
        let mut seen: HashMap<&SagaId, usize> = HashMap::with_capacity(accepts.len());
        let first_of_id: Vec<usize> = accepts
            .iter()
            .enumerate()
            .map(|(index, new)| *seen.entry(&new.saga_id).or_insert(index))
            .collect();
        let sagas = accepts.iter().map(saga_json).collect::<Result<Vec<_>, _>>()?;
        let tried = || first_of_id.iter().enumerate().map(|(index, first)| index == *first);
        let sagas =
            json_array(sagas.into_iter().zip(tried()).map(|(saga, tried)| tried.then_some(saga)))?;
        let facts =
            json_array(accepts.iter().zip(tried()).filter(|(_, tried)| *tried).map(|(new, _)| {
                FirstFactsJson {
                    saga_id: new.saga_id.as_str(),
                    record_count: new.record_count,
                    records: &new.records,
                }
            }))?;
        Ok(Self {
            accepts,
            first_of_id,
            sagas,
            facts,
            has_labels: accepts.iter().any(|new| !new.labels.is_empty()),
            has_lock_keys: accepts.iter().any(|new| !new.lock_keys.is_empty()),
        })
    }

    /// What became of each, given those that found a saga; tokens are still to be filled in.
    pub(super) fn outcomes(&self, exists: Vec<(usize, SagaId, String)>) -> Vec<AcceptOutcome> {
        let mut found: HashMap<usize, (SagaId, String)> = exists
            .into_iter()
            .map(|(index, saga_id, request_digest)| (index, (saga_id, request_digest)))
            .collect();
        let mut outcomes: Vec<AcceptOutcome> = Vec::with_capacity(self.accepts.len());
        for (index, first) in self.first_of_id.iter().enumerate() {
            let outcome = match (found.remove(&index), outcomes.get(*first)) {
                (Some((saga_id, request_digest)), _) => {
                    AcceptOutcome::Exists { saga_id, request_digest }
                }
                (None, Some(AcceptOutcome::Created { .. })) => AcceptOutcome::Exists {
                    saga_id: self.accepts[*first].saga_id.clone(),
                    request_digest: self.accepts[*first].request_digest.clone(),
                },
                (None, Some(exists @ AcceptOutcome::Exists { .. })) => exists.clone(),
                (None, None) => AcceptOutcome::Created { tokens: None },
            };
            outcomes.push(outcome);
        }
        outcomes
    }
}

fn saga_json(new: &NewSaga) -> Result<SagaJson<'_>, Failure> {
    let header = &new.header;
    let lock_keys: Vec<&str> = new.lock_keys.iter().map(amends_core::LockKey::as_str).collect();
    Ok(SagaJson {
        saga_id: new.saga_id.as_str(),
        partition: new.partition.0,
        definition: &new.definition.0,
        definition_name: new.definition_name.as_str(),
        definition_version: new.definition_version,
        labels: json_unless(&new.labels, new.labels.is_empty())?,
        lock_keys: json_unless(&lock_keys, lock_keys.is_empty())?,
        idempotency_key: new.idempotency_key.as_deref(),
        request_digest: &new.request_digest,
        created_us: new.created_at.0,
        status: header.status.as_str(),
        paused: header.paused,
        step: header.step.as_ref().map(amends_core::StepId::as_str),
        reason: header.reason.as_deref(),
        updated_us: header.updated_at.0,
        ended_us: header.ended_at.map(|at| at.0),
        wake_us: wake_us(header),
        grant: new.grant.is_some(),
    })
}

fn json_unless<T: Serialize>(value: &T, is_empty: bool) -> Result<Option<String>, Failure> {
    if is_empty {
        return Ok(None);
    }
    serde_json::to_string(value).map(Some).map_err(|error| Failure::NotWritten(error.into()))
}
