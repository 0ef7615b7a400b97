//! What is run: the definitions of the bench.

use serde::Serialize;
use serde_json::{Value, json};

/// The name under which the idle participant is registered.
pub(super) const PARTICIPANT: &str = "bench";

/// A definition of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// Three steps, one after the other.
    Chain3,
    /// One step.
    Chain1,
    /// Three TCC steps, tried one after the other, then confirmed side by side.
    Tcc3,
    /// Three steps of which the last is refused, so that the first two are undone.
    Undo3,
}

impl Case {
    /// The definition's name, and the word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain3 => "chain3",
            Self::Chain1 => "chain1",
            Self::Tcc3 => "tcc3",
            Self::Undo3 => "undo3",
        }
    }

    /// The status in which its sagas end.
    pub fn end(self) -> &'static str {
        match self {
            Self::Chain3 | Self::Chain1 | Self::Tcc3 => "completed",
            Self::Undo3 => "compensated",
        }
    }

    /// Its definition.
    pub fn definition(self) -> Value {
        let steps: Vec<Value> = match self {
            Self::Chain1 => vec![saga_step(1, "/do")],
            Self::Chain3 => (1..=3).map(|number| saga_step(number, "/do")).collect(),
            Self::Tcc3 => (1..=3).map(tcc_step).collect(),
            Self::Undo3 => {
                vec![saga_step(1, "/do"), saga_step(2, "/do"), saga_step(3, "/refuse")]
            }
        };
        json!({ "name": self.name(), "defaults": { "timeout": "10s" }, "steps": steps })
    }
}

fn saga_step(number: u32, path: &str) -> Value {
    json!({
        "id": format!("step{number}"),
        "participant": PARTICIPANT,
        "action": { "path": path, "body": { "order": "${input.order}" } },
        "compensation": { "path": "/undo" },
    })
}

fn tcc_step(number: u32) -> Value {
    json!({
        "id": format!("step{number}"),
        "participant": PARTICIPANT,
        "try": { "path": "/try", "body": { "order": "${input.order}" } },
        "confirm": { "path": "/confirm" },
        "cancel": { "path": "/cancel" },
    })
}
