//! Which saga the model of lease and decision looks at, and what goes wrong.

use serde_json::{Value, json};

/// Something to be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write is not refused to an owner whose epoch is old.
    NoEpochCheck,
    /// What follows from an abort decision is done before it is durable.
    DecisionNotDurable,
    /// No answer in time counts as a refusal.
    TimeoutAsRefused,
    /// A participant does not remember an undo of what never came.
    EmptyUndoForgotten,
    /// That an earlier attempt stayed unknown is forgotten when a later one is refused.
    RefusedAfterUnknownKept,
    /// A forward call counts as over when the saga aborts, while its connection is still open.
    UndoBeforeForwardOver,
    /// An operator resolves a call as failed that may still arrive.
    OperatorGuesses,
    /// An owner whose commit was not answered reads what is there and goes on, under its epoch.
    ReadWithoutRaise,
    /// Who takes over does not assume that attempts of the last owner may have gone on.
    TakeoverAsReload,
}

/// Which saga, and how much may go wrong.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The definition's steps.
    pub steps: Value,
    /// Coordinators.
    pub owners: usize,
    /// Claims of a saga whose owner still lives.
    pub takeovers: u8,
    /// Crashes, or commits whose answer is lost: they may land until the epoch is raised.
    pub crashes: u8,
    /// Attempts of a forward call, and of an undo, before it is given up or stuck.
    pub attempts: (u32, u32),
    /// A client may cancel at any moment.
    pub cancels: bool,
    /// An operator skips and resolves at any moment.
    pub operator: bool,
    /// Connections may fail before anything is sent.
    pub unsent: bool,
}

impl Bounds {
    /// Steps in a row, each with an undo.
    pub fn row(ids: &[&str]) -> Self {
        Self::of(ids.iter().map(|id| undoable(id)).collect())
    }

    /// Two steps beside each other.
    pub fn parallel() -> Self {
        let mut steps = vec![undoable("a"), undoable("b")];
        steps[1]["after"] = json!([]);
        Self::of(steps)
    }

    /// An undoable step, the pivot, and a step that must follow.
    pub fn pivot() -> Self {
        let mut pivot = step("b");
        pivot["pivot"] = json!(true);
        Self::of(vec![undoable("a"), pivot, step("c")])
    }

    fn of(steps: Vec<Value>) -> Self {
        Self {
            steps: Value::Array(steps),
            owners: 2,
            takeovers: 1,
            crashes: 1,
            attempts: (2, 2),
            cancels: true,
            operator: false,
            unsent: false,
        }
    }
}

fn step(id: &str) -> Value {
    json!({ "id": id, "participant": "p", "action": { "path": "/a" } })
}

fn undoable(id: &str) -> Value {
    let mut step = step(id);
    step["compensation"] = json!({ "path": "/u" });
    step
}
