//! The real state machine of the core as a table that fills itself: each state of a saga has a
//! short name, and what an input does to it is worked out once.
//!
//! Time stands still in it: retries are due at once, and a deadline passes when the model says so.
//! So a model's clocks may be as wrong as they like.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{Branch, Definition, Registry, parse};
use amends_core::saga::{
    Accepted, Actor, Answer, AttemptFailure, CallId, CallState, Command, Decision, Effect, Event,
    Handled, Input, OutcomeKind, Problem, Record, Saga,
};
use amends_core::{Jitter, RetryPolicy, SagaId, StepIndex, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;

/// The time of everything.
const NOW: Timestamp = Timestamp(0);

/// One state of a saga. States that behave alike have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

/// How an attempt is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    Done,
    Refused,
    Pending,
    /// Nobody knows what became of it.
    Unknown,
    /// There was no connection.
    NotSent,
}

/// What a saga is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    Answered(CallId, u32, Reply),
    Completed(CallId, Reply),
    RetryDue(CallId),
    DeadlinePassed,
    Recovered,
    Loaded,
    Cancel,
    Skip(StepIndex),
    ResolveSucceeded(StepIndex),
    ResolveFailed(StepIndex),
    ResolveUndone(StepIndex),
    Commit,
    /// One of [`Machine::branches`].
    Enlist(u8),
    ParentDecided(Choice),
}

/// [`Decision`], hashable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    Commit,
    Abort,
}

/// What a saga wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Do {
    Call(CallId, u32),
    /// Wait until an attempt of an owner that is gone is over.
    Drain(CallId, u32),
}

/// What came of telling it.
#[derive(Clone, Debug)]
pub struct Moved {
    pub to: Node,
    pub todo: Arc<[Do]>,
    /// Whether nothing may be done before the facts are durable.
    pub awaited: bool,
    /// Whether there are facts at all.
    pub wrote: bool,
    /// Whether they hold the decision.
    pub decided: bool,
}

/// One definition's state machine.
#[derive(Debug)]
pub struct Machine {
    definition: Arc<Definition>,
    accepted: Accepted,
    pub branches: Vec<Branch>,
    forward_attempts: u32,
    other_attempts: u32,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    names: HashMap<String, Node>,
    known: Vec<Known>,
    moves: HashMap<(Node, Told), Option<Moved>>,
}

#[derive(Clone, Debug)]
struct Known {
    saga: Arc<Saga>,
    /// A journal that leads to it.
    journal: Vec<Record>,
    retries: Arc<[CallId]>,
}

impl Machine {
    /// Of this definition; calls are made so often before they are given up or stuck.
    pub fn new(document: &Value, forward_attempts: u32, other_attempts: u32) -> Self {
        let parsed = parse(document, &Registry::default());
        let definition = parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults));
        let accepted = Accepted::new(SagaId::new("s").unwrap(), &definition);
        let table = Mutex::default();
        let branches = Vec::new();
        Self { definition, accepted, branches, forward_attempts, other_attempts, table }
    }

    /// With another acceptance.
    #[must_use]
    pub fn accepting(mut self, change: impl FnOnce(&mut Accepted)) -> Self {
        change(&mut self.accepted);
        self
    }

    /// The definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// A saga that was accepted, and that nobody drives yet.
    pub fn accepted(&self) -> Node {
        let (_, handled) = Saga::accept(Arc::clone(&self.definition), self.accepted.clone(), NOW);
        let journal = handled.records[..1].to_vec();
        let saga = Saga::replay(Arc::clone(&self.definition), &journal).unwrap();
        self.table.lock().name(&self.definition, saga, journal)
    }

    /// A saga that is cancelled before it is made.
    pub fn tombstone(&self) -> Node {
        let accepted = Accepted { cancelled: Some(Actor::default()), ..self.accepted.clone() };
        let (saga, handled) = Saga::accept(Arc::clone(&self.definition), accepted, NOW);
        self.table.lock().name(&self.definition, saga, handled.records)
    }

    /// The saga in this state.
    pub fn saga(&self, node: Node) -> Arc<Saga> {
        Arc::clone(&self.table.lock().known[node.0 as usize].saga)
    }

    /// Calls whose next attempt is due.
    pub fn retries(&self, node: Node) -> Arc<[CallId]> {
        Arc::clone(&self.table.lock().known[node.0 as usize].retries)
    }

    /// What becomes of it; none if it does not listen.
    pub fn tell(&self, node: Node, told: Told) -> Option<Moved> {
        if let Some(known) = self.table.lock().moves.get(&(node, told)) {
            return known.clone();
        }
        let moved = self.work_out(node, told);
        self.table.lock().moves.insert((node, told), moved.clone());
        moved
    }

    fn work_out(&self, node: Node, told: Told) -> Option<Moved> {
        let Known { saga, mut journal, .. } = self.table.lock().known[node.0 as usize].clone();
        let mut saga = match told {
            // Who takes it over knows nothing but the journal.
            Told::Recovered | Told::Loaded => {
                Saga::replay(Arc::clone(&self.definition), &journal).unwrap()
            }
            _ => Saga::clone(&saga),
        };
        let Handled { records, effects } = saga.handle(NOW, self.input(told)).ok()?;
        let awaited = Handled { records: records.clone(), effects: Vec::new() }.is_awaited();
        let decided = records.iter().any(|record| matches!(record.event, Event::Decided { .. }));
        let todo = effects.iter().filter_map(|effect| match effect {
            Effect::Call { call, attempt } => Some(Do::Call(*call, *attempt)),
            Effect::Drain { call, attempt } => Some(Do::Drain(*call, *attempt)),
            Effect::Poll { .. }
            | Effect::Arm { .. }
            | Effect::Lock { .. }
            | Effect::Unlock { .. }
            | Effect::End { .. } => None,
        });
        let wrote = !records.is_empty();
        journal.extend(records);
        let to = self.table.lock().name(&self.definition, saga, journal);
        Some(Moved { to, todo: todo.collect(), awaited, wrote, decided })
    }

    fn input(&self, told: Told) -> Input {
        let command = |command| Input::Command { command, by: Actor::default() };
        let step_id = |step: StepIndex| self.definition.step(step).id.clone();
        match told {
            Told::Answered(call, attempt, reply) => Input::Answered {
                step: call.step,
                op: call.op,
                attempt,
                answer: Box::new(self.answer(call, reply)),
            },
            Told::Completed(call, reply) => Input::Completed {
                step: call.step,
                op: call.op,
                answer: Box::new(self.answer(call, reply)),
            },
            Told::RetryDue(call) => Input::RetryDue { step: call.step, op: call.op },
            Told::DeadlinePassed => Input::DeadlinePassed,
            Told::Recovered => Input::Recovered { epoch: 0 },
            Told::Loaded => Input::Loaded { epoch: 0 },
            Told::Cancel => command(Command::Cancel),
            Told::Skip(step) => command(Command::Skip { step: step_id(step) }),
            Told::ResolveSucceeded(step) => {
                command(Command::ResolveSucceeded { step: step_id(step), output: None, op: None })
            }
            Told::ResolveFailed(step) => command(Command::ResolveFailed { step: step_id(step) }),
            Told::ResolveUndone(step) => command(Command::ResolveUndone { step: step_id(step) }),
            Told::Commit => command(Command::Commit),
            Told::Enlist(branch) => {
                let branch = Box::new(self.branches[usize::from(branch)].clone());
                command(Command::Enlist { branch })
            }
            Told::ParentDecided(choice) => {
                let decision = match choice {
                    Choice::Commit => Decision::Commit,
                    Choice::Abort => Decision::Abort,
                };
                command(Command::ParentDecided { decision })
            }
        }
    }

    fn answer(&self, call: CallId, reply: Reply) -> Answer {
        let attempts_max =
            if call.op.is_forward() { self.forward_attempts } else { self.other_attempts };
        let retry = RetryPolicy {
            attempts_max,
            initial: Duration::ZERO,
            factor: 1.0,
            max: Duration::ZERO,
            jitter: Jitter::None,
        };
        let failed = |outcome, sent| {
            let problem = Problem {
                kind: AttemptFailure::Status,
                status: None,
                detail: String::new(),
                body: None,
            };
            Answer { retry: Some(retry), ..Answer::failed(outcome, sent, problem) }
        };
        match reply {
            Reply::Done => Answer::succeeded(None),
            Reply::Pending => Answer { outcome: OutcomeKind::Pending, ..Answer::succeeded(None) },
            Reply::Refused => failed(OutcomeKind::Refused, true),
            Reply::Unknown => failed(OutcomeKind::Unknown, true),
            Reply::NotSent => failed(OutcomeKind::Retryable, false),
        }
    }
}

impl Table {
    fn name(&mut self, definition: &Arc<Definition>, saga: Saga, journal: Vec<Record>) -> Node {
        let text = behaviour(&saga);
        if let Some(node) = self.names.get(&text) {
            return *node;
        }
        let replayed = Saga::replay(Arc::clone(definition), &journal).unwrap();
        assert_eq!(text, behaviour(&replayed), "the journal alone tells where a saga stands");
        let retries = saga
            .calls()
            .filter(|(_, _, call)| matches!(call.state, CallState::Waiting { .. }))
            .map(|(step, op, _)| CallId { step, op })
            .collect();
        let node = Node(u32::try_from(self.known.len()).unwrap());
        self.names.insert(text, node);
        self.known.push(Known { saga: Arc::new(saga), journal, retries });
        node
    }
}

/// All of a saga's state but what never changes and how many facts led to it.
fn behaviour(saga: &Saga) -> String {
    let text = format!("{saga:?}");
    let (_, state) = text.split_once(", accepted_at: ").unwrap();
    let (before, after) = state.split_once("fact_count: ").unwrap();
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}
