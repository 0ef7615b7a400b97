//! What is run: the definitions of the bench, what their sagas are started with, and the calls that
//! each one takes.

use serde_json::{Value, json};

/// The name under which the idle participant is registered.
pub(super) const PARTICIPANT: &str = "bench";
/// Most calls to it at once, by the coordinator as by its stand-in.
pub(super) const CALLS_MAX: usize = 1_024;
/// What the names of the definitions begin with.
const DEFINITION: &str = "bench-";
/// Over so many lock keys sagas are spread.
const KEYS: u64 = 10_000;

/// A definition of the bench, and how its sagas are started and waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// Its steps.
    pub shape: Shape,
    /// Its lock keys.
    pub keys: Keys,
    /// So many bytes go with the start and with every forward call, besides some words.
    pub payload_bytes: usize,
    /// How its end is learnt.
    pub ending: Ending,
}

/// The steps of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// So many steps, one after the other.
    Chain(usize),
    /// So many steps, side by side.
    Wide(usize),
    /// Three steps of which the last is refused, so that the first two are undone.
    Undo3,
    /// Three TCC steps, tried one after the other, then confirmed side by side.
    Tcc3,
}

/// The lock keys of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// None.
    Free,
    /// One of 10,000 for each saga.
    Spread,
    /// One, the same for all sagas.
    Hot,
}

/// How the end of a saga is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The answer to its start waits for it (`Prefer: wait`).
    Wait,
    /// Its start is answered at once, and the saga is asked for again and again.
    Follow,
}

impl Case {
    /// The case that runs at every number in flight.
    pub(super) const CHAIN3: Self =
        Self { shape: Shape::Chain(3), keys: Keys::Free, payload_bytes: 0, ending: Ending::Wait };

    /// The name of its definition.
    pub(super) fn definition_name(self) -> String {
        format!("{DEFINITION}{self}")
    }

    /// The case whose definition has this name.
    pub(super) fn of_definition(name: &str) -> Option<Self> {
        name.strip_prefix(DEFINITION)?.parse().ok()
    }

    /// The same sagas, but waited for.
    pub(super) fn waited(self) -> Self {
        Self { ending: Ending::Wait, ..self }
    }

    /// The status in which its sagas end.
    pub(super) fn end(self) -> &'static str {
        match self.shape {
            Shape::Chain(_) | Shape::Wide(_) | Shape::Tcc3 => "completed",
            Shape::Undo3 => "compensated",
        }
    }

    /// Its definition.
    pub fn definition(self) -> Value {
        let mut definition = json!({
            "name": self.definition_name(),
            "defaults": { "timeout": "10s" },
            "steps": self.steps(),
        });
        if self.keys != Keys::Free {
            definition["lock"] = json!({ "keys": ["bench:${input.key}"] });
        }
        definition
    }

    fn steps(self) -> Vec<Value> {
        let step = |number| self.saga_step(number, "/do");
        match self.shape {
            Shape::Chain(count) => (1..=count).map(step).collect(),
            Shape::Wide(count) => (1..=count)
                .map(|number| {
                    let mut step = step(number);
                    step["after"] = json!([]);
                    step
                })
                .collect(),
            Shape::Undo3 => vec![step(1), step(2), self.saga_step(3, "/refuse")],
            Shape::Tcc3 => (1..=3).map(|number| self.tcc_step(number)).collect(),
        }
    }

    fn saga_step(self, number: usize, path: &str) -> Value {
        json!({
            "id": format!("step{number}"),
            "participant": PARTICIPANT,
            "action": { "path": path, "body": self.call_body() },
            "compensation": { "path": "/undo" },
        })
    }

    fn tcc_step(self, number: usize) -> Value {
        json!({
            "id": format!("step{number}"),
            "participant": PARTICIPANT,
            "try": { "path": "/try", "body": self.call_body() },
            "confirm": { "path": "/confirm" },
            "cancel": { "path": "/cancel" },
        })
    }

    fn call_body(self) -> Value {
        if self.payload_bytes == 0 {
            return json!({ "order": "${input.order}" });
        }
        json!({ "order": "${input.order}", "payload": "${input.payload}" })
    }

    /// What its sagas carry: letters and digits that hardly shrink when a store packs them.
    pub(super) fn payload(self) -> String {
        let symbols = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            // xorshift64: the same for every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 58).map_or('a', |index| char::from(symbols[index]))
        };
        (0..self.payload_bytes).map(|_| next()).collect()
    }

    /// The request body that starts the saga of this client and round, of the definition with this
    /// name, with the case's payload.
    pub(super) fn start_body(self, name: &str, client: u32, round: u32, payload: &str) -> String {
        let key = match self.keys {
            Keys::Free => String::new(),
            Keys::Hot => r#","key":"hot""#.to_owned(),
            Keys::Spread => format!(r#","key":"{}""#, spread(client, round)),
        };
        let payload = match payload {
            "" => String::new(),
            text => format!(r#","payload":"{text}""#),
        };
        format!(r#"{{"definition":"{name}","input":{{"order":"{client}-{round}"{key}{payload}}}}}"#)
    }

    /// The calls that a saga takes: the paths of one inner list are called side by side, and one
    /// list after the other.
    pub(super) fn rounds(self) -> Vec<Vec<&'static str>> {
        match self.shape {
            Shape::Chain(count) => vec![vec!["/do"]; count],
            Shape::Wide(count) => vec![vec!["/do"; count]],
            Shape::Undo3 => {
                ["/do", "/do", "/refuse", "/undo", "/undo"].map(|path| vec![path]).into()
            }
            Shape::Tcc3 => {
                vec![vec!["/try"], vec!["/try"], vec!["/try"], vec!["/confirm"; 3]]
            }
        }
    }
}

/// A key of its own for nearly every saga in flight: a scrambled number (splitmix64's last step).
fn spread(client: u32, round: u32) -> u64 {
    let number = (u64::from(client) << 32) | u64::from(round);
    let scrambled = (number ^ (number >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (scrambled >> 33) % KEYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_json_with_what_the_definition_reads() {
        let case: Case = "chain3-spread-1k".parse().unwrap();
        let start: Value =
            serde_json::from_str(&case.start_body(&case.definition_name(), 7, 8, &case.payload()))
                .unwrap();
        assert_eq!(start["definition"], "bench-chain3-spread-1k");
        assert_eq!(start["input"]["order"], "7-8");
        assert_eq!(start["input"]["payload"].as_str().unwrap().len(), 1_024);
        assert!(start["input"]["key"].is_string());
    }

    #[test]
    fn spread_keys_are_many_and_a_hot_one_is_one() {
        let keys: std::collections::BTreeSet<u64> =
            (0..64).flat_map(|client| (1..=10).map(move |round| spread(client, round))).collect();
        assert!(keys.len() > 580, "only {} keys for 640 sagas", keys.len());
        let hot: Case = "undo3-hot".parse().unwrap();
        let body: Value =
            serde_json::from_str(&hot.start_body("any", 1, 1, &hot.payload())).unwrap();
        assert_eq!(body["input"]["key"], "hot");
    }
}
