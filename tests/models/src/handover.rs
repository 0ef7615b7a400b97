//! Model of a hand-over: a coordinator that drains gives its partition back while calls are in
//! flight and messages and submissions arrive, and another one takes it.
//!
//! Here it is the engine that is looked at, not the decisions of a saga: a saga makes two calls
//! with a wait between them, in which it may leave memory, and may be told one command. The order
//! is that of the engine: hold, wait until nobody works under the lease, flush, stop, release.

use stateright::{Model, Property};

/// Something to be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The lease is released while facts still wait to be written.
    ReleaseBeforeFlush,
    /// A saga leaves memory although a message waits for it.
    LeaveWithMail,
    /// The lease is released while sagas are still driven.
    ReleaseBusy,
    /// Sagas are claimed from the store without a look at the lease.
    ClaimUnchecked,
    /// A claim of sagas that are due does not keep a hand-over waiting until they are driven.
    ClaimUncounted,
    /// A command is settled before it is written.
    SettleFirst,
}

/// The model.
#[derive(Debug)]
pub struct HandOver {
    pub fault: Option<Fault>,
    /// The lease may run out at any moment.
    pub steals: bool,
    /// The drain may be over before the calls are.
    pub bounded: bool,
}

const SAGAS: usize = 2;
const OLD: usize = 0;
const NEW: usize = 1;
/// Calls that a saga makes; then it has ended.
const CALLS: u8 = 2;

/// A saga in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    in_memory: bool,
    calls: u8,
    commanded: bool,
}

/// A saga in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Driver {
    calls: u8,
    commanded: bool,
    /// A call is in flight.
    calling: bool,
    /// It waits for the store.
    writing: bool,
    /// It has left memory but for the row that says so.
    leaving: bool,
    held: bool,
    mail: bool,
}

/// What waits to be written of a saga.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Change {
    calls: u8,
    commanded: bool,
    settles: bool,
    parks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Away,
    Recovering,
    Ready,
    HandingOver,
    /// Nobody works under the lease, or the time is over.
    Idle,
    Flushed,
    Stopped,
}

/// One coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    phase: Phase,
    drivers: [Option<Driver>; SAGAS],
    queue: [Option<Change>; SAGAS],
    /// Sagas that were claimed and are not driven yet; whether with a message.
    claimed: [Option<bool>; SAGAS],
    /// A submission is on its way to the store.
    submitting: bool,
    /// It has handed the message out.
    taken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inbox {
    Empty,
    Posted,
    Done,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    owner: Option<usize>,
    rows: [Option<Row>; SAGAS],
    inbox: Inbox,
    both: [Coordinator; 2],
    /// Answers that were heard, by anybody.
    heard: [u8; SAGAS],
    /// Nothing but the drain took the lease away, and it was not cut short.
    orderly: bool,
    submitted: bool,
    broken: Option<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    FactLost,
    MailLost,
    Unsaid,
    Regressed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Post,
    Submit,
    Accept(usize),
    SubmitElsewhere,
    ReadInbox(usize),
    /// A message that was handed out and not settled for long is handed out again.
    ReadAgain(usize),
    ClaimDue(usize, usize),
    Adopt(usize, usize),
    Answer(usize, usize),
    /// The wait between its calls is over.
    Fire(usize, usize),
    OpenMail(usize, usize),
    Leave(usize, usize),
    Write(usize, usize),
    Drain,
    Hold(usize),
    IsIdle,
    TimeIsOver,
    Flush,
    Stop,
    Release,
    Acquire,
    Recover,
}

impl Row {
    const fn has_ended(self) -> bool {
        self.calls == CALLS
    }
}

impl Coordinator {
    const fn away() -> Self {
        Self {
            phase: Phase::Away,
            drivers: [None; SAGAS],
            queue: [None; SAGAS],
            claimed: [None; SAGAS],
            submitting: false,
            taken: false,
        }
    }

    /// Whether a message reaches the saga's driver.
    fn has_live(&self, saga: usize) -> bool {
        self.drivers[saga].is_some_and(|driver| !driver.leaving)
    }

    fn has_work(&self, fault: Option<Fault>) -> bool {
        let is_uncounted = fault == Some(Fault::ClaimUncounted);
        let counts = |claimed: &bool| *claimed || !is_uncounted;
        self.submitting
            || self.drivers.iter().any(Option::is_some)
            || self.claimed.iter().flatten().any(counts)
    }

    /// The lease is lost, or let go: whatever works under it stops.
    fn stop(&mut self) {
        (self.drivers, self.queue) = ([None; SAGAS], [None; SAGAS]);
        self.claimed = [None; SAGAS];
    }

    fn queue(&mut self, saga: usize, change: Change) {
        let before = self.queue[saga].unwrap_or_default();
        self.queue[saga] = Some(Change { settles: change.settles || before.settles, ..change });
    }
}

impl Driver {
    fn change(&self) -> Change {
        Change { calls: self.calls, commanded: self.commanded, ..Change::default() }
    }

    /// As it goes on from what the journal says.
    const fn of(row: Row, mail: bool) -> Self {
        Self {
            calls: row.calls,
            commanded: row.commanded,
            calling: row.calls == 0,
            writing: false,
            leaving: false,
            held: false,
            mail,
        }
    }

    const fn waits(&self) -> bool {
        !self.calling && !self.writing && !self.leaving
    }
}

impl HandOver {
    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn has_lease(&self, state: &State, who: usize) -> bool {
        state.owner == Some(who) || self.is(Fault::ClaimUnchecked)
    }

    fn claim(&self, state: &mut State, who: usize, saga: usize, mail: bool) {
        if let Some(row) = &mut state.rows[saga] {
            row.in_memory = true;
            state.both[who].claimed[saga] = Some(mail);
        }
    }

    fn read_inbox(&self, state: &mut State, who: usize) {
        let Some(row) = state.rows[0] else { return };
        let me = &mut state.both[who];
        if me.has_live(0) {
            me.drivers[0].as_mut().unwrap().mail = true;
            me.taken = true;
        } else if row.has_ended() {
            state.inbox = Inbox::Refused;
        } else if !row.in_memory {
            me.taken = true;
            self.claim(state, who, 0, true);
        }
    }

    fn adopt(&self, state: &mut State, who: usize, saga: usize) {
        let mail = state.both[who].claimed[saga].take().unwrap_or_default();
        let me = &mut state.both[who];
        match (&mut me.drivers[saga], state.rows[saga]) {
            // It left just now, and the row was set back: it goes on.
            (Some(driver), _) => driver.mail |= mail,
            (None, Some(row)) => me.drivers[saga] = Some(Driver::of(row, mail)),
            (None, None) => {}
        }
    }

    fn write(&self, state: &mut State, who: usize, saga: usize) {
        let Some(change) = state.both[who].queue[saga].take() else { return };
        if state.owner != Some(who) {
            // Refused: whoever works under the lease stops.
            state.both[who].stop();
            state.both[who].phase = Phase::Away;
            return;
        }
        let Some(row) = &mut state.rows[saga] else { return };
        if row.calls > change.calls {
            state.broken = Some(Rule::Regressed);
        }
        *row = Row {
            in_memory: !change.parks,
            calls: change.calls,
            commanded: row.commanded || change.commanded,
        };
        if change.settles && state.inbox == Inbox::Posted {
            state.inbox = Inbox::Done;
        }
        let has_ended = row.has_ended();
        if let Some(driver) = &mut state.both[who].drivers[saga] {
            let is_gone = has_ended || driver.leaving && change.parks;
            driver.writing = false;
            if is_gone {
                state.both[who].drivers[saga] = None;
            }
        }
    }

    fn answer(&self, state: &mut State, who: usize, saga: usize) {
        let me = &mut state.both[who];
        let driver = me.drivers[saga].as_mut().unwrap();
        driver.calling = false;
        driver.calls += 1;
        // The end is awaited; an answer that leads to nothing yet is not.
        driver.writing = driver.calls == CALLS;
        state.heard[saga] = state.heard[saga].max(driver.calls);
        let change = driver.change();
        me.queue(saga, change);
    }

    fn open_mail(&self, state: &mut State, who: usize, saga: usize) {
        let me = &mut state.both[who];
        let driver = me.drivers[saga].as_mut().unwrap();
        driver.mail = false;
        driver.commanded = true;
        driver.writing = true;
        let change = Change { settles: true, ..driver.change() };
        me.queue(saga, change);
        if self.is(Fault::SettleFirst) && state.inbox == Inbox::Posted {
            state.inbox = Inbox::Done;
        }
    }

    /// Leaves memory: for good where the partition is handed over, else until something is due.
    fn leave(&self, state: &mut State, who: usize, saga: usize) {
        let me = &mut state.both[who];
        let driver = me.drivers[saga].as_mut().unwrap();
        if driver.held {
            me.drivers[saga] = None;
            return;
        }
        if driver.mail {
            state.broken = Some(Rule::MailLost);
        }
        (driver.leaving, driver.writing) = (true, true);
        let change = Change { parks: true, ..driver.change() };
        me.queue(saga, change);
    }

    fn may_leave(&self, driver: &Driver) -> bool {
        let parks = driver.calls == 1 && (!driver.mail || self.is(Fault::LeaveWithMail));
        driver.waits() && (driver.held || parks)
    }

    fn recover(&self, state: &mut State) {
        for saga in 0..SAGAS {
            let Some(row) = state.rows[saga].filter(|row| row.in_memory && !row.has_ended()) else {
                continue;
            };
            if state.orderly && row.calls < state.heard[saga] {
                state.broken = Some(Rule::FactLost);
            }
            state.both[NEW].drivers[saga] = Some(Driver::of(row, false));
        }
        state.both[NEW].phase = Phase::Ready;
    }

    // --- what may happen ---------------------------------------------------------------------------

    fn of_drivers(&self, state: &State, who: usize, actions: &mut Vec<Action>) {
        let me = &state.both[who];
        for saga in 0..SAGAS {
            if me.queue[saga].is_some() {
                actions.push(Action::Write(who, saga));
            }
            if me.claimed[saga].is_some() {
                actions.push(Action::Adopt(who, saga));
            }
            let Some(driver) = me.drivers[saga] else { continue };
            if driver.calling && !driver.writing {
                actions.push(Action::Answer(who, saga));
            }
            if driver.waits() && !driver.held && driver.calls == 1 {
                actions.push(Action::Fire(who, saga));
            }
            if driver.mail && !driver.writing && !driver.leaving {
                actions.push(Action::OpenMail(who, saga));
            }
            if self.may_leave(&driver) {
                actions.push(Action::Leave(who, saga));
            }
        }
    }

    fn of_polling(&self, state: &State, who: usize, actions: &mut Vec<Action>) {
        let me = &state.both[who];
        if me.phase != Phase::Ready {
            return;
        }
        if state.inbox == Inbox::Posted && state.owner == Some(who) {
            actions.push(if me.taken { Action::ReadAgain(who) } else { Action::ReadInbox(who) });
        }
        for saga in 0..SAGAS {
            let is_due = state.rows[saga].is_some_and(|row| !row.in_memory && !row.has_ended());
            if is_due && self.has_lease(state, who) {
                actions.push(Action::ClaimDue(who, saga));
            }
        }
    }

    fn of_drain(&self, state: &State, actions: &mut Vec<Action>) {
        let old = &state.both[OLD];
        match old.phase {
            Phase::Ready => actions.push(Action::Drain),
            Phase::HandingOver => {
                if old.drivers.iter().flatten().any(|driver| !driver.held) {
                    actions.push(Action::Hold(OLD));
                }
                if !old.has_work(self.fault) || self.is(Fault::ReleaseBusy) {
                    actions.push(Action::IsIdle);
                }
                if self.bounded {
                    actions.push(Action::TimeIsOver);
                }
            }
            Phase::Idle => {
                if old.queue.iter().all(Option::is_none) || self.is(Fault::ReleaseBeforeFlush) {
                    actions.push(Action::Flush);
                }
            }
            Phase::Flushed => actions.push(Action::Stop),
            Phase::Stopped => actions.push(Action::Release),
            Phase::Away | Phase::Recovering => {}
        }
    }
}

impl Model for HandOver {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = Row { in_memory: true, calls: 0, commanded: false };
        let mut old = Coordinator { phase: Phase::Ready, ..Coordinator::away() };
        old.drivers[0] = Some(Driver::of(row, false));
        vec![State {
            owner: Some(OLD),
            rows: [Some(row), None],
            inbox: Inbox::Empty,
            both: [old, Coordinator::away()],
            heard: [0; SAGAS],
            orderly: true,
            submitted: false,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.inbox == Inbox::Empty {
            actions.push(Action::Post);
        }
        let old = &state.both[OLD];
        if !state.submitted {
            if old.phase == Phase::Ready {
                actions.push(Action::Submit);
            } else {
                actions.push(Action::SubmitElsewhere);
            }
        }
        if old.submitting {
            actions.push(Action::Accept(OLD));
        }
        for who in [OLD, NEW] {
            self.of_drivers(state, who, actions);
            self.of_polling(state, who, actions);
        }
        self.of_drain(state, actions);
        let is_stolen = self.steals && state.owner == Some(OLD);
        if state.both[NEW].phase == Phase::Away && (state.owner.is_none() || is_stolen) {
            actions.push(Action::Acquire);
        }
        if state.both[NEW].phase == Phase::Recovering {
            actions.push(Action::Recover);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Post => state.inbox = Inbox::Posted,
            Action::Submit => {
                state.submitted = true;
                state.both[OLD].submitting = true;
            }
            Action::Accept(who) => {
                state.both[who].submitting = false;
                if state.owner == Some(who) {
                    let row = Row { in_memory: true, calls: 0, commanded: false };
                    state.rows[1] = Some(row);
                    state.both[who].drivers[1] = Some(Driver::of(row, false));
                } else {
                    // Refused: it is tried again elsewhere.
                    state.submitted = false;
                    state.both[who].stop();
                    state.both[who].phase = Phase::Away;
                }
            }
            Action::SubmitElsewhere => {
                state.submitted = true;
                state.rows[1] = Some(Row { in_memory: false, calls: 0, commanded: false });
            }
            Action::ReadInbox(who) => self.read_inbox(&mut state, who),
            Action::ReadAgain(who) => state.both[who].taken = false,
            Action::ClaimDue(who, saga) => self.claim(&mut state, who, saga, false),
            Action::Adopt(who, saga) => self.adopt(&mut state, who, saga),
            Action::Answer(who, saga) => self.answer(&mut state, who, saga),
            Action::Fire(who, saga) => {
                state.both[who].drivers[saga].as_mut()?.calling = true;
            }
            Action::OpenMail(who, saga) => self.open_mail(&mut state, who, saga),
            Action::Leave(who, saga) => self.leave(&mut state, who, saga),
            Action::Write(who, saga) => self.write(&mut state, who, saga),
            Action::Drain => state.both[OLD].phase = Phase::HandingOver,
            Action::Hold(who) => {
                for driver in state.both[who].drivers.iter_mut().flatten() {
                    driver.held = true;
                }
            }
            Action::IsIdle => state.both[OLD].phase = Phase::Idle,
            Action::TimeIsOver => {
                state.both[OLD].phase = Phase::Idle;
                state.orderly = false;
            }
            Action::Flush => state.both[OLD].phase = Phase::Flushed,
            Action::Stop => {
                state.both[OLD].phase = Phase::Stopped;
                if !self.is(Fault::ReleaseBusy) {
                    state.both[OLD].stop();
                }
            }
            Action::Release => {
                state.both[OLD].phase = Phase::Away;
                if state.owner == Some(OLD) {
                    state.owner = None;
                }
            }
            Action::Acquire => {
                state.orderly &= state.owner.is_none();
                state.owner = Some(NEW);
                state.both[NEW].phase = Phase::Recovering;
            }
            Action::Recover => self.recover(&mut state),
        }
        let is_settled = state.inbox == Inbox::Done;
        if is_settled && !state.rows[0].is_some_and(|row| row.commanded) {
            state.broken = Some(Rule::Unsaid);
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! rule {
            ($text:literal, $rule:ident) => {
                Property::<Self>::always($text, |_, state| state.broken != Some(Rule::$rule))
            };
        }
        vec![
            rule!("an orderly hand-over loses no fact", FactLost),
            rule!("no message is left behind", MailLost),
            rule!("what is settled as done is written", Unsaid),
            rule!("a row never goes back", Regressed),
            Property::always(
                "after an orderly hand-over nobody else drives",
                |_, state: &State| {
                    let is_over = state.orderly && state.owner == Some(NEW);
                    !is_over || state.both[OLD].drivers.iter().all(Option::is_none)
                },
            ),
            Property::always("no saga and no message is lost", |model: &Self, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                actions.retain(|action| model.next_state(state, *action).is_some());
                let is_done = |row: &Option<Row>| row.is_none_or(Row::has_ended);
                let is_settled = matches!(state.inbox, Inbox::Done | Inbox::Refused);
                !actions.is_empty()
                    || state.submitted && state.rows.iter().all(is_done) && is_settled
            }),
            Property::sometimes("a saga is handed over between its calls", |_, state: &State| {
                state.orderly && state.both[NEW].drivers[0].is_some_and(|driver| driver.calls == 1)
            }),
            Property::sometimes("a command is carried out by the new owner", |_, state: &State| {
                state.inbox == Inbox::Done && state.both[NEW].taken
            }),
            Property::sometimes("a submission waits for the new owner", |_, state: &State| {
                state.owner.is_none() && state.rows[1].is_some_and(|row| !row.in_memory)
            }),
        ]
    }
}
