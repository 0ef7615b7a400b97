//! The engine and the participants of one saga, played by moves.
//!
//! Facts become durable when the machine asks for it, or by chance; a crash loses the rest, but
//! nothing that was sent. Facts of one input are written together, so they are lost together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::moves::Move;
use super::participant::Truth;
use super::plan::Plan;
use super::story::{Entry, Fate, Story};
use crate::definition::Definition;
use crate::saga::{
    Accepted, CallId, CallState, Effect, Event, Handled, Input, Record, Refusal, Saga, Status,
    Timer, Token,
};
use crate::{Json, LockKey, SagaId, Timestamp};

/// One saga and all around it.
pub(super) struct World {
    pub(super) plan: Plan,
    /// What it was accepted with; branches are added to it.
    base: Arc<Definition>,
    pub(super) saga: Saga,
    pub(super) now: Timestamp,
    pub(super) records: Vec<Record>,
    /// Where the facts of one input end.
    boundaries: Vec<usize>,
    durable: usize,
    /// Attempts that are to be answered.
    pub(super) open: BTreeMap<CallId, Attempt>,
    /// Work that was accepted and not finished.
    pub(super) pending: BTreeSet<CallId>,
    /// Attempts that may still arrive.
    pub(super) late: Vec<CallId>,
    pub(super) timers: BTreeMap<Timer, Timestamp>,
    pub(super) lock_asked: bool,
    pub(super) is_held: bool,
    pub(super) truth: Vec<Truth>,
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<String>,
    /// Questions that were overtaken by what they ask for.
    pub(super) dropped: Vec<(CallId, u32)>,
    epoch: u64,
    last_token: u64,
}

/// One attempt on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) kind: AttemptKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AttemptKind {
    Call,
    Drain,
    /// Its request could not be made.
    Unmade,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let definition = plan.definition();
        let start = Timestamp(1_000_000);
        let later =
            |is_wanted: bool, secs: i64| is_wanted.then_some(Timestamp(start.0 + secs * 1_000_000));
        let keys: &[&str] = if plan.locked { &["user:1", "user:2"] } else { &[] };
        let accepted = Accepted {
            definition_version: Some(1),
            input: Json::from_value(&Plan::input()),
            lock_keys: keys.iter().map(|key| LockKey::new(key).unwrap()).collect(),
            start_at: later(plan.start_later, 5),
            deadline_at: later(plan.deadline, 12),
            lock_wait_until: later(plan.locked && plan.lock_wait, 7),
            prepared: plan.role.check_back(),
            parent: plan.role.parent(),
            ..Accepted::new(SagaId::new("s-1").unwrap(), &definition)
        };
        let (saga, handled) = Saga::accept(Arc::clone(&definition), accepted, start);
        let mut world = Self {
            plan: plan.clone(),
            truth: vec![Truth::default(); saga.steps().len()],
            base: definition,
            saga,
            now: start,
            records: Vec::new(),
            boundaries: Vec::new(),
            durable: 0,
            open: BTreeMap::new(),
            pending: BTreeSet::new(),
            late: Vec::new(),
            timers: BTreeMap::new(),
            lock_asked: false,
            is_held: false,
            entries: Vec::new(),
            faults: Vec::new(),
            dropped: Vec::new(),
            epoch: 1,
            last_token: 0,
        };
        world.absorb(handled);
        world
    }

    pub(super) fn into_story(self) -> Story {
        Story {
            definition: Arc::clone(self.saga.definition()),
            branches: self.saga.branches().to_vec(),
            entries: self.entries,
            status: self.saga.status(),
            truth: self.truth,
            faults: self.faults,
            plan: self.plan,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.saga.status().is_terminal()
    }

    pub(super) fn play(&mut self, one: &Move) {
        match one {
            Move::Late { pick } => self.arrive_late(*pick),
            Move::Client { wish, pick } => self.wish(*wish, *pick),
            _ if self.has_ended() => {}
            Move::Answer { pick, reply } => {
                if let Some(call) = nth(self.open.keys(), *pick) {
                    self.answer(call, *reply);
                }
            }
            Move::Fire { pick } => {
                if let Some(timer) = nth(self.timers.keys(), *pick) {
                    self.fire(timer);
                }
            }
            Move::Complete { pick, reply } => {
                if let Some(call) = nth(self.pending.iter(), *pick) {
                    self.complete(call, *reply);
                }
            }
            Move::Grant => self.grant(),
            Move::Crash { kept, arrived } => self.crash(*kept, *arrived),
            Move::Flush => self.flush(),
            Move::Hold => {
                self.saga.hold();
                self.is_held = true;
                self.entries.push(Entry::Held);
            }
            Move::Ask { what, pick } => self.ask(*what, *pick),
            Move::TakeLock => self.take_lock(),
            Move::Stray { what, pick } => self.stray(*what, *pick),
        }
    }

    // --- the engine --------------------------------------------------------------------------

    /// Gives the saga an input; one that is refused must change nothing.
    pub(super) fn tell(&mut self, input: Input) -> Result<(), Refusal> {
        let before = self.saga.clone();
        match self.saga.handle(self.now, input) {
            Ok(handled) => {
                self.absorb(handled);
                Ok(())
            }
            Err(refusal) => {
                if !is_same(&before, &self.saga) {
                    self.faults.push(format!("changed by an input that it refused: {refusal}"));
                }
                Err(refusal)
            }
        }
    }

    fn absorb(&mut self, handled: Handled) {
        let is_awaited = handled.is_awaited();
        self.check_lock(&handled);
        for record in handled.records {
            self.entries.push(Entry::Fact(record.clone()));
            if matches!(record.event, Event::Decided { .. } | Event::CommitRequested { .. }) {
                self.drop_question();
            }
            self.records.push(record);
        }
        self.truth.resize(self.saga.steps().len(), Truth::default());
        self.boundaries.push(self.records.len());
        if is_awaited {
            self.flush();
        }
        for effect in handled.effects {
            self.perform(&effect);
        }
        self.check();
    }

    pub(super) fn flush(&mut self) {
        self.durable = self.records.len();
        self.entries.push(Entry::Durable(self.durable));
    }

    fn perform(&mut self, effect: &Effect) {
        match *effect {
            Effect::Call { call, attempt } => {
                let request = self.saga.request(call);
                let kind = if request.is_ok() { AttemptKind::Call } else { AttemptKind::Unmade };
                self.entries.push(Entry::Sent { call, attempt, request });
                self.check_sent(call);
                self.begin(call, Attempt { number: attempt, kind });
            }
            Effect::Drain { call, attempt } => {
                self.entries.push(Entry::Drained { call });
                self.begin(call, Attempt { number: attempt, kind: AttemptKind::Drain });
            }
            Effect::Arm { timer, at } => {
                self.timers.insert(timer, at);
            }
            Effect::Lock { .. } => self.lock_asked = true,
            Effect::Unlock { .. } => self.lock_asked = false,
            Effect::Poll { .. } => {}
            Effect::End { .. } => self.timers.clear(),
        }
    }

    fn begin(&mut self, call: CallId, attempt: Attempt) {
        if self.open.insert(call, attempt).is_some() {
            self.faults.push(format!("two attempts of {call:?} at once"));
        }
    }

    /// What the machine would ask for after a recovery is just what is on its way now.
    fn check(&mut self) {
        if self.saga.fact_count() != self.records.len() as u64 {
            self.faults.push(format!("counts {} facts", self.saga.fact_count()));
        }
        let effects = self.saga.effects();
        let calls: BTreeMap<CallId, u32> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Call { call, attempt } | Effect::Drain { call, attempt } => {
                    Some((*call, *attempt))
                }
                _ => None,
            })
            .collect();
        let open: BTreeMap<_, _> =
            self.open.iter().map(|(call, attempt)| (*call, attempt.number)).collect();
        if calls != open {
            self.faults.push(format!("open are {open:?}, a recovery makes {calls:?}"));
        }
        for effect in &effects {
            if let Some(fault) = self.lacks(effect) {
                self.faults.push(fault);
            }
        }
        let is_quiet = effects.is_empty() && !self.has_ended() && !self.saga.is_prepared();
        if is_quiet
            && !self.saga.is_paused()
            && !self.is_held
            && self.saga.status() != Status::Suspended
        {
            self.faults.push("it lives, waits for nothing and does not say so".to_owned());
        }
    }

    fn lacks(&self, effect: &Effect) -> Option<String> {
        let is_there = match effect {
            // Times that came too early or are for the next owner are not waited for again.
            Effect::Arm { timer: Timer::Start, at } if *at <= self.now => true,
            Effect::Arm { .. } if self.is_held => true,
            Effect::Arm { timer, at } => self.timers.get(timer) == Some(at),
            Effect::Lock { .. } => self.lock_asked,
            _ => true,
        };
        (!is_there).then(|| format!("a recovery asks for {effect:?}, which nothing waits for"))
    }

    pub(super) fn fire(&mut self, timer: Timer) {
        let Some(at) = self.timers.remove(&timer) else { return };
        self.now = self.now.max(at);
        let input = match timer {
            Timer::Start => Input::StartDue,
            Timer::Deadline => Input::DeadlinePassed,
            Timer::LockWait => Input::LockWaitPassed,
            Timer::Retry(CallId { step, op }) => Input::RetryDue { step, op },
            Timer::Pending(call) => {
                if let CallState::Pending { until, .. } = self.state(call)
                    && until <= self.now
                {
                    self.entries.push(Entry::Settled { call, fate: Fate::Dirty });
                }
                Input::PendingExpired { step: call.step, op: call.op }
            }
        };
        // A time that nothing waits for any more is stale, and that is all.
        let _ = self.tell(input);
    }

    pub(super) fn grant(&mut self) {
        if std::mem::take(&mut self.lock_asked) {
            // The grant stays asked for if the saga has no more use for it.
            self.last_token += 2;
            let tokens = vec![Token(self.last_token - 1), Token(self.last_token)];
            let _ = self.tell(Input::Granted(tokens));
        }
    }

    /// The coordinator is gone; another one goes on from what was kept.
    pub(super) fn crash(&mut self, kept: usize, arrived: u8) {
        let mut ends: Vec<usize> =
            self.boundaries.iter().copied().filter(|end| *end >= self.durable).collect();
        ends.dedup();
        let kept = nth(ends.iter(), kept).unwrap_or(self.durable);
        let open = std::mem::take(&mut self.open);
        for (index, (call, attempt)) in open.into_iter().enumerate() {
            if attempt.kind != AttemptKind::Call {
                continue;
            }
            if arrived & (1 << (index % 8)) == 0 {
                self.late.push(call);
            } else {
                self.take(call, true);
            }
        }
        let is_whole = kept == self.records.len();
        self.records.truncate(kept);
        self.boundaries.retain(|end| *end <= kept);
        self.durable = kept;
        self.timers.clear();
        (self.lock_asked, self.is_held) = (false, false);
        self.entries.push(Entry::Crashed(kept));
        let text = serde_json::to_string(&self.records).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        let replayed = Saga::replay(Arc::clone(&self.base), &read).unwrap();
        if is_whole && !is_same(&replayed, &self.saga) {
            self.faults
                .push(format!("replayed as {:?}, was {:?}", replayed.steps, self.saga.steps));
        }
        self.saga = replayed;
        self.epoch += 1;
        let had_ended = self.has_ended();
        let recovered = self.tell(Input::Recovered { epoch: self.epoch });
        if recovered.is_err() != had_ended {
            self.faults.push(format!("recovery of a live saga gave {recovered:?}"));
        }
    }

    pub(super) fn exists(&self, call: CallId) -> bool {
        let step = self.saga.definition().steps.get(call.step.get());
        step.is_some_and(|step| step.operation(call.op).is_some())
    }

    pub(super) fn state(&self, call: CallId) -> CallState {
        self.saga.step(call.step).call(call.op).state.clone()
    }
}

/// The one that `pick` chooses among some.
pub(super) fn nth<'a, T: Copy + 'a>(
    some: impl ExactSizeIterator<Item = &'a T>,
    pick: usize,
) -> Option<T> {
    let mut some = some;
    let count = some.len();
    (count > 0).then(|| some.nth(pick % count).copied())?
}

/// Whether two sagas are the same but for what no fact says.
fn is_same(one: &Saga, other: &Saga) -> bool {
    one.accepted == other.accepted
        && one.accepted_at == other.accepted_at
        && one.started == other.started
        && one.tokens == other.tokens
        && one.decision == other.decision
        && one.reason == other.reason
        && one.cancel == other.cancel
        && one.branches == other.branches
        && one.definition.graph == other.definition.graph
        && one.commit_requested == other.commit_requested
        && one.lock_taken == other.lock_taken
        && one.deadline_at == other.deadline_at
        && one.deadline_passed == other.deadline_passed
        && one.lock_wait_passed == other.lock_wait_passed
        && one.paused == other.paused
        && one.steps == other.steps
        && one.end == other.end
        && one.fact_count == other.fact_count
}
