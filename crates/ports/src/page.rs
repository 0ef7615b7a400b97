//! Lists of sagas: filters, keyset cursors, pages.

use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey, SagaId, StepId, Timestamp};
use serde::Serialize;

/// Which sagas a list shows: all conditions must hold; an empty filter shows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SagaFilter {
    /// Any of these; all, if empty.
    pub statuses: Vec<Status>,
    /// This definition.
    pub definition: Option<DefinitionName>,
    /// Labels with these names and values.
    pub labels: Vec<(String, String)>,
    /// This lock key among its own.
    pub lock_key: Option<LockKey>,
    /// Created at or after this time.
    pub created_from: Option<Timestamp>,
    /// Created before this time.
    pub created_before: Option<Timestamp>,
    /// Id starts with this text.
    pub id_prefix: Option<String>,
}

/// Where a page ends: the last row shown. Newest first, so the next page holds what is older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Creation time of the last row.
    pub created_at: Timestamp,
    /// Id of the last row, for rows of the same moment.
    pub saga_id: SagaId,
}

/// A text that is no cursor of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that a page of this list ended with; start again without one")]
pub struct CursorError;

impl Cursor {
    /// As opaque text for a URL.
    pub fn encode(&self) -> String {
        format!("{:x}.{}", self.created_at.0, self.saga_id)
    }

    /// Reads what [`Cursor::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`CursorError`].
    pub fn decode(text: &str) -> Result<Self, CursorError> {
        let (time, id) = text.split_once('.').ok_or(CursorError)?;
        Ok(Self {
            created_at: Timestamp(i64::from_str_radix(time, 16).map_err(|_| CursorError)?),
            saga_id: SagaId::new(id).map_err(|_| CursorError)?,
        })
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Where the next page starts; none if this was the last.
    pub next: Option<Cursor>,
}

/// One saga in a list: what its row says, without its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SagaSummary {
    /// Its id.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub definition: DefinitionName,
    /// Its definition's version; none for an ad-hoc one.
    pub version: Option<u32>,
    /// Where it stands.
    pub status: Status,
    /// Whether nothing new starts.
    pub paused: bool,
    /// The step that it waits for an operator at, or that made it abort.
    pub step: Option<StepId>,
    /// Why it stands where it stands, in one sentence.
    pub reason: Option<String>,
    /// The caller's labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Its lock keys.
    pub lock_keys: Vec<LockKey>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}
