//! Model of an interactive transaction: its clients enlist, try, commit and roll back as they like,
//! and a nested saga is one of its branches. Both are the real state machine.
//!
//! What its owner writes is durable at once here, and it is taken over at any moment; what lies
//! between is looked at in the model of lease and decision. A deadline may pass at any moment.

mod cast;

use std::sync::Arc;

use amends_core::definition::BranchWork;
use amends_core::saga::{CallId, CallState, Decision, Op, Saga, Status};
use stateright::{Model, Property};

pub use cast::{Bounds, Fault};

use crate::machine::{Choice, Do, Machine, Moved, Node, Reply, Told};

/// The model.
#[derive(Debug)]
pub struct Tcc {
    parent: Machine,
    child: Machine,
    bounds: Bounds,
    fault: Option<Fault>,
}

/// What a participant with a barrier knows of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    None,
    Tried,
    Confirmed,
    Void,
}

/// Whom a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum To {
    /// The branch that the client tries.
    Branch,
    /// The nested saga.
    Child,
    /// The nested saga's own branch.
    Inner,
}

/// One of the two sagas and its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    node: Node,
    open: Vec<Open>,
}

/// An attempt, and its answer once that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    call: CallId,
    attempt: u32,
    to: To,
    answer: Option<Reply>,
    drains: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    parent: Side,
    child: Option<Side>,
    branch: Hold,
    inner: Hold,
    /// The client was told that its branch is in, and that its try took effect.
    is_enlisted: bool,
    is_tried: bool,
    /// Requests that nobody waits for and that would change something if they arrived; and
    /// forward calls that were sent ever.
    late: u16,
    sent: u16,
    takeovers: u8,
    broken: Option<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    OneDecision,
    NothingForwardAfterDecision,
    ConfirmAndCancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client asks; the answer may be lost.
    Enlist(u8),
    /// The client's own call arrives, and its answer or not.
    Try(bool),
    Commit,
    Rollback,
    DeadlinePasses(Which),
    Deliver(Which, usize, bool),
    Answer(Which, usize),
    Timeout(Which, usize),
    Retry(Which, CallId),
    /// The transaction looks how a call on its nested saga stands.
    Look(CallId, Reply),
    TakeOver(Which),
    Late(To, Op),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    Parent,
    Child,
}

const OPS: [Op; 3] = [Op::Try, Op::Confirm, Op::Cancel];
const ENLIST_BRANCH: u8 = 0;
const ENLIST_CHILD: u8 = 1;

fn bit(to: To, op: Op) -> u16 {
    let op = OPS.iter().position(|other| *other == op).unwrap();
    1 << (to as usize * OPS.len() + op)
}

impl Tcc {
    pub fn new(bounds: Bounds, fault: Option<Fault>) -> Self {
        let (parent, child) = cast::machines(bounds);
        Self { parent, child, bounds, fault }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn machine(&self, which: Which) -> &Machine {
        match which {
            Which::Parent => &self.parent,
            Which::Child => &self.child,
        }
    }

    fn parent(&self, state: &State) -> Arc<Saga> {
        self.parent.saga(state.parent.node)
    }

    fn child(&self, state: &State) -> Option<Arc<Saga>> {
        state.child.as_ref().map(|side| self.child.saga(side.node))
    }

    fn to(&self, which: Which, node: Node, call: CallId) -> To {
        let saga = self.machine(which).saga(node);
        let is_nested = saga.definition().step(call.step).nested.is_some();
        match which {
            Which::Parent if is_nested => To::Child,
            Which::Parent => To::Branch,
            Which::Child => To::Inner,
        }
    }

    // --- the two sagas ---------------------------------------------------------------------------

    fn take(&self, state: &mut State, which: Which, moved: &Moved) {
        let machine = self.machine(which);
        let node = state.side(which).node;
        let before = machine.saga(node).decision();
        let decision = machine.saga(moved.to).decision();
        if before.is_some() && before != decision {
            state.broken = Some(Rule::OneDecision);
        }
        state.side(which).node = moved.to;
        for one in moved.todo.iter() {
            let (Do::Call(call, attempt) | Do::Drain(call, attempt)) = *one;
            let to = self.to(which, moved.to, call);
            let drains = matches!(one, Do::Drain(..));
            if !drains {
                let is_first = state.sent & bit(to, call.op) == 0;
                if call.op.is_forward() && is_first && decision.is_some() {
                    state.broken = Some(Rule::NothingForwardAfterDecision);
                }
                if call.op.is_forward() {
                    state.sent |= bit(to, call.op);
                }
            }
            let side = state.side(which);
            side.open.push(Open { call, attempt, to, answer: None, drains });
            side.open.sort_by_key(|open| open.call);
        }
    }

    /// False if the saga does not listen.
    fn tell(&self, state: &mut State, which: Which, told: Told) -> bool {
        let node = state.side(which).node;
        let moved = self.machine(which).tell(node, told);
        if let Some(moved) = &moved {
            self.take(state, which, moved);
        }
        moved.is_some()
    }

    /// Whether it would change anything.
    fn heeds(&self, state: &State, which: Which, told: Told) -> bool {
        let node = match which {
            Which::Parent => state.parent.node,
            Which::Child => state.child.as_ref().unwrap().node,
        };
        self.machine(which).tell(node, told).is_some_and(|moved| moved.wrote)
    }

    fn take_over(&self, state: &mut State, which: Which) {
        state.takeovers += 1;
        for open in std::mem::take(&mut state.side(which).open) {
            state.abandon(&open);
        }
        self.tell(state, which, Told::Recovered);
    }

    fn hear(&self, state: &mut State, which: Which, at: usize, reply: Reply) {
        let Open { call, attempt, .. } = state.side(which).open.remove(at);
        self.tell(state, which, Told::Answered(call, attempt, reply));
    }

    // --- where calls go --------------------------------------------------------------------------

    fn arrive(&self, state: &mut State, to: To, op: Op) -> Reply {
        match to {
            To::Branch => state.hold(To::Branch, op),
            To::Inner => state.hold(To::Inner, op),
            To::Child => self.arrive_at_child(state, op),
        }
    }

    fn arrive_at_child(&self, state: &mut State, op: Op) -> Reply {
        let choice = match (op, &state.child) {
            (Op::Try, Some(_)) => return Reply::Pending,
            (Op::Try, None) => {
                state.child = Some(Side { node: self.child.accepted(), open: Vec::new() });
                self.tell(state, Which::Child, Told::Loaded);
                return Reply::Pending;
            }
            (Op::Confirm, None) => return Reply::Refused,
            (_, None) => {
                if !self.is(Fault::NoTombstone) {
                    state.child = Some(Side { node: self.child.tombstone(), open: Vec::new() });
                }
                return Reply::Done;
            }
            (Op::Confirm, Some(_)) => Choice::Commit,
            (_, Some(_)) => Choice::Abort,
        };
        if self.tell(state, Which::Child, Told::ParentDecided(choice)) {
            Reply::Pending
        } else {
            Reply::Refused
        }
    }

    /// What a look at the nested saga says to a pending call on it.
    fn look(&self, state: &State, op: Op) -> Option<Reply> {
        let child = self.child(state)?;
        match (op, child.status()) {
            (Op::Try, _) if child.is_prepared() => Some(Reply::Done),
            (Op::Try, _) if child.decision() == Some(Decision::Abort) => Some(Reply::Refused),
            (Op::Confirm, Status::Completed) | (Op::Cancel, Status::Compensated) => {
                Some(Reply::Done)
            }
            _ => None,
        }
    }

    fn pending(&self, state: &State) -> Vec<CallId> {
        let parent = self.parent(state);
        let is_pending = |state: &CallState| matches!(state, CallState::Pending { .. });
        let calls = parent.calls().filter(|(_, _, call)| is_pending(&call.state));
        calls.map(|(step, op, _)| CallId { step, op }).collect()
    }

    /// What would change nothing now would not later either: it need not be kept.
    fn forget_useless(&self, state: &mut State) {
        for (to, hold) in [(To::Branch, state.branch), (To::Inner, state.inner)] {
            let useless = match hold {
                Hold::None => 0,
                Hold::Tried => bit(to, Op::Try),
                Hold::Confirmed => bit(to, Op::Try) | bit(to, Op::Confirm),
                Hold::Void => bit(to, Op::Try) | bit(to, Op::Cancel),
            };
            state.late &= !useless;
        }
        let useless = match self.child(state).map(|child| child.decision()) {
            None => 0,
            Some(None) => bit(To::Child, Op::Try),
            Some(Some(Decision::Commit)) => bit(To::Child, Op::Try) | bit(To::Child, Op::Confirm),
            Some(Some(Decision::Abort)) => bit(To::Child, Op::Try) | bit(To::Child, Op::Cancel),
        };
        state.late &= !useless;
    }

    // --- clients ---------------------------------------------------------------------------------

    fn enlist(&self, state: &mut State, branch: u8) {
        let is_taken = self.tell(state, Which::Parent, Told::Enlist(branch));
        if branch == ENLIST_BRANCH && (is_taken || self.is(Fault::EnlistAfterDecision)) {
            state.is_enlisted = true;
        }
    }

    fn commit(&self, state: &mut State) {
        let is_repeated = self.parent(state).decision() == Some(Decision::Commit);
        self.tell(state, Which::Parent, Told::Commit);
        if is_repeated && self.is(Fault::ConfirmDropped) {
            state.parent.open.retain(|open| open.call.op != Op::Confirm);
        }
    }

    fn deadline(&self, state: &mut State, which: Which) {
        if which == Which::Child
            && self.is(Fault::ChildExpiresPrepared)
            && self.child(state).is_some_and(|child| child.is_prepared())
        {
            self.tell(state, which, Told::ParentDecided(Choice::Abort));
            return;
        }
        self.tell(state, which, Told::DeadlinePassed);
    }

    // --- rules -----------------------------------------------------------------------------------

    fn has_enlisted(&self, state: &State, to: To) -> bool {
        self.parent(state).branches().iter().any(|branch| {
            matches!((&branch.work, to), (BranchWork::Saga(_), To::Child))
                || matches!((&branch.work, to), (BranchWork::Tcc { .. }, To::Branch))
        })
    }

    fn commits_whole(&self, state: &State) -> bool {
        let is_child_done =
            || self.child(state).is_some_and(|child| child.status() == Status::Completed);
        self.parent(state).status() != Status::Completed
            || (!self.has_enlisted(state, To::Branch) || state.branch == Hold::Confirmed)
                && (!self.has_enlisted(state, To::Child)
                    || is_child_done() && state.inner == Hold::Confirmed)
    }

    /// What one has confirmed, the other does not undo.
    fn decides_alike(&self, state: &State) -> bool {
        let child = self.child(state).and_then(|child| child.decision());
        match self.parent(state).decision() {
            Some(Decision::Commit) => child != Some(Decision::Abort),
            Some(Decision::Abort) | None => child != Some(Decision::Commit),
        }
    }

    fn aborts_whole(&self, state: &State) -> bool {
        let is_held = |hold| matches!(hold, Hold::Tried | Hold::Confirmed);
        self.parent(state).status() != Status::Compensated
            || !is_held(state.branch) && !is_held(state.inner)
    }

    /// Nothing is held that nobody will confirm or cancel.
    fn ends(&self, state: &State) -> bool {
        let is_over = |status: Status| status.is_terminal() || status == Status::Suspended;
        let parent = self.parent(state);
        let child = self.child(state);
        let sides = [
            Some((Which::Parent, &state.parent)),
            state.child.as_ref().map(|side| (Which::Child, side)),
        ];
        let goes_on = sides.into_iter().flatten().any(|(which, side)| {
            !side.open.is_empty() || !self.machine(which).retries(side.node).is_empty()
        });
        let expires = parent.decision().is_none() && !parent.is_past_deadline();
        let looks = || self.pending(state).iter().any(|call| self.look(state, call.op).is_some());
        let is_suspended = parent.status() == Status::Suspended
            || child.as_ref().is_some_and(|child| child.status() == Status::Suspended);
        let is_forgotten = parent.status() == Status::Completed
            && state.is_enlisted
            && state.branch == Hold::Tried;
        !is_forgotten
            && (goes_on
                || expires
                || is_suspended
                || is_over(parent.status()) && child.is_none_or(|child| is_over(child.status()))
                || looks())
    }
}

impl State {
    fn side(&mut self, which: Which) -> &mut Side {
        match which {
            Which::Parent => &mut self.parent,
            Which::Child => self.child.as_mut().unwrap(),
        }
    }

    fn abandon(&mut self, open: &Open) {
        if open.answer.is_none() && !open.drains {
            self.late |= bit(open.to, open.call.op);
        }
    }

    /// What a participant with a barrier does.
    fn hold(&mut self, to: To, op: Op) -> Reply {
        let hold = if to == To::Branch { &mut self.branch } else { &mut self.inner };
        let (next, reply) = match (op, *hold) {
            (Op::Try, Hold::None) => (Hold::Tried, Reply::Done),
            (Op::Try, Hold::Void) => (Hold::Void, Reply::Refused),
            (Op::Try, same) => (same, Reply::Done),
            (Op::Confirm, Hold::Tried | Hold::Confirmed) => (Hold::Confirmed, Reply::Done),
            (Op::Confirm, same) | (_, same @ Hold::Confirmed) => {
                self.broken = Some(Rule::ConfirmAndCancel);
                (same, Reply::Refused)
            }
            (_, Hold::None | Hold::Tried | Hold::Void) => (Hold::Void, Reply::Done),
        };
        *hold = next;
        reply
    }
}

impl Model for Tcc {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let parent = self.parent.tell(self.parent.accepted(), Told::Loaded).unwrap().to;
        vec![State {
            parent: Side { node: parent, open: Vec::new() },
            child: None,
            branch: Hold::None,
            inner: Hold::None,
            is_enlisted: false,
            is_tried: false,
            late: 0,
            sent: 0,
            takeovers: 0,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let enlists = |branch: &u8| {
            self.heeds(state, Which::Parent, Told::Enlist(*branch))
                || self.is(Fault::EnlistAfterDecision)
        };
        let branches = [ENLIST_BRANCH, ENLIST_CHILD].into_iter().filter(enlists);
        actions.extend(branches.map(Action::Enlist));
        if state.is_enlisted && !state.is_tried {
            actions.extend([Action::Try(true), Action::Try(false)]);
        }
        let may_commit = !state.is_enlisted || state.is_tried;
        let commits =
            || self.heeds(state, Which::Parent, Told::Commit) || self.is(Fault::ConfirmDropped);
        if may_commit && commits() {
            actions.push(Action::Commit);
        }
        if self.heeds(state, Which::Parent, Told::Cancel) {
            actions.push(Action::Rollback);
        }
        let sides = [
            Some((Which::Parent, &state.parent)),
            state.child.as_ref().map(|it| (Which::Child, it)),
        ];
        for (which, side) in sides.into_iter().flatten() {
            if self.heeds(state, which, Told::DeadlinePassed)
                || self.is(Fault::ChildExpiresPrepared)
            {
                actions.push(Action::DeadlinePasses(which));
            }
            if state.takeovers < self.bounds.takeovers
                && !self.machine(which).saga(side.node).status().is_terminal()
            {
                actions.push(Action::TakeOver(which));
            }
            for (at, open) in side.open.iter().enumerate() {
                if open.answer.is_none() && !open.drains {
                    actions.push(Action::Deliver(which, at, true));
                    if open.call.op.is_forward() && open.to == To::Inner {
                        actions.push(Action::Deliver(which, at, false));
                    }
                }
                if open.answer.is_some() {
                    actions.push(Action::Answer(which, at));
                }
                actions.push(Action::Timeout(which, at));
            }
            let due = self.machine(which).retries(side.node);
            actions.extend(due.iter().map(|call| Action::Retry(which, *call)));
        }
        for call in self.pending(state) {
            actions.extend(self.look(state, call.op).map(|reply| Action::Look(call, reply)));
        }
        for to in [To::Branch, To::Child, To::Inner] {
            let late = OPS.into_iter().filter(|op| state.late & bit(to, *op) != 0);
            actions.extend(late.map(|op| Action::Late(to, op)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Enlist(branch) => self.enlist(&mut state, branch),
            Action::Try(is_heard) => {
                let reply = state.hold(To::Branch, Op::Try);
                state.is_tried = is_heard && reply == Reply::Done;
            }
            Action::Commit => self.commit(&mut state),
            Action::Rollback => {
                self.tell(&mut state, Which::Parent, Told::Cancel);
            }
            Action::DeadlinePasses(which) => self.deadline(&mut state, which),
            Action::Deliver(which, at, is_taken) => {
                let Open { call, to, .. } = state.side(which).open[at];
                let reply =
                    if is_taken { self.arrive(&mut state, to, call.op) } else { Reply::Refused };
                state.side(which).open[at].answer = Some(reply);
            }
            Action::Answer(which, at) => {
                let reply = state.side(which).open[at].answer?;
                self.hear(&mut state, which, at, reply);
            }
            Action::Timeout(which, at) => {
                let open = state.side(which).open[at].clone();
                state.abandon(&open);
                self.hear(&mut state, which, at, Reply::Unknown);
            }
            Action::Retry(which, call) => {
                self.tell(&mut state, which, Told::RetryDue(call));
            }
            Action::Look(call, reply) => {
                self.tell(&mut state, Which::Parent, Told::Completed(call, reply));
            }
            Action::TakeOver(which) => self.take_over(&mut state, which),
            Action::Late(to, op) => {
                self.arrive(&mut state, to, op);
            }
        }
        self.forget_useless(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! rule {
            ($text:literal, $rule:ident) => {
                Property::<Self>::always($text, |_, state| state.broken != Some(Rule::$rule))
            };
        }
        macro_rules! seen {
            ($text:literal, |$model:ident, $state:ident| $seen:expr) => {
                Property::<Self>::sometimes($text, |$model: &Self, $state: &State| $seen)
            };
        }
        vec![
            rule!("one decision", OneDecision),
            rule!("no try first issued after the decision", NothingForwardAfterDecision),
            rule!("never both confirm and cancel", ConfirmAndCancel),
            Property::always("a nested saga is decided as its parent", Self::decides_alike),
            Property::always("a commit confirms every branch", Self::commits_whole),
            Property::always("an abort leaves nothing held, for ever", Self::aborts_whole),
            Property::always("all end, and nothing is forgotten", Self::ends),
            seen!("both branches are confirmed", |_model, state| {
                state.branch == Hold::Confirmed && state.inner == Hold::Confirmed
            }),
            seen!("a nested saga expires before it has done its part", |model, state| {
                let is_expired =
                    |child: Arc<Saga>| child.is_past_deadline() && child.decision().is_some();
                model.child(state).is_some_and(is_expired)
            }),
            seen!("a nested saga is ruled out before it starts", |model, state| {
                state.child.as_ref().is_some_and(|child| child.node == model.child.tombstone())
            }),
            seen!("all are rolled back after a try", |model, state| {
                model.parent(state).status() == Status::Compensated && state.is_tried
            }),
        ]
    }
}
