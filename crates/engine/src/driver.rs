//! One saga in memory: one task that owns its state, writes what happens to it, and does what it
//! asks for.
//!
//! The order is always the same: gather what has happened, let the state machine decide, write,
//! wait if anything must be durable, then do. While it waits nothing of the saga changes, and what
//! happens meanwhile is gathered for the next round, so it shares the next write.

mod guard;
mod leave;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use amends_core::Timestamp;
use amends_core::saga::{CallId, Effect, Handled, Input, Refusal, Saga, Status, Timer, Token};
use amends_ports::Guard;
use amends_ports::failpoint;
use amends_ports::store::{Header, Settle, Tickets, Wake};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Inner;
use crate::journal::{self, Change, JournalError};
use crate::live::{CommandReply, CompleteReply, Message};
use crate::memory::Share;
use crate::message::InboxResult;
use crate::outgoing::InputFuture;
use crate::ownership::Work;
use crate::{CommandError, CompleteError, Hint, SagaDetail};

type Alarm = (Timestamp, Pin<Box<dyn Future<Output = ()> + Send>>);
type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// The task of one saga.
pub(crate) struct Driver {
    inner: Arc<Inner>,
    work: Work,
    /// Those who were told of it may still look at how it was.
    saga: Arc<Saga>,
    /// The memory that it takes.
    share: Share,
    messages: mpsc::Receiver<Message>,
    /// Attempts in flight.
    calls: FuturesUnordered<InputFuture>,
    /// Questions after pending calls.
    polls: FuturesUnordered<InputFuture>,
    timers: Vec<(Timer, Timestamp)>,
    alarm: Option<Alarm>,
    waiters: Vec<oneshot::Sender<SagaDetail>>,
    /// What the saga's row says.
    header: Header,
    is_held: bool,
    was_suspended: bool,
    /// The guard of its lock keys, set or being set.
    guard: Option<Guard>,
    /// Its tickets were granted, and the guard is being set: the saga is not told yet.
    is_granting: bool,
    /// Forward calls that wait for the guard.
    gated: Vec<(CallId, u32)>,
    /// A saga that somebody outside decides stays in memory until then.
    lingers_until: Option<Timestamp>,
}

/// Why a driver has nothing more to do.
enum Exit {
    /// The saga ended, left memory, or is handed over.
    Done,
    /// The lease is lost.
    Lost,
}

/// Whom to tell once a round is durable.
#[derive(Default)]
struct Replies {
    commands: Vec<(Reply<SagaDetail, CommandError>, Option<CommandError>)>,
    completions: Vec<(Reply<(), CompleteError>, Result<(), CompleteError>)>,
    looks: Vec<oneshot::Sender<SagaDetail>>,
    settles: Vec<Settle>,
}

impl Replies {
    fn is_empty(&self) -> bool {
        self.commands.is_empty()
            && self.completions.is_empty()
            && self.looks.is_empty()
            && self.settles.is_empty()
    }
}

/// Makes room for the task of a saga whose facts so far are durable; `header` is what its row says.
/// None if the saga has a task already.
pub(crate) fn prepare(
    inner: &Arc<Inner>,
    work: Work,
    saga: Arc<Saga>,
    header: Header,
) -> Option<Driver> {
    let messages = inner.live.insert(saga.id(), work.owned())?;
    let share = inner.memory.hold(&saga);
    Some(Driver {
        inner: Arc::clone(inner),
        work,
        saga,
        share,
        messages,
        calls: FuturesUnordered::new(),
        polls: FuturesUnordered::new(),
        timers: Vec::new(),
        alarm: None,
        waiters: Vec::new(),
        was_suspended: header.status == Status::Suspended,
        header,
        is_held: false,
        guard: None,
        is_granting: false,
        gated: Vec::new(),
        lingers_until: None,
    })
}

/// When a saga that waits for its lock keys must be looked at if nobody wakes it.
pub(crate) fn lock_wake(saga: &Saga) -> Wake {
    let accepted = saga.accepted();
    match [accepted.lock_wait_until, accepted.deadline_at].into_iter().flatten().min() {
        Some(at) => Wake::At(at),
        None => Wake::Parked,
    }
}

/// What the row of a saga in memory should say.
pub(crate) fn header(saga: &Saga, now: Timestamp, wake: Wake) -> Header {
    let step = saga.focus().map(|(step, _)| step);
    Header {
        status: saga.status(),
        paused: saga.is_paused(),
        step: step.map(|step| saga.definition().step(step).id.clone()),
        // A participant's words may hold what PostgreSQL cannot store as text.
        reason: saga.standing_reason().map(|text| text.replace('\0', "\u{fffd}")),
        updated_at: now,
        ended_at: saga.ended_at(),
        wake,
    }
}

impl Driver {
    /// Drives the saga until it ends, leaves memory or is lost; `first` is what it asks for, and
    /// what is not written yet; `tokens` are those of lock keys that were granted just now.
    pub(crate) async fn run(mut self, first: Handled, tokens: Option<Vec<Token>>) {
        let owned = Arc::clone(self.work.owned());
        let exit = owned.run(self.drive(first, tokens)).await;
        if !matches!(exit, Some(Exit::Done)) {
            self.inner.live.remove(self.saga.id(), &owned);
            // Under a lease that is over somebody else reads the saga. Else nobody would.
            if !owned.is_lost() {
                tracing::error!(saga.id = %self.saga.id(), "a saga's write was refused under a lease that holds; its partition is read anew");
                self.inner.ownership.lose_lease(owned.lease());
            }
        }
    }

    async fn drive(&mut self, first: Handled, tokens: Option<Vec<Token>>) -> Exit {
        let mut handled = first;
        let mut replies = Replies::default();
        match tokens {
            Some(tokens) => self.granted(tokens, &mut handled),
            None => self.take_guard_over(&mut handled),
        }
        loop {
            if self
                .settle(std::mem::take(&mut handled), std::mem::take(&mut replies))
                .await
                .is_err()
            {
                return Exit::Lost;
            }
            if self.saga.ended_at().is_some() {
                self.inner.live.remove(self.saga.id(), self.work.owned());
                self.finish();
                return Exit::Done;
            }
            if let Some(exit) = self.leave().await {
                return exit;
            }
            self.gather(&mut handled, &mut replies).await;
        }
    }

    // --- gather ------------------------------------------------------------------------------

    /// Waits until something happens, and takes all that has happened by then.
    async fn gather(&mut self, handled: &mut Handled, replies: &mut Replies) {
        if self.give_up_gated(handled) {
            return;
        }
        self.set_alarm();
        let alarm = async {
            match &mut self.alarm {
                Some((_, sleep)) => sleep.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(input) = self.calls.next(), if !self.calls.is_empty() => {
                self.input(input, handled);
            }
            Some(message) = self.messages.recv() => self.message(message, handled, replies),
            Some(input) = self.polls.next(), if !self.polls.is_empty() => {
                self.input(input, handled);
            }
            () = alarm => {
                self.alarm = None;
                self.ring(handled);
            }
        }
        while let Some(Some(input)) = self.calls.next().now_or_never() {
            self.input(input, handled);
        }
        while let Ok(message) = self.messages.try_recv() {
            self.message(message, handled, replies);
        }
    }

    fn handle(&mut self, input: Input) -> Result<Handled, Refusal> {
        Arc::make_mut(&mut self.saga).handle(self.inner.clock.now(), input)
    }

    /// Tells the saga. What it no longer waits for falls on the floor.
    fn input(&mut self, input: Input, handled: &mut Handled) {
        if matches!(input, Input::Granted(_) | Input::LockWaitPassed) {
            self.is_granting = false;
        }
        let is_granted = matches!(input, Input::Granted(_));
        let _ = absorb(self.handle(input), handled);
        if is_granted {
            // What waited under an earlier grant leaves under this one.
            self.open_gate();
        }
    }

    fn message(&mut self, message: Message, handled: &mut Handled, replies: &mut Replies) {
        match message {
            Message::Wait(waiter) => {
                self.waiters.push(waiter);
                // What this round has added so far is not durable: then it is told after the write.
                if handled.records.is_empty() {
                    self.tell_waiters();
                }
            }
            Message::Look(looker) => replies.looks.push(looker),
            Message::Guard => self.guard_changed(handled),
            Message::Hold => {
                self.is_held = true;
                Arc::make_mut(&mut self.saga).hold();
            }
            Message::Woken => {
                self.header.wake = Wake::InMemory;
                if self.saga.waits_for_lock() {
                    let keys = self.saga.accepted().lock_keys.clone();
                    handled.effects.push(Effect::Lock { keys });
                }
            }
            Message::Command { command, by, reply } => {
                let result = self.refuse_unguarded(&command).and_then(|()| {
                    let input = Input::Command { command: *command, by: *by };
                    self.handle(input)
                });
                let refused = absorb(result, handled);
                match reply {
                    CommandReply::Inbox(id) => replies.settles.push(settle(id, refused.is_none())),
                    CommandReply::Caller(caller) => {
                        let error =
                            refused.map(|refusal| CommandError::refused(&self.saga, refusal));
                        replies.commands.push((caller, error));
                    }
                }
            }
            Message::Complete { step, op, answer, reply } => {
                let input = Input::Completed { step, op, answer };
                let result = self.handle(input);
                let refused = absorb(result, handled);
                match reply {
                    CompleteReply::Inbox(id) => replies.settles.push(settle(id, refused.is_none())),
                    CompleteReply::Caller(caller) => {
                        let id = self.saga.definition().step(step).id.clone();
                        let result = refused.map_or(Ok(()), |_| Err(CompleteError::Late(id)));
                        replies.completions.push((caller, result));
                    }
                }
            }
        }
    }

    // --- timers ------------------------------------------------------------------------------

    fn set_alarm(&mut self) {
        let next = self.timers.iter().map(|(_, at)| *at).chain(self.lingers_until).min();
        if self.alarm.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        self.alarm = next.map(|at| {
            let inner = Arc::clone(&self.inner);
            let sleep = async move {
                let wait = at.since(inner.clock.now());
                inner.clock.sleep(wait).await;
            };
            (at, Box::pin(sleep) as Pin<Box<dyn Future<Output = ()> + Send>>)
        });
    }

    fn ring(&mut self, handled: &mut Handled) {
        let now = self.inner.clock.now();
        let due: Vec<_> = self.timers.extract_if(.., |(_, at)| *at <= now).collect();
        for (timer, _) in due {
            self.input(
                match timer {
                    Timer::Start => Input::StartDue,
                    Timer::Deadline => Input::DeadlinePassed,
                    Timer::LockWait => Input::LockWaitPassed,
                    Timer::Retry(call) => Input::RetryDue { step: call.step, op: call.op },
                    Timer::Pending(call) => Input::PendingExpired { step: call.step, op: call.op },
                },
                handled,
            );
        }
    }

    // --- settle: write, wait, do ---------------------------------------------------------------

    async fn settle(&mut self, handled: Handled, mut replies: Replies) -> Result<(), JournalError> {
        self.share.update(&self.saga);
        let is_terminal = self.saga.ended_at().is_some();
        let now = self.inner.clock.now();
        // A saga that waits for its lock keys may leave memory at any moment, so its row always
        // says so; and whenever the row is written, the keys are asked for after it in the same
        // transaction, so that a release just before is not missed.
        let is_waiting = self.saga.waits_for_lock() && !self.is_granting;
        let wake = if is_waiting { lock_wake(&self.saga) } else { Wake::InMemory };
        let header = self.changed_header(now, wake);
        let is_lock = |effect: &Effect| matches!(effect, Effect::Lock { .. });
        let wants_lock = is_waiting && (header.is_some() || handled.effects.iter().any(is_lock));
        let is_awaited = handled.is_awaited() || wants_lock || !replies.is_empty() || is_terminal;
        if handled.records.is_empty()
            && header.is_none()
            && replies.settles.is_empty()
            && !wants_lock
        {
            self.perform(handled.effects);
            self.reply(replies);
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        let count = handled.records.len();
        let change = Change {
            saga_id: self.saga.id().clone(),
            owned: Arc::clone(self.work.owned()),
            from: self.saga.fact_count() - count as u64,
            records: journal::encode(&handled.records),
            record_count: u32::try_from(count).unwrap_or(u32::MAX),
            header,
            tickets: self.tickets(&handled.effects),
            grant: wants_lock,
            settles: std::mem::take(&mut replies.settles),
            reply: is_awaited.then_some(sender),
        };
        self.inner.journal.change(change).await?;
        let mut tokens = None;
        if is_awaited {
            tokens = receiver.await.map_err(|_| JournalError::Lost)??;
        }
        failpoint!("engine.driver.before-calls");
        self.perform(handled.effects);
        failpoint!("engine.driver.before-answer");
        self.reply(replies);
        self.hint();
        if wants_lock && tokens.is_none() {
            self.inner.replace_waiting(&self.saga);
        }
        if let Some(tokens) = tokens {
            // The grant set the row to be in memory.
            self.header.wake = Wake::InMemory;
            let mut more = Handled::default();
            self.granted(tokens, &mut more);
            if !more.records.is_empty() {
                return Box::pin(self.settle(more, Replies::default())).await;
            }
        }
        Ok(())
    }

    fn changed_header(&mut self, now: Timestamp, wake: Wake) -> Option<Header> {
        let header = Header { updated_at: self.header.updated_at, ..header(&self.saga, now, wake) };
        if header == self.header {
            return None;
        }
        self.header = Header { updated_at: now, ..header };
        Some(self.header.clone())
    }

    /// What becomes of its tickets in the write of these effects.
    fn tickets(&self, effects: &[Effect]) -> Tickets {
        if self.saga.accepted().lock_keys.is_empty() {
            return Tickets::Keep;
        }
        effects.iter().fold(Tickets::Keep, |tickets, effect| match effect {
            Effect::Unlock { requeue: true } => tickets.then(Tickets::Requeue),
            Effect::Unlock { requeue: false } | Effect::End { .. } => {
                tickets.then(Tickets::Release)
            }
            Effect::Call { .. }
            | Effect::Drain { .. }
            | Effect::Poll { .. }
            | Effect::Arm { .. }
            | Effect::Lock { .. } => tickets,
        })
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call { call, attempt } if call.op.is_forward() && !self.is_guarded() => {
                    self.gated.push((call, attempt));
                }
                Effect::Call { call, attempt } => {
                    self.calls.push(self.inner.attempt(&self.saga, call, attempt));
                }
                Effect::Drain { call, attempt } => {
                    let future = self.inner.drain_attempt(&self.saga, call, attempt);
                    self.calls.push(Box::pin(future));
                }
                Effect::Poll { call, location } => {
                    self.polls.push(self.inner.poll_call(&self.saga, call, location));
                }
                Effect::Arm { timer: Timer::LockWait, .. } if self.is_granting => {}
                Effect::Arm { timer, at } => {
                    self.timers.retain(|(other, _)| *other != timer);
                    self.timers.push((timer, at));
                }
                Effect::Unlock { .. } | Effect::End { .. } => self.drop_guard(),
                Effect::Lock { .. } => {}
            }
        }
    }

    fn reply(&self, replies: Replies) {
        for (caller, error) in replies.commands {
            let _ = caller.send(error.map_or_else(|| Ok(self.detail()), Err));
        }
        for (caller, result) in replies.completions {
            let _ = caller.send(result);
        }
        for looker in replies.looks {
            let _ = looker.send(self.detail());
        }
    }

    // --- telling the world -----------------------------------------------------------------------

    fn detail(&self) -> SagaDetail {
        SagaDetail { saga: Arc::clone(&self.saga), updated_at: self.header.updated_at }
    }

    fn hint(&mut self) {
        let status = self.saga.status();
        if status == Status::Suspended && !self.was_suspended {
            self.inner.metrics.suspended();
            let reason = self.header.reason.as_deref().unwrap_or_default();
            tracing::warn!(saga.id = %self.saga.id(), reason, "a saga is suspended: an operator is needed");
        }
        self.was_suspended = status == Status::Suspended;
        self.inner.send_hint(|| Hint {
            saga_id: self.saga.id().clone(),
            definition: self.saga.accepted().definition_name.clone(),
            fact_count: self.saga.fact_count(),
            status,
        });
        self.tell_waiters();
    }

    fn tell_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let status = self.saga.status();
        let is_over = status.is_terminal() || status == Status::Suspended;
        if is_over || self.saga.waits_for_client() {
            let detail = self.detail();
            for waiter in self.waiters.drain(..) {
                let _ = waiter.send(detail.clone());
            }
        }
    }

    fn finish(&mut self) {
        let status = self.saga.status();
        let ended = self.saga.ended_at().unwrap_or_default();
        let seconds = ended.since(self.saga.accepted_at()).as_secs_f64();
        let name = self.saga.accepted().definition_name.as_str();
        self.inner.metrics.ended(name, status, seconds);
        tracing::debug!(saga.id = %self.saga.id(), status = status.as_str(), "a saga ended");
        // Whoever sent a message after the end is answered by what the store says.
        self.messages.close();
    }
}

/// Adds what came of an input; gives a refusal back.
fn absorb(result: Result<Handled, Refusal>, handled: &mut Handled) -> Option<Refusal> {
    match result {
        Ok(more) if handled.records.is_empty() && handled.effects.is_empty() => {
            *handled = more;
            None
        }
        Ok(more) => {
            handled.records.extend(more.records);
            handled.effects.extend(more.effects);
            None
        }
        Err(refusal) => Some(refusal),
    }
}

fn settle(id: amends_ports::store::InboxId, is_done: bool) -> Settle {
    let result = if is_done { InboxResult::Done } else { InboxResult::Refused };
    Settle { id, result: result.encode() }
}
