//! Model of Redlock with fencing: clients that get a guard from a quorum of masters, a fencing
//! token, and then write to a resource that checks tokens; writes may be late.
//!
//! Time is counted in ticks. What a client believes, it believes by its own clock, which started
//! before it asked; what a master holds, it holds by its own.

use stateright::{Model, Property};

/// Something to be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The resource checks no token.
    NoToken,
    /// Tokens are the highest counter that a quorum of masters answers, not from one store.
    QuorumToken,
    /// A master that came back empty is trusted at once, and not after the longest time to live.
    NoDelayedTrust,
    /// The same without tokens: what delayed trust alone would cost.
    NoDelayedTrustNoToken,
}

/// Which things may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Masters that restart without what they held.
    pub restarts: u8,
    /// Masters whose clock jumps past a whole time to live.
    pub jumps: u8,
    /// Writes may arrive at any later time, after what their client believes has run out.
    pub delays: bool,
    /// Attempts to get the guard, each client's.
    pub attempts: u8,
    /// Writes in one session.
    pub writes: u8,
}

const MASTERS: usize = 3;
const CLIENTS: usize = 2;
const QUORUM: usize = 2;
const TTL: u8 = 2;

/// The model.
#[derive(Debug)]
pub struct Redlock {
    pub bounds: Bounds,
    pub fault: Option<Fault>,
}

/// One Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Master {
    /// Whether each client has asked it in this attempt, and whether it said yes.
    asked: [bool; CLIENTS],
    votes: [bool; CLIENTS],
    /// Who holds the guard and for how many ticks.
    holder: Option<(u8, u8)>,
    /// Ticks for which its votes are not counted.
    distrusted: u8,
    counter: u8,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Idle,
    /// Asks each master once.
    Asking,
    /// Has a quorum, needs a token.
    Guarded,
    /// Works, with its token.
    Working,
    Over,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    phase: Phase,
    /// The highest counter that came with a vote.
    highest: u8,
    /// Ticks for which it believes that it holds the guard, since it began to ask.
    believes: u8,
    token: u8,
    attempts: u8,
    /// Writes that were sent and have not arrived, and how many may still be sent.
    under_way: u8,
    left: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    clients: [Client; CLIENTS],
    masters: [Master; MASTERS],
    restarts: u8,
    jumps: u8,
    /// The store's tokens.
    issued: u8,
    /// The resource: the highest token seen, who wrote last, and who wrote before somebody else.
    seen: u8,
    last: Option<u8>,
    left_behind: u8,
    interleaved: bool,
    regressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Begin(usize),
    /// A master gets the question; its answer arrives, or not.
    Ask(usize, usize, bool),
    /// Gives up and takes back what it got.
    GiveUp(usize),
    Token(usize),
    Send(usize),
    Arrive(usize),
    /// Lets the guard go.
    Release(usize),
    Tick,
    Restart(usize),
    Jump(usize),
}

impl Redlock {
    const fn checks_tokens(&self) -> bool {
        !matches!(self.fault, Some(Fault::NoToken | Fault::NoDelayedTrustNoToken))
    }

    const fn trusts_at_once(&self) -> bool {
        matches!(self.fault, Some(Fault::NoDelayedTrust | Fault::NoDelayedTrustNoToken))
    }

    fn is_by_quorum(&self) -> bool {
        self.fault == Some(Fault::QuorumToken)
    }

    /// Whether the guard alone keeps others out: no clock jumps, and masters that come back empty
    /// are not trusted at once.
    const fn is_exclusive(&self) -> bool {
        self.bounds.jumps == 0 && (self.bounds.restarts == 0 || !self.trusts_at_once())
    }

    fn arrive(&self, state: &mut State, at: usize) {
        let client = &mut state.clients[at];
        client.under_way -= 1;
        if self.checks_tokens() && client.token < state.seen {
            return;
        }
        state.seen = state.seen.max(client.token);
        let me = u8::try_from(at).unwrap();
        if let Some(last) = state.last.filter(|last| *last != me) {
            state.left_behind |= 1 << last;
        }
        state.interleaved |= state.left_behind & (1 << me) != 0;
        state.last = Some(me);
    }

    fn begin(&self, client: &mut Client) {
        *client = Client {
            phase: Phase::Asking,
            believes: TTL,
            attempts: client.attempts + 1,
            left: self.bounds.writes,
            ..Client::default()
        };
    }

    fn take_back(state: &mut State, at: usize) {
        for master in &mut state.masters {
            if master.holder.is_some_and(|(holder, _)| usize::from(holder) == at) {
                master.holder = None;
            }
        }
    }
}

impl Model for Redlock {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            clients: [Client::default(); CLIENTS],
            masters: [Master::default(); MASTERS],
            restarts: 0,
            jumps: 0,
            issued: 0,
            seen: 0,
            last: None,
            left_behind: 0,
            interleaved: false,
            regressed: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, client) in state.clients.iter().enumerate() {
            let believes = client.believes > 0;
            match client.phase {
                Phase::Idle if client.attempts < self.bounds.attempts => {
                    actions.push(Action::Begin(at));
                }
                Phase::Idle | Phase::Over => {}
                Phase::Asking => {
                    for (of, master) in state.masters.iter().enumerate() {
                        if !master.asked[at] && master.distrusted == 0 {
                            actions.push(Action::Ask(at, of, true));
                            actions.push(Action::Ask(at, of, false));
                        }
                    }
                    actions.push(Action::GiveUp(at));
                }
                Phase::Guarded => actions.push(Action::Token(at)),
                Phase::Working => {
                    if client.left > 0 && believes {
                        actions.push(Action::Send(at));
                    }
                    actions.push(Action::Release(at));
                }
            }
            if client.under_way > 0 && (self.bounds.delays || believes) {
                actions.push(Action::Arrive(at));
            }
        }
        actions.push(Action::Tick);
        for of in 0..MASTERS {
            if state.restarts < self.bounds.restarts {
                actions.push(Action::Restart(of));
            }
            if state.jumps < self.bounds.jumps && state.masters[of].holder.is_some() {
                actions.push(Action::Jump(of));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(at) => {
                state.forget_votes(at);
                self.begin(&mut state.clients[at]);
            }
            Action::Ask(at, of, is_heard) => {
                let (client, master) = (&mut state.clients[at], &mut state.masters[of]);
                master.asked[at] = true;
                if master.holder.is_none() {
                    master.holder = Some((u8::try_from(at).unwrap(), TTL));
                    master.votes[at] = is_heard;
                    master.counter += u8::from(self.is_by_quorum());
                    if is_heard {
                        client.highest = client.highest.max(master.counter);
                    }
                } else if !is_heard {
                    return None;
                }
                let votes = state.masters.iter().filter(|master| master.votes[at]).count();
                // Validity is looked at when the quorum is there.
                if votes >= QUORUM && state.clients[at].believes > 0 {
                    state.clients[at].phase = Phase::Guarded;
                    state.forget_votes(at);
                }
            }
            Action::GiveUp(at) => {
                Self::take_back(&mut state, at);
                state.forget_votes(at);
                let attempts = state.clients[at].attempts;
                state.clients[at] = Client { attempts, ..Client::default() };
            }
            Action::Token(at) => {
                state.issued += u8::from(!self.is_by_quorum());
                let client = &mut state.clients[at];
                client.token = if self.is_by_quorum() { client.highest } else { state.issued };
                // Quorum, then token, then validity again, then use.
                let is_valid = client.believes > 0;
                client.phase = if is_valid { Phase::Working } else { Phase::Over };
                state.regressed |= is_valid && client.token <= state.seen;
            }
            Action::Send(at) => {
                let client = &mut state.clients[at];
                client.under_way += 1;
                client.left -= 1;
            }
            Action::Arrive(at) => self.arrive(&mut state, at),
            Action::Release(at) => {
                Self::take_back(&mut state, at);
                state.clients[at].phase = Phase::Over;
                state.clients[at].believes = 0;
                state.clients[at].left = 0;
            }
            Action::Tick => {
                for client in &mut state.clients {
                    client.believes = client.believes.saturating_sub(1);
                }
                for master in &mut state.masters {
                    master.distrusted = master.distrusted.saturating_sub(1);
                    master.holder = match master.holder {
                        Some((holder, left)) if left > 1 => Some((holder, left - 1)),
                        _ => None,
                    };
                }
            }
            Action::Restart(of) => {
                state.restarts += 1;
                let distrusted = if self.trusts_at_once() { 0 } else { TTL };
                let Master { asked, votes, .. } = state.masters[of];
                state.masters[of] = Master { asked, votes, distrusted, ..Master::default() };
            }
            Action::Jump(of) => {
                state.jumps += 1;
                state.masters[of].holder = None;
            }
        }
        // Masters are all alike.
        state.masters.sort_unstable();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("sessions do not interleave at the resource", |_, state| {
                !state.interleaved
            }),
            Property::<Self>::always(
                "a new holder has a token above all that were seen",
                |_, state| !state.regressed,
            ),
            Property::<Self>::sometimes("both have worked", |_, state| {
                state.clients.iter().all(|client| client.phase == Phase::Over)
                    && state.last.is_some()
            }),
        ];
        if self.bounds.delays {
            properties.push(Property::sometimes("a write comes too late", |_, state: &State| {
                let is_late = |client: &Client| client.under_way > 0 && client.token < state.seen;
                state.clients.iter().any(is_late)
            }));
        }
        if self.is_exclusive() {
            properties.push(Property::always("one believes at a time", |_, state: &State| {
                state.believers() <= 1
            }));
        } else {
            properties.push(Property::sometimes("two believe at a time", |_, state: &State| {
                state.believers() == 2
            }));
        }
        properties
    }
}

impl State {
    fn forget_votes(&mut self, at: usize) {
        for master in &mut self.masters {
            (master.asked[at], master.votes[at]) = (false, false);
        }
    }

    fn believers(&self) -> usize {
        let believes = |client: &&Client| client.phase == Phase::Working && client.believes > 0;
        self.clients.iter().filter(believes).count()
    }
}
