//! One saga, as the API shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::words::{CallState, Decision, Mode, Op, Outcome, Status, StepKind, StepStatus};

/// A saga as it stood when it was asked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Saga {
    /// Its id.
    pub id: String,
    /// Its definition's name, or the name that an interactive transaction was begun under.
    #[serde(default)]
    pub definition: String,
    /// Its definition's version; none for an ad-hoc one and an interactive transaction.
    #[serde(default)]
    pub version: Option<u32>,
    /// Who leads it; none from servers that know definitions only.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The saga whose branch it is.
    #[serde(default)]
    pub parent: Option<Parent>,
    /// Where it stands.
    pub status: Status,
    /// Whether nothing new starts.
    #[serde(default)]
    pub paused: bool,
    /// The decision, once it is taken.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// Why it stands where it stands; none while all goes well.
    #[serde(default)]
    pub reason: Option<String>,
    /// The step that it waits for an operator at, or that made it abort.
    #[serde(default)]
    pub step: Option<String>,
    /// The caller's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its lock keys, sorted.
    #[serde(default)]
    pub lock_keys: Vec<String>,
    /// Fencing tokens, one a lock key; empty before they are granted.
    #[serde(default)]
    pub tokens: Vec<u64>,
    /// How it stands with its lock keys; none if it has none.
    #[serde(default)]
    pub lock: Option<LockStanding>,
    /// The input.
    #[serde(default)]
    pub input: Value,
    /// What it completed with; null before and otherwise.
    #[serde(default)]
    pub output: Value,
    /// When it was accepted.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When anything about it last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// After this time no forward step starts; an interactive transaction that is not committed
    /// by then is rolled back.
    #[serde(default)]
    pub deadline_at: Option<Timestamp>,
    /// Not before this time.
    #[serde(default)]
    pub start_at: Option<Timestamp>,
    /// Grows with every change.
    #[serde(default)]
    pub seq: u64,
    /// Its steps, in the definition's order; an interactive transaction's branches.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Commands on the whole saga that are permitted now.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// One sentence for people: why it is where it is, what happens next, and when.
    #[serde(default)]
    pub explanation: String,
}

impl Saga {
    /// Whether it ended with all in effect.
    pub fn is_completed(&self) -> bool {
        self.status == Status::Completed
    }

    /// Whether it has ended: nothing about it changes any more.
    pub fn is_ended(&self) -> bool {
        self.status.is_ended()
    }

    /// One step, by its id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The output, read as a type of yours.
    ///
    /// # Errors
    ///
    /// It is not of that shape; it is null unless the saga has completed.
    pub fn output_as<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        T::deserialize(&self.output)
    }
}

/// The saga that a nested one belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Parent {
    /// Its id.
    pub saga: String,
    /// The branch of it.
    #[serde(default)]
    pub branch: String,
}

/// How a saga stands with its lock keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LockStanding {
    /// One a key.
    #[serde(default)]
    pub keys: Vec<LockKey>,
}

/// How a saga stands with one lock key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LockKey {
    /// The key.
    pub key: String,
    /// The fencing token, once it is granted.
    #[serde(default)]
    pub token: Option<u64>,
    /// 0: holds it. Otherwise how many sagas come before it.
    #[serde(default)]
    pub position: u64,
    /// The saga that holds it.
    #[serde(default)]
    pub holder: Option<String>,
}

/// One step of a saga, or one branch of an interactive transaction.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// Its id.
    pub id: String,
    /// What it consists of.
    #[serde(default)]
    pub kind: Option<StepKind>,
    /// Whom it calls; empty for a nested saga.
    #[serde(default)]
    pub participant: Option<String>,
    /// Where it stands.
    pub status: StepStatus,
    /// Whether its success is the point of no return.
    #[serde(default)]
    pub pivot: bool,
    /// Whether its failure is ignored.
    #[serde(default)]
    pub optional: bool,
    /// Ids of the steps it comes after.
    #[serde(default)]
    pub after: Vec<String>,
    /// What its forward call answered; null before.
    #[serde(default)]
    pub output: Value,
    /// Its calls of which anything was sent.
    #[serde(default)]
    pub calls: Vec<SagaCall>,
    /// Commands on it that are permitted now.
    #[serde(default)]
    pub allowed: Vec<String>,
}

/// One call of a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SagaCall {
    /// Which operation.
    pub op: Op,
    /// Where it stands.
    pub state: CallState,
    /// Attempts started so far.
    #[serde(default)]
    pub attempts: u32,
    /// When the next attempt is due.
    #[serde(default)]
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last attempt did not succeed.
    #[serde(default)]
    pub problem: Option<AttemptProblem>,
    /// On an undo: what is known of the forward call.
    #[serde(default)]
    pub forward_outcome: Option<Outcome>,
}

/// Why an attempt did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct AttemptProblem {
    /// What kind of failure: `status`, `timeout`, `reset`, `connect` and others.
    #[serde(default)]
    pub kind: String,
    /// The HTTP status of the participant's answer, if there was one.
    #[serde(default)]
    pub status: Option<u16>,
    /// One sentence.
    #[serde(default)]
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_later_servers_are_read() {
        let saga: Saga = serde_json::from_value(serde_json::json!({
            "id": "a", "definition": "d", "version": null, "status": "hibernating", "output": null,
            "created_at": "2026-11-22T14:19:00.698978Z", "later": {"member": 1},
            "lock": {"keys": [{"key": "sku:1", "token": null, "position": 2, "holder": "b"}]},
            "steps": [{"id": "s", "kind": "message", "participant": null, "status": "waiting",
                "calls": [{"op": "action", "state": "pending", "attempts": 1, "problem": null}]}],
        }))
        .unwrap();
        assert_eq!(saga.status, Status::Other("hibernating".to_owned()));
        assert_eq!(saga.step("s").unwrap().kind, Some(StepKind::Other("message".to_owned())));
        assert_eq!(saga.lock.unwrap().keys[0].position, 2);
        assert!(saga.output.is_null());
    }
}
