//! Lists of sagas: filters, keyset cursors, pages.

use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey, SagaId, StepId, Timestamp};
use serde::Serialize;

/// Which sagas a list shows: all conditions must hold; an empty filter shows all.
///
/// Sagas come newest first, those of the same moment in descending order of id. With
/// [`SagaFilter::id_prefix`] all come in descending order of id: ids that a coordinator makes begin
/// with the time, so that this is newest first as well; a caller's own may have any order.
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
    /// Id starts with this text. Also sets the order.
    pub id_prefix: Option<String>,
}

/// Where a page ends: the last row shown. The next page holds what comes after it in the order of
/// the list: by time, or under a prefix of ids by id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Creation time of the last row.
    pub created_at: Timestamp,
    /// Id of the last row.
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
        // A sign would be read, too, and was never written.
        if !time.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(CursorError);
        }
        let time = u64::from_str_radix(time, 16).map_err(|_| CursorError)?;
        Ok(Self {
            created_at: Timestamp(time.cast_signed()),
            saga_id: SagaId::new(id).map_err(|_| CursorError)?,
        })
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, in the order of the list.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        for time in [0, 1_767_225_600_000_000, i64::MAX, -1] {
            let saga_id = SagaId::new("order.1").unwrap();
            let cursor = Cursor { created_at: Timestamp(time), saga_id };
            let again = Cursor::decode(&cursor.encode()).unwrap();
            assert_eq!((again.created_at, again.saga_id), (cursor.created_at, cursor.saga_id));
        }
        for text in
            ["", ".", "1", "1.", ".a", "-1.a", "+1.a", "x.a", "1.a b", "11111111111111111.a"]
        {
            assert!(Cursor::decode(text).is_err(), "{text:?}");
        }
    }
}
