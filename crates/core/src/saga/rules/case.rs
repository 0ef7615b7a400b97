//! One saga that is told one thing after another.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::branch;
use super::moves::Kind;
use super::network::failed;
use super::plan::Role;
use crate::definition::{Registry, parse};
use crate::saga::{
    Accepted, Actor, Answer, AttemptFailure, Command, Effect, Handled, Input, Op, OutcomeKind,
    Record, Refusal, Saga, Token,
};
use crate::{LockKey, SagaId, Timestamp};

/// One transaction and all that happened to it.
pub(super) struct Case {
    pub(super) saga: Saga,
    base: Arc<crate::definition::Definition>,
    pub(super) records: Vec<Record>,
    pub(super) effects: Vec<Effect>,
    pub(super) now: Timestamp,
}

impl Case {
    pub(super) fn new(document: &Value, change: impl FnOnce(&mut Accepted)) -> Self {
        let parsed = parse(document, &Registry::default());
        let base = parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults));
        let mut accepted = Accepted {
            deadline_at: Some(Timestamp(60_000_000)),
            ..Accepted::new(SagaId::new("s-1").unwrap(), &base)
        };
        change(&mut accepted);
        let is_locked = !accepted.lock_keys.is_empty();
        let (saga, handled) = Saga::accept(Arc::clone(&base), accepted, Timestamp(0));
        let mut case =
            Self { saga, base, records: Vec::new(), effects: Vec::new(), now: Timestamp(0) };
        case.take(handled);
        if is_locked {
            case.tell(Input::Granted(vec![Token(1)])).unwrap();
        }
        case
    }

    pub(super) fn interactive() -> Self {
        Self::new(&json!({ "name": "t", "mode": "interactive" }), |_| {})
    }

    /// Its client can be asked.
    pub(super) fn asked() -> Self {
        let role = Role::Interactive { asks_back: true };
        let document = json!({ "name": "t", "mode": "interactive" });
        Self::new(&document, |accepted| accepted.prepared = role.check_back())
    }

    pub(super) fn locked(mut document: Value, lock: &Value) -> Self {
        document["lock"] = lock.clone();
        Self::new(&document, |accepted| accepted.lock_keys = vec![LockKey::new("k").unwrap()])
    }

    pub(super) fn take(&mut self, handled: Handled) {
        self.records.extend(handled.records);
        self.effects.extend(handled.effects);
    }

    pub(super) fn tell(&mut self, input: Input) -> Result<(), Refusal> {
        let handled = self.saga.handle(self.now, input)?;
        self.take(handled);
        Ok(())
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        self.tell(Input::Command { command, by: Actor::default() })
    }

    pub(super) fn enlist(&mut self, name: &str, kind: Kind) {
        let branch = Box::new(branch(name, kind, None));
        self.command(Command::Enlist { branch }).unwrap();
    }

    /// The calls that are asked for since the last look, such as `confirm a`.
    pub(super) fn calls(&mut self) -> Vec<String> {
        let definition = self.saga.definition();
        let mut calls: Vec<String> = std::mem::take(&mut self.effects)
            .iter()
            .filter_map(|effect| match effect {
                Effect::Call { call, .. } => {
                    Some(format!("{} {}", call.op, definition.step(call.step).id))
                }
                _ => None,
            })
            .collect();
        calls.sort();
        calls
    }

    pub(super) fn answer(
        &mut self,
        step: &str,
        op: Op,
        outcome: OutcomeKind,
    ) -> Result<(), Refusal> {
        let step = self.saga.definition().index_of(step).unwrap();
        let attempt = self.saga.step(step).call(op).attempts;
        let answer = Box::new(match outcome {
            OutcomeKind::Succeeded => Answer::succeeded(None),
            other => failed(other, true, AttemptFailure::Status),
        });
        self.tell(Input::Answered { step, op, attempt, answer })
    }

    pub(super) fn succeed(&mut self, step: &str, op: Op) {
        self.answer(step, op, OutcomeKind::Succeeded).unwrap();
    }

    pub(super) fn pass_deadline(&mut self) {
        self.now = self.saga.deadline_at().unwrap();
        self.tell(Input::DeadlinePassed).unwrap();
    }

    /// Another coordinator goes on from the journal.
    pub(super) fn crash(&mut self) {
        self.saga = Saga::replay(Arc::clone(&self.base), &self.records).unwrap();
        self.effects.clear();
        let _ = self.tell(Input::Recovered { epoch: 2 });
    }
}

/// A saga of one step that can be undone.
pub(super) const PART: &str = r#"{ "name": "t", "steps": [{ "id": "a", "participant": "p",
    "action": { "path": "/" }, "compensation": { "path": "/u" } }] }"#;

/// A nested saga that has done its part.
pub(super) fn part(lock: Option<&Value>) -> Case {
    let mut document: Value = serde_json::from_str(PART).unwrap();
    if let Some(lock) = lock {
        document["lock"] = lock.clone();
    }
    let mut case = Case::new(&document, |accepted| {
        accepted.parent = Role::Part { commits: true }.parent();
        if lock.is_some() {
            accepted.lock_keys = vec![LockKey::new("k").unwrap()];
        }
    });
    case.succeed("a", Op::Action);
    case.effects.clear();
    case
}
