//! Model of the queues of lock keys: tickets taken, granted, given back, taken away, handed on and
//! woken, as the store does it.
//!
//! Every change of queues is one transaction that locks the keys' rows in sorted order, so the
//! model makes it in one move; the faults pull it apart. A wake-up is a row that says so, which a
//! sweep finds, and a hint, which may be lost.

use stateright::{Model, Property};

/// Something to be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Wake-ups are hints alone: no row says so, and nothing sweeps.
    HintsOnly,
    /// Whether a saga is first is looked at before its tickets are taken, in another transaction.
    LookThenTake,
    /// Tickets are taken and keys are held one by one, in the saga's own order.
    OneByOne,
    /// A saga that goes to the end of its queues comes back with its old tokens.
    TokenKept,
    /// A saga that goes to the end of its queues goes there for its first key alone.
    RequeueOneKey,
    /// A new owner takes its saga to have its keys, without looking at the journal.
    TakeoverAssumes,
    /// Who got its keys from the one before it is not told, and no row says that it must be looked
    /// at.
    SuccessorForgotten,
}

/// The keys that each saga wants, in its own order, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub wants: Vec<Vec<usize>>,
    /// How often an operator takes keys away.
    pub forced: u8,
    /// How often the owner of a saga is lost: it forgets what it knew, and hints to it are lost.
    pub crashes: u8,
}

const KEYS: usize = 2;
const SAGAS: usize = 3;

/// The model.
#[derive(Debug)]
pub struct Tickets {
    pub bounds: Bounds,
    pub fault: Option<Fault>,
}

/// What a saga's driver believes and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    New,
    /// Saw that it is first or not, and takes its tickets next.
    Looked(bool),
    /// Waits to be woken.
    Parked,
    /// Is about to ask.
    Asking,
    /// The store has granted its keys, and its journal does not say so yet.
    Granted,
    Holding,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Saga {
    phase: Phase,
    /// The tokens that it shows at the resources.
    tokens: [u8; KEYS],
    /// Its row says that it must be looked at.
    due: bool,
    /// A hint is on its way.
    hinted: bool,
}

/// A ticket: which saga, and its token once it is granted.
type Ticket = (u8, Option<u8>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    sagas: [Saga; SAGAS],
    /// Queues in order of ticket.
    queues: [Vec<Ticket>; KEYS],
    /// The last token of each key.
    last: [u8; KEYS],
    /// The highest token that each resource has seen, and from whom.
    seen: [(u8, u8); KEYS],
    forced: u8,
    crashes: u8,
    overlapped: bool,
    regressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Takes tickets, with a grant if it is first everywhere.
    Submit(usize),
    Look(usize),
    Take(usize),
    /// One key more, where they are taken one by one.
    TakeOne(usize),
    Ask(usize),
    /// The journal says that the keys were granted.
    Note(usize),
    /// Calls a participant, which checks the token.
    Use(usize),
    End(usize),
    /// The same, and who is next gets its keys in the same transaction, as its owner is the same.
    HandOn(usize),
    /// An operator takes its keys away.
    Force(usize),
    Hint(usize),
    LoseHint(usize),
    Sweep(usize),
    Crash(usize),
}

fn name(saga: usize) -> u8 {
    u8::try_from(saga).unwrap()
}

impl Tickets {
    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn wants(&self, saga: usize) -> &[usize] {
        &self.bounds.wants[saga]
    }

    fn is_first(&self, state: &State, saga: usize) -> bool {
        self.wants(saga).iter().all(|key| {
            state.queues[*key].first().is_none_or(|(first, _)| usize::from(*first) == saga)
        })
    }

    fn take(&self, state: &mut State, saga: usize) {
        for key in self.wants(saga) {
            state.queues[*key].push((name(saga), None));
        }
    }

    /// Grants all keys if it is first everywhere; else it waits to be woken.
    fn ask(&self, state: &mut State, saga: usize) {
        state.sagas[saga].due = false;
        if !self.is_first(state, saga) {
            state.sagas[saga].phase = Phase::Parked;
            return;
        }
        self.grant(state, saga);
    }

    fn grant(&self, state: &mut State, saga: usize) {
        let others = (0..SAGAS).filter(|other| *other != saga);
        for other in others {
            let is_shared = self.wants(other).iter().any(|key| self.wants(saga).contains(key));
            state.overlapped |= is_shared && self.has_all(state, other);
        }
        for key in self.wants(saga) {
            let is_kept = self.is(Fault::TokenKept) && state.sagas[saga].tokens[*key] > 0;
            if !is_kept {
                state.last[*key] += 1;
                state.sagas[saga].tokens[*key] = state.last[*key];
            }
            let token = state.sagas[saga].tokens[*key];
            state.regressed |= token < state.seen[*key].0;
            for ticket in state.queues[*key].iter_mut().filter(|ticket| ticket.0 == name(saga)) {
                ticket.1 = Some(token);
            }
        }
        state.sagas[saga].phase = Phase::Granted;
    }

    /// Whether the store says that it holds every key that it wants.
    fn has_all(&self, state: &State, saga: usize) -> bool {
        self.wants(saga).iter().all(|key| {
            state.queues[*key].iter().any(|(who, token)| *who == name(saga) && token.is_some())
        })
    }

    /// Takes its tickets away, puts it at the end again if it is to wait once more, and wakes who
    /// has come to the head of all its queues, or grants its keys if it `hands_on` and all of them
    /// are its own.
    fn release(&self, state: &mut State, saga: usize, requeue: bool, hands_on: bool) {
        let all = self.wants(saga);
        let keys = if requeue && self.is(Fault::RequeueOneKey) { &all[..1] } else { all };
        for key in keys {
            state.queues[*key].retain(|(who, _)| *who != name(saga));
            if requeue {
                state.queues[*key].push((name(saga), None));
            }
        }
        for other in 0..SAGAS {
            let has_tickets = self.wants(other).iter().all(|key| {
                state.queues[*key].iter().any(|(who, token)| *who == name(other) && token.is_none())
            });
            if !has_tickets || !self.is_first(state, other) {
                continue;
            }
            if hands_on && self.wants(other).iter().all(|key| all.contains(key)) {
                self.hand_on(state, other);
            } else {
                state.sagas[other].due |= !self.is(Fault::HintsOnly);
                state.sagas[other].hinted = true;
            }
        }
    }

    /// It is driven with its keys. A driver that it has already asks all the same.
    fn hand_on(&self, state: &mut State, saga: usize) {
        let was = state.sagas[saga].phase;
        self.grant(state, saga);
        if was != Phase::Parked || self.is(Fault::SuccessorForgotten) {
            state.sagas[saga].phase = was;
        }
        state.sagas[saga].due = false;
    }

    fn force(&self, state: &mut State, saga: usize) {
        state.forced += 1;
        state.sagas[saga].phase = Phase::Parked;
        self.release(state, saga, true, false);
    }

    /// One key more, if it is free; it waits for this one before it asks for the next.
    fn take_one(&self, state: &mut State, saga: usize) {
        let next = self.wants(saga).iter().find(|key| state.sagas[saga].tokens[**key] == 0);
        let Some(key) = next else {
            state.sagas[saga].phase = Phase::Holding;
            return;
        };
        if state.queues[*key].is_empty() {
            state.last[*key] += 1;
            state.sagas[saga].tokens[*key] = state.last[*key];
            state.queues[*key].push((name(saga), Some(state.last[*key])));
        }
    }

    fn may_take_one(&self, state: &State, saga: usize) -> bool {
        let next = self.wants(saga).iter().find(|key| state.sagas[saga].tokens[**key] == 0);
        next.is_none_or(|key| state.queues[*key].is_empty())
    }

    /// A participant takes a call with this saga's tokens, or refuses it.
    fn call(&self, state: &mut State, saga: usize) {
        for key in self.wants(saga) {
            let token = state.sagas[saga].tokens[*key];
            let (highest, by) = state.seen[*key];
            // Two sagas with one token would both be let in.
            state.regressed |= token == highest && by != name(saga) && highest > 0;
            state.seen[*key] = state.seen[*key].max((token, name(saga)));
        }
    }

    fn crash(&self, state: &mut State, saga: usize) {
        state.crashes += 1;
        let assumes = self.is(Fault::TakeoverAssumes);
        let was = &mut state.sagas[saga];
        was.hinted = false;
        was.phase = match was.phase {
            // Nobody was answered, so nothing was promised.
            Phase::New | Phase::Looked(_) => Phase::New,
            Phase::Parked if assumes => Phase::Holding,
            // The journal does not tell that the keys were granted, so it asks again and gets
            // greater tokens.
            Phase::Asking | Phase::Granted => Phase::Asking,
            it @ (Phase::Parked | Phase::Holding | Phase::Ended) => it,
        };
    }
}

impl Model for Tickets {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let saga = Saga { phase: Phase::New, tokens: [0; KEYS], due: false, hinted: false };
        vec![State {
            sagas: [saga; SAGAS],
            queues: Default::default(),
            last: [0; KEYS],
            seen: [(0, 0); KEYS],
            forced: 0,
            crashes: 0,
            overlapped: false,
            regressed: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, saga) in state.sagas.iter().enumerate() {
            let one_by_one = self.is(Fault::OneByOne);
            match saga.phase {
                Phase::New if self.is(Fault::LookThenTake) => actions.push(Action::Look(at)),
                Phase::New if one_by_one => {
                    if self.may_take_one(state, at) {
                        actions.push(Action::TakeOne(at));
                    }
                }
                Phase::New => actions.push(Action::Submit(at)),
                Phase::Looked(_) => actions.push(Action::Take(at)),
                Phase::Parked | Phase::Ended => {}
                Phase::Asking => actions.push(Action::Ask(at)),
                Phase::Granted => actions.push(Action::Note(at)),
                Phase::Holding => {
                    actions.push(Action::Use(at));
                    actions.push(Action::End(at));
                    actions.push(Action::HandOn(at));
                    if state.forced < self.bounds.forced && !one_by_one {
                        actions.push(Action::Force(at));
                    }
                }
            }
            if saga.hinted {
                actions.push(Action::Hint(at));
                actions.push(Action::LoseHint(at));
            }
            if saga.due && saga.phase == Phase::Parked {
                actions.push(Action::Sweep(at));
            }
            if state.crashes < self.bounds.crashes && saga.phase != Phase::Ended && !one_by_one {
                actions.push(Action::Crash(at));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(at) => {
                self.take(&mut state, at);
                self.ask(&mut state, at);
            }
            Action::Look(at) => {
                state.sagas[at].phase = Phase::Looked(self.is_first(&state, at));
            }
            Action::Take(at) => {
                let is_first = state.sagas[at].phase == Phase::Looked(true);
                self.take(&mut state, at);
                if is_first {
                    self.grant(&mut state, at);
                } else {
                    state.sagas[at].phase = Phase::Parked;
                }
            }
            Action::TakeOne(at) => self.take_one(&mut state, at),
            Action::Ask(at) => self.ask(&mut state, at),
            Action::Note(at) => state.sagas[at].phase = Phase::Holding,
            Action::Use(at) => self.call(&mut state, at),
            Action::End(at) | Action::HandOn(at) => {
                state.sagas[at].phase = Phase::Ended;
                state.sagas[at].due = false;
                self.release(&mut state, at, false, action == Action::HandOn(at));
            }
            Action::Force(at) => self.force(&mut state, at),
            Action::Hint(at) => {
                state.sagas[at].hinted = false;
                if state.sagas[at].phase == Phase::Parked {
                    state.sagas[at].phase = Phase::Asking;
                }
            }
            Action::LoseHint(at) => state.sagas[at].hinted = false,
            Action::Sweep(at) => {
                state.sagas[at].due = false;
                state.sagas[at].phase = Phase::Asking;
            }
            Action::Crash(at) => self.crash(&mut state, at),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("two never hold a key", |model, state| {
                !state.overlapped && model.is_exclusive(state)
            }),
            Property::<Self>::always("first come, first served", |_, state| {
                Self::is_in_order(state)
            }),
            Property::<Self>::always("tokens grow with every grant", |_, state| !state.regressed),
            Property::<Self>::always("every saga gets its turn", |model, state| {
                model.goes_on(state)
            }),
            Property::<Self>::sometimes("all have ended", |_, state| {
                state.sagas.iter().all(|saga| saga.phase == Phase::Ended)
            }),
            Property::<Self>::sometimes("two wait", |_, state| {
                state.sagas.iter().filter(|saga| saga.phase == Phase::Parked).count() == 2
            }),
        ]
    }
}

impl Tickets {
    /// Whether no two sagas that share a key both believe that they hold it.
    fn is_exclusive(&self, state: &State) -> bool {
        let holds =
            |saga: usize| matches!(state.sagas[saga].phase, Phase::Granted | Phase::Holding);
        (0..SAGAS).all(|one| {
            (0..one).all(|other| {
                let shared = self.wants(one).iter().any(|key| self.wants(other).contains(key));
                !(shared && holds(one) && holds(other))
            })
        })
    }

    /// Whether who holds a key stands before all who wait for it, and sagas stand in the same order
    /// in all the queues that they share.
    fn is_in_order(state: &State) -> bool {
        let is_granted = |ticket: &Ticket| ticket.1.is_some();
        let holders_first =
            state.queues.iter().all(|queue| queue.is_sorted_by_key(|it| !is_granted(it)));
        let place = |key: usize, saga: usize| {
            state.queues[key].iter().position(|ticket| ticket.0 == name(saga))
        };
        let is_before = |key, one, other| Some(place(key, one)? < place(key, other)?);
        holders_first
            && (0..SAGAS).all(|one| {
                (0..one).all(|other| {
                    let mut orders = (0..KEYS).filter_map(|key| is_before(key, one, other));
                    orders.next().is_none_or(|first| orders.all(|order| order == first))
                })
            })
    }

    /// Whether all have ended, or something can still happen.
    fn goes_on(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.retain(|action| !matches!(action, Action::Crash(_) | Action::Force(_)));
        !actions.is_empty() || state.sagas.iter().all(|saga| saga.phase == Phase::Ended)
    }
}
