//! Sagas in lists, counts and streams.

use std::collections::BTreeMap;

use amends_core::saga::Status;
use amends_engine::Hint;
use amends_ports::{Page, SagaSummary};
use serde::Serialize;
use utoipa::ToSchema;

use super::{StatusWord, Time};

/// A saga in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SagaSummary)]
pub struct SagaRow {
    /// Its id.
    pub id: String,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version; null for an ad-hoc one.
    pub version: Option<u32>,
    /// Where it stands.
    pub status: StatusWord,
    /// Whether nothing new starts.
    pub paused: bool,
    /// The step that it waits for an operator at, or that made it abort.
    pub step: Option<String>,
    /// Why it stands where it stands; null while all goes well.
    pub reason: Option<String>,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// Its lock keys.
    pub lock_keys: Vec<String>,
    /// When it was accepted.
    pub created_at: Time,
    /// When its status last changed.
    pub updated_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

impl From<SagaSummary> for SagaRow {
    fn from(row: SagaSummary) -> Self {
        Self {
            id: row.saga_id.into(),
            definition: row.definition.into(),
            version: row.version,
            status: row.status.into(),
            paused: row.paused,
            step: row.step.map(String::from),
            reason: row.reason,
            labels: row.labels,
            lock_keys: row.lock_keys.into_iter().map(String::from).collect(),
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
            ended_at: row.ended_at.map(Time),
        }
    }
}

/// A page of sagas, newest first; with `q` in descending order of id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SagaList {
    /// The rows.
    pub sagas: Vec<SagaRow>,
    /// Cursor of the next page; null on the last one.
    pub next: Option<String>,
}

impl From<Page<SagaSummary>> for SagaList {
    fn from(page: Page<SagaSummary>) -> Self {
        Self {
            sagas: page.items.into_iter().map(SagaRow::from).collect(),
            next: page.next.map(|cursor| cursor.encode()),
        }
    }
}

/// How many sagas stand in each status.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub struct CountsView {
    /// One a status, all eight.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub counts: BTreeMap<&'static str, u32>,
    /// Counting stops here.
    pub capped_at: u32,
}

impl CountsView {
    pub(crate) fn new(counted: &[(Status, u32)], capped_at: u32) -> Self {
        let mut counts: BTreeMap<&'static str, u32> =
            Status::ALL.iter().map(|status| (status.as_str(), 0)).collect();
        counts.extend(counted.iter().map(|(status, count)| (status.as_str(), *count)));
        Self { counts, capped_at }
    }
}

/// What an event of a stream says: something about a saga has changed; read it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hint)]
pub struct HintView {
    /// Which saga.
    pub id: String,
    /// Its definition's name.
    pub definition: String,
    /// How many facts it has: later hints have more.
    pub seq: u64,
    /// Where it stands.
    pub status: StatusWord,
}

impl From<&Hint> for HintView {
    fn from(hint: &Hint) -> Self {
        Self {
            id: hint.saga_id.as_str().to_owned(),
            definition: hint.definition.as_str().to_owned(),
            seq: hint.fact_count,
            status: hint.status.into(),
        }
    }
}
