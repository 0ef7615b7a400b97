//! Model of lease and decision: coordinators that take one saga from one another, crash, and come
//! back late, over a network that loses, doubles and reorders.
//!
//! A claim is possible at any moment. That covers pauses, wrong clocks and leases that ran out,
//! without a clock in the model. The saga is the real one; what it is told and what is done with
//! its effects is what the engine's driver does: write, wait if the facts are awaited, then do. A
//! commit whose answer is lost is a crash, after which the write may land until the next claim
//! raises the epoch.

mod bounds;

use std::sync::Arc;

use amends_core::StepIndex;
use amends_core::saga::{CallId, CallState, Decision, Op, Saga, Status};
use serde_json::json;
use stateright::{Model, Property};

pub use bounds::{Bounds, Fault};

use crate::machine::{Do, Machine, Moved, Node, Reply, Told};

/// The model.
#[derive(Debug)]
pub struct Lease {
    machine: Machine,
    bounds: Bounds,
    fault: Option<Fault>,
}

impl Lease {
    pub fn new(bounds: Bounds, fault: Option<Fault>) -> Self {
        let document = json!({ "name": "d", "steps": bounds.steps });
        let (forward, undo) = bounds.attempts;
        Self { machine: Machine::new(&document, forward, undo), bounds, fault }
    }
}

/// What a participant with a barrier knows of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    None,
    Done,
    /// Undone, or ruled out before it came.
    Void,
}

/// One coordinator that drives the saga, or thinks so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    epoch: u8,
    /// The saga as it knows it.
    memory: Node,
    /// Facts are not written yet.
    dirty: bool,
    /// What is to be done once they are; until then nothing is heard.
    waits: Option<Arc<[Do]>>,
    open: Vec<Open>,
}

/// An attempt that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    call: CallId,
    attempt: u32,
    state: Line,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Line {
    Sent,
    /// The answer is on its way back.
    Answered(Reply),
    /// Another owner's, which is only waited out.
    Draining,
}

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The newest epoch in the store.
    epoch: u8,
    /// The saga in the store.
    stored: Node,
    owners: Vec<Owner>,
    /// A write whose owner is gone, with its epoch.
    stray: Option<(u8, Node)>,
    /// Requests that nobody waits for, that may arrive at any time and would then change something:
    /// one bit each.
    late: u16,
    /// Forward calls that were sent ever.
    sent: u16,
    effects: [Effect; 3],
    takeovers: u8,
    crashes: u8,
    broken: Option<Rule>,
}

/// Rules about moves; those about states are looked at in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    OneDecision,
    IntentFirst,
    DecisionFirst,
    NothingForwardAfterAbort,
    OrderForward,
    OrderBackward,
    UndoAfterForward,
    NoUndoAfterPivot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Claim,
    Crash(usize),
    /// A write lands whose owner is gone.
    Land,
    Write(usize),
    /// The participant takes the request of an open attempt, or something before it refuses it.
    Deliver(usize, usize, Reply),
    /// An answer arrives.
    Answer(usize, usize),
    Timeout(usize, usize),
    NotSent(usize, usize),
    Retry(usize, CallId),
    /// A request arrives that nobody waits for.
    Late(CallId),
    Tell(usize, Told),
}

const fn bit(call: CallId) -> u16 {
    1 << (call.step.0 * 2 + if call.op.is_forward() { 0 } else { 1 })
}

impl Lease {
    fn saga(&self, node: Node) -> Arc<Saga> {
        self.machine.saga(node)
    }

    fn is_over(&self, state: &State) -> bool {
        self.saga(state.stored).status().is_terminal()
    }

    fn may_claim(&self, state: &State) -> bool {
        let is_driven = state.owners.iter().any(|owner| owner.epoch == state.epoch);
        !self.is_over(state) && (!is_driven || state.takeovers < self.bounds.takeovers)
    }

    // --- a coordinator ---------------------------------------------------------------------------

    fn claim(&self, state: &mut State) {
        if state.owners.iter().any(|owner| owner.epoch == state.epoch) {
            state.takeovers += 1;
        }
        if state.owners.len() == self.bounds.owners {
            // The coordinator that has claimed before notices that it lost what it had.
            drop_owner(state, 0);
        }
        state.epoch += 1;
        state.stray = None;
        let found = match self.fault {
            Some(Fault::TakeoverAsReload) => Told::Loaded,
            _ => Told::Recovered,
        };
        self.read(state, found);
    }

    fn crash(&self, state: &mut State, at: usize) {
        state.crashes += 1;
        let Owner { epoch, memory, dirty, .. } = state.owners[at];
        state.stray = dirty.then_some((epoch, memory)).or(state.stray);
        drop_owner(state, at);
        if epoch == state.epoch && self.fault == Some(Fault::ReadWithoutRaise) {
            self.read(state, Told::Recovered);
        }
    }

    fn land(&self, state: &mut State) {
        if let Some((_, memory)) = state.stray.take() {
            self.store(state, memory);
        }
    }

    /// A coordinator reads the saga and drives it, under the newest epoch.
    fn read(&self, state: &mut State, found: Told) {
        let moved = self.machine.tell(state.stored, found);
        state.owners.push(Owner {
            epoch: state.epoch,
            memory: state.stored,
            dirty: false,
            waits: None,
            open: Vec::new(),
        });
        if let Some(moved) = moved {
            self.take(state, state.owners.len() - 1, moved);
        }
    }

    /// The driver's round: what the saga answered is written and done.
    fn take(&self, state: &mut State, at: usize, moved: Moved) {
        let moved = self.with_fault(moved);
        let owner = &mut state.owners[at];
        owner.memory = moved.to;
        owner.dirty |= moved.wrote;
        let is_early = moved.decided && self.fault == Some(Fault::DecisionNotDurable);
        if moved.awaited && !is_early {
            owner.waits = Some(moved.todo);
        } else {
            self.perform(state, at, &moved.todo);
        }
    }

    fn with_fault(&self, mut moved: Moved) -> Moved {
        if self.fault != Some(Fault::UndoBeforeForwardOver) {
            return moved;
        }
        loop {
            let saga = self.saga(moved.to);
            let open = saga.calls().find(|(_, op, call)| {
                op.is_forward() && call.state == CallState::InFlight && saga.decision().is_some()
            });
            let Some((step, op, call)) = open else { return moved };
            let told = Told::Answered(CallId { step, op }, call.attempts, Reply::Unknown);
            let Some(more) = self.machine.tell(moved.to, told) else { return moved };
            moved.to = more.to;
            moved.todo = moved.todo.iter().chain(more.todo.iter()).copied().collect();
            moved.awaited |= more.awaited;
            moved.wrote |= more.wrote;
        }
    }

    fn perform(&self, state: &mut State, at: usize, todo: &[Do]) {
        for one in todo {
            let (Do::Call(call, attempt) | Do::Drain(call, attempt)) = *one;
            let is_call = matches!(one, Do::Call(..));
            if is_call {
                self.watch(state, at, call);
                if call.op.is_forward() {
                    state.sent |= bit(call);
                }
            }
            let line = if is_call { Line::Sent } else { Line::Draining };
            let owner = &mut state.owners[at];
            owner.open.push(Open { call, attempt, state: line });
            owner.open.sort_by_key(|open| open.call);
        }
    }

    fn write(&self, state: &mut State, at: usize) {
        let owner = &mut state.owners[at];
        if owner.epoch != state.epoch && self.fault != Some(Fault::NoEpochCheck) {
            return drop_owner(state, at);
        }
        owner.dirty = false;
        let (memory, waits) = (owner.memory, owner.waits.take());
        self.store(state, memory);
        if self.is_over(state) {
            return drop_owner(state, at);
        }
        if let Some(todo) = waits {
            self.perform(state, at, &todo);
        }
    }

    fn store(&self, state: &mut State, memory: Node) {
        let before = self.saga(state.stored).decision();
        state.stored = memory;
        if before.is_some() && before != self.saga(memory).decision() {
            state.broken = Some(Rule::OneDecision);
        }
    }

    fn hear(&self, state: &mut State, at: usize, line: usize, reply: Reply) {
        let Open { call, attempt, .. } = state.owners[at].open.remove(line);
        let is_first_of_more = attempt < self.bounds.attempts.0;
        let reply = match (self.fault, reply) {
            (Some(Fault::TimeoutAsRefused), Reply::Unknown) if call.op.is_forward() => {
                Reply::Refused
            }
            (Some(Fault::RefusedAfterUnknownKept), Reply::Unknown) if is_first_of_more => {
                Reply::NotSent
            }
            _ => reply,
        };
        let told = Told::Answered(call, attempt, reply);
        if let Some(moved) = self.machine.tell(state.owners[at].memory, told) {
            self.take(state, at, moved);
        }
    }

    // --- participants ----------------------------------------------------------------------------

    /// What the request does, and how it is answered.
    fn arrive(&self, call: CallId, effect: Effect) -> (Effect, Reply) {
        let is_forgotten = self.fault == Some(Fault::EmptyUndoForgotten);
        match (call.op.is_forward(), effect) {
            (true, Effect::Void) => (Effect::Void, Reply::Refused),
            (true, Effect::None | Effect::Done) => (Effect::Done, Reply::Done),
            (false, Effect::None) if is_forgotten => (Effect::None, Reply::Done),
            (false, _) => (Effect::Void, Reply::Done),
        }
    }

    /// What would change nothing now would not later either: it need not be kept.
    fn forget_useless(&self, state: &mut State) {
        for step in self.machine.definition().indices() {
            let (forward, undo) = (Op::Action, Op::Compensation);
            let effect = state.effects[step.get()];
            if effect != Effect::None {
                state.late &= !bit(CallId { step, op: forward });
            }
            if effect == Effect::Void {
                state.late &= !bit(CallId { step, op: undo });
            }
        }
    }

    // --- an operator -----------------------------------------------------------------------------

    /// What an operator may say. They look first, and what they say of a participant is true and
    /// stays true: they have ruled out what has not come.
    fn wishes(&self, state: &State, node: Node) -> Vec<Told> {
        let mut wishes = Vec::new();
        if self.bounds.cancels {
            wishes.push(Told::Cancel);
        }
        if self.bounds.operator {
            for step in self.machine.definition().indices() {
                wishes.push(Told::Skip(step));
                wishes.push(Told::ResolveUndone(step));
                match state.effects[step.get()] {
                    Effect::Done => wishes.push(Told::ResolveSucceeded(step)),
                    Effect::None | Effect::Void => wishes.push(Told::ResolveFailed(step)),
                }
            }
        }
        wishes.retain(|wish| self.machine.tell(node, *wish).is_some_and(|moved| moved.wrote));
        wishes
    }

    fn wish(&self, state: &mut State, at: usize, told: Told) {
        let is_guess = self.fault == Some(Fault::OperatorGuesses);
        match told {
            Told::ResolveFailed(_) if is_guess => {}
            Told::ResolveFailed(step) | Told::ResolveUndone(step) => {
                state.effects[step.get()] = Effect::Void;
            }
            _ => {}
        }
        if let Some(moved) = self.machine.tell(state.owners[at].memory, told) {
            self.take(state, at, moved);
        }
    }

    // --- rules -----------------------------------------------------------------------------------

    /// Looks at a request that is about to leave.
    fn watch(&self, state: &mut State, at: usize, call: CallId) {
        let stored = self.saga(state.stored);
        let definition = self.machine.definition();
        let graph = &definition.graph;
        let mut is_broken = |rule, is_broken: bool| {
            if is_broken {
                state.broken.get_or_insert(rule);
            }
        };
        let intent = &stored.step(call.step).call(call.op).state;
        is_broken(Rule::IntentFirst, *intent == CallState::Idle);
        let is_abort = stored.decision() == Some(Decision::Abort);
        if call.op.is_forward() {
            let is_first = state.sent & bit(call) == 0;
            is_broken(Rule::NothingForwardAfterAbort, is_first && is_abort);
            let is_open = |earlier: StepIndex| {
                let earlier = stored.step(earlier);
                earlier.skipped.is_none() && earlier.forward.state != CallState::Succeeded
            };
            let mut before = definition.indices().filter(|it| graph.is_before(*it, call.step));
            is_broken(Rule::OrderForward, before.any(is_open));
            return;
        }
        is_broken(Rule::DecisionFirst, !is_abort);
        let mut after = definition.indices().filter(|it| graph.is_before(call.step, *it));
        let is_done = after.any(|it| state.effects[it.get()] == Effect::Done);
        is_broken(Rule::OrderBackward, is_done);
        let is_forward = |open: &Open| {
            open.call.step == call.step && open.call.op.is_forward() && open.state != Line::Draining
        };
        let is_open = state.owners[at].open.iter().any(is_forward);
        is_broken(Rule::UndoAfterForward, is_open);
        let pivot = graph.pivot().map(|pivot| &stored.step(pivot).forward.state);
        is_broken(Rule::NoUndoAfterPivot, pivot == Some(&CallState::Succeeded));
    }

    fn aborts_whole(&self, state: &State) -> bool {
        self.saga(state.stored).status() != Status::Compensated
            || state.effects.iter().all(|effect| *effect != Effect::Done)
    }

    fn commits_whole(&self, state: &State) -> bool {
        let saga = self.saga(state.stored);
        saga.status() != Status::Completed
            || self.machine.definition().indices().all(|step| {
                saga.step(step).skipped.is_some() || state.effects[step.get()] == Effect::Done
            })
    }

    fn ends(&self, state: &State) -> bool {
        let status = self.saga(state.stored).status();
        let goes_on = |owner: &Owner| {
            owner.dirty || !owner.open.is_empty() || !self.machine.retries(owner.memory).is_empty()
        };
        status.is_terminal()
            || status == Status::Suspended
            || self.may_claim(state)
            || state.owners.iter().any(goes_on)
    }
}

/// A coordinator is gone: what it has sent may still arrive.
fn drop_owner(state: &mut State, at: usize) {
    for open in state.owners.remove(at).open {
        abandon(state, &open);
    }
}

fn abandon(state: &mut State, open: &Open) {
    if open.state == Line::Sent {
        state.late |= bit(open.call);
    }
}

impl Model for Lease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            epoch: 0,
            stored: self.machine.accepted(),
            owners: Vec::new(),
            stray: None,
            late: 0,
            sent: 0,
            effects: [Effect::None; 3],
            takeovers: 0,
            crashes: 0,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.may_claim(state) {
            actions.push(Action::Claim);
        }
        if state.stray.is_some_and(|(epoch, _)| epoch == state.epoch) {
            actions.push(Action::Land);
        }
        for (at, owner) in state.owners.iter().enumerate() {
            if state.crashes < self.bounds.crashes {
                actions.push(Action::Crash(at));
            }
            if owner.dirty {
                actions.push(Action::Write(at));
            }
            for (line, open) in owner.open.iter().enumerate() {
                if open.state == Line::Sent {
                    let (_, reply) = self.arrive(open.call, state.effects[open.call.step.get()]);
                    actions.push(Action::Deliver(at, line, reply));
                    if open.call.op.is_forward() && reply != Reply::Refused {
                        actions.push(Action::Deliver(at, line, Reply::Refused));
                    }
                }
                if owner.waits.is_some() {
                    continue;
                }
                actions.push(Action::Timeout(at, line));
                if matches!(open.state, Line::Answered(_)) {
                    actions.push(Action::Answer(at, line));
                }
                if self.bounds.unsent && open.state == Line::Sent {
                    actions.push(Action::NotSent(at, line));
                }
            }
            if owner.waits.is_none() {
                let due = self.machine.retries(owner.memory);
                actions.extend(due.iter().map(|call| Action::Retry(at, *call)));
                let wishes = self.wishes(state, owner.memory);
                actions.extend(wishes.into_iter().map(|told| Action::Tell(at, told)));
            }
        }
        for step in self.machine.definition().indices() {
            for op in [Op::Action, Op::Compensation] {
                let call = CallId { step, op };
                let effect = state.effects[step.get()];
                if state.late & bit(call) != 0 && self.arrive(call, effect).0 != effect {
                    actions.push(Action::Late(call));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim => self.claim(&mut state),
            Action::Crash(at) => self.crash(&mut state, at),
            Action::Land => self.land(&mut state),
            Action::Write(at) => self.write(&mut state, at),
            Action::Deliver(at, line, reply) => {
                let call = state.owners[at].open[line].call;
                let (effect, own) = self.arrive(call, state.effects[call.step.get()]);
                if reply == own {
                    state.effects[call.step.get()] = effect;
                }
                state.owners[at].open[line].state = Line::Answered(reply);
            }
            Action::Answer(at, line) => {
                let Line::Answered(reply) = state.owners[at].open[line].state else { return None };
                self.hear(&mut state, at, line, reply);
            }
            Action::Timeout(at, line) => {
                let open = state.owners[at].open[line].clone();
                abandon(&mut state, &open);
                self.hear(&mut state, at, line, Reply::Unknown);
            }
            Action::NotSent(at, line) => self.hear(&mut state, at, line, Reply::NotSent),
            Action::Retry(at, call) => {
                let moved = self.machine.tell(state.owners[at].memory, Told::RetryDue(call))?;
                self.take(&mut state, at, moved);
            }
            Action::Late(call) => {
                let effect = &mut state.effects[call.step.get()];
                *effect = self.arrive(call, *effect).0;
            }
            Action::Tell(at, told) => self.wish(&mut state, at, told),
        }
        self.forget_useless(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! rule {
            ($text:literal, $rule:ident) => {
                Property::<Self>::always($text, |_, state| state.broken != Some(Rule::$rule))
            };
        }
        let mut properties = vec![
            rule!("one decision", OneDecision),
            rule!("intent durable before the call", IntentFirst),
            rule!("decision durable before the undo", DecisionFirst),
            rule!("nothing forward after an abort", NothingForwardAfterAbort),
            rule!("order forward", OrderForward),
            rule!("order backward", OrderBackward),
            rule!("undo after its forward call is over", UndoAfterForward),
            rule!("no undo after the pivot", NoUndoAfterPivot),
            Property::always("an abort undoes all, for ever", Self::aborts_whole),
            Property::always("a commit leaves nothing out", Self::commits_whole),
            Property::always("a saga ends or is suspended", Self::ends),
            Property::sometimes("completed", |model: &Self, state: &State| {
                model.saga(state.stored).status() == Status::Completed
            }),
            Property::sometimes("compensated", |model: &Self, state: &State| {
                model.saga(state.stored).status() == Status::Compensated
            }),
            Property::sometimes("suspended", |model: &Self, state: &State| {
                model.saga(state.stored).status() == Status::Suspended
            }),
        ];
        if self.bounds.takeovers > 0 {
            properties.push(Property::sometimes(
                "an old owner hears success after the end",
                |model: &Self, state: &State| {
                    let hears = |owner: &Owner| {
                        owner.open.iter().any(|open| open.state == Line::Answered(Reply::Done))
                    };
                    model.saga(state.stored).status() == Status::Compensated
                        && state.owners.iter().any(hears)
                },
            ));
        }
        properties
    }
}
