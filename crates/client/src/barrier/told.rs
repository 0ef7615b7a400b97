//! The answers that the barrier gives by itself; a ledger of your own gives them too.

use serde_json::json;

use crate::participant::Answer;

/// To an undo whose forward call never took effect.
pub fn nothing_to_undo() -> Answer {
    Answer::ok(json!({ "nothing_to_undo": true }))
}

/// To a forward call whose undo came before it.
pub fn undone_before() -> Answer {
    Answer::conflict("undone-before", "the undo of this call has come before it")
}

/// To a check-back whose local transaction was not committed, and never will be.
pub fn rolled_back() -> Answer {
    Answer::conflict("rolled-back", "it was not committed here, and never will be")
}

/// To a saga that has lost a lock key to another.
pub fn stale_token(key: &str) -> Answer {
    let detail = format!("a newer holder of {key:?} has been here");
    Answer::conflict("stale-fencing-token", &detail)
}
