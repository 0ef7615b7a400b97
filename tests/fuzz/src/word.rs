//! Small texts: durations, times, ids, cursors, statuses.

use std::fmt::Display;
use std::str::FromStr;

use amends_core::saga::{Op, Status};
use amends_core::{
    DefinitionName, LockKey, ParticipantName, SagaId, StepId, Timestamp, format_duration,
    parse_duration,
};
use amends_ports::Cursor;

/// Reads a text as each of them; what is written is read as the same.
pub fn word(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text:?}");
    }
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time), "{text:?}");
    }
    if let Ok(cursor) = Cursor::decode(text) {
        let again = Cursor::decode(&cursor.encode()).unwrap();
        assert_eq!((again.created_at, again.saga_id), (cursor.created_at, cursor.saga_id));
    }
    id::<SagaId>(text);
    id::<DefinitionName>(text);
    id::<ParticipantName>(text);
    id::<StepId>(text);
    id::<LockKey>(text);
    id::<Op>(text);
    let _ = Status::from_str(text);
}

/// An id is the text that it was read from.
fn id<T: FromStr + Display>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert_eq!(id.to_string(), text);
    }
}
