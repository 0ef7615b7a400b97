//! One sandbox saga: its calls, its effect, and its cleaning up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use amends_core::saga::{ForwardOutcome, Op};
use amends_core::{Json, SagaId};
use tokio::time::{Instant, sleep};

use crate::answer::{Answer, Outcome};
use crate::desk::{Call, Desk};
use crate::effect::{in_words, same};
use crate::headers::Signing;
use crate::notes::Notes;
use crate::wire::{Cut, Parcel};

/// Most attempts of a call that is answered "try again".
const ATTEMPTS_MAX: u32 = 6;
/// Most attempts of a call that is not answered: each may take the whole time-out.
const LOST_MAX: u32 = 2;
/// Pause before the second attempt; doubled for each further one.
const PAUSE: Duration = Duration::from_millis(40);
/// Pause between two looks at an effect.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// One sandbox saga.
pub(crate) struct Case<'a> {
    desk: &'a Desk<'a>,
    notes: &'a Notes,
    pub(crate) saga: SagaId,
    /// The measured number before the first call.
    base: Option<f64>,
    pub(crate) token: Option<u64>,
    attempts: RefCell<BTreeMap<Op, u32>>,
    forward: RefCell<(ForwardOutcome, Option<Json>)>,
    /// Whether there may be an effect that an undo would undo.
    is_open: Cell<bool>,
    confirmed: Cell<bool>,
}

impl<'a> Case<'a> {
    /// A new saga; measures where things stand.
    pub(crate) async fn open(desk: &'a Desk<'a>, notes: &'a Notes) -> Option<Self> {
        let saga = desk.new_saga().inspect_err(|why| notes.unclear(why)).ok()?;
        let base = desk.measure().await.inspect_err(|why| notes.unclear(why)).ok()?;
        Some(Self {
            desk,
            notes,
            saga,
            base,
            token: None,
            attempts: RefCell::default(),
            forward: RefCell::new((ForwardOutcome::Unknown, None)),
            is_open: Cell::new(false),
            confirmed: Cell::new(false),
        })
    }

    /// A saga whose forward call succeeded with `output` a while ago.
    pub(crate) fn resume(desk: &'a Desk<'a>, notes: &'a Notes, saga: SagaId, output: Json) -> Self {
        Self {
            desk,
            notes,
            saga,
            base: None,
            token: None,
            attempts: RefCell::default(),
            forward: RefCell::new((ForwardOutcome::Succeeded, Some(output))),
            is_open: Cell::new(true),
            confirmed: Cell::new(false),
        }
    }

    /// The forward call, tried again as a coordinator would.
    pub(crate) async fn forward(&self) -> Answer {
        self.call(self.desk.forward_op()).await
    }

    /// The undo, tried again as a coordinator would.
    pub(crate) async fn undo(&self) -> Answer {
        self.call(self.desk.undo_op()).await
    }

    /// The confirm, tried again as a coordinator would.
    pub(crate) async fn confirm(&self) -> Answer {
        self.call(Op::Confirm).await
    }

    /// A call that must succeed for the point to go on.
    pub(crate) async fn must(&self, op: Op) -> Option<Answer> {
        let answer = self.call(op).await;
        if let Answer::Unsent(why) = &answer {
            self.notes.unclear(format!("the {op} could not be sent: {why}"));
        } else {
            let why = format!("the {op} {}", answer.told());
            self.notes.require(answer.succeeded(), why);
        }
        answer.succeeded().then_some(answer)
    }

    async fn call(&self, op: Op) -> Answer {
        let answer = self.until(op, |answer| answer.outcome() != Outcome::Retryable).await;
        self.notes.see(format!("{op} {}", answer.with_reason()));
        answer
    }

    /// Repeats `op` until its answer is `enough`, as often as a coordinator surely would.
    pub(crate) async fn until(&self, op: Op, enough: impl Fn(&Answer) -> bool) -> Answer {
        let (mut pause, mut lost) = (PAUSE, 0);
        let mut answer = self.once(op).await;
        for _ in 1..ATTEMPTS_MAX {
            lost += u32::from(matches!(answer, Answer::Lost(_)));
            let hopeless = matches!(answer, Answer::Unsent(_)) || lost >= LOST_MAX;
            let settled = !matches!(answer, Answer::Lost(_)) && enough(&answer);
            if hopeless || settled || answer.succeeded() {
                break;
            }
            sleep(pause).await;
            pause *= 2;
            answer = self.once(op).await;
        }
        answer
    }

    /// One attempt of `op`, with nothing noted.
    pub(crate) async fn once(&self, op: Op) -> Answer {
        self.deliver(op, self.parcel(op)).await
    }

    /// Sends a parcel of this saga that may have been altered.
    pub(crate) async fn deliver(&self, op: Op, parcel: Result<Parcel, String>) -> Answer {
        if op.is_forward() && parcel.is_ok() {
            self.is_open.set(true);
        }
        let answer = self.desk.send(parcel).await;
        self.remember(op, &answer);
        answer
    }

    /// Sends one attempt of `op` and hangs up.
    pub(crate) async fn cut(&self, op: Op, when: Cut) {
        if op.is_forward() {
            self.is_open.set(true);
        }
        let sent = match self.parcel(op) {
            Ok(parcel) => self.desk.wire.cut(&parcel, when).await,
            Err(why) => Err(why),
        };
        match sent {
            Ok(()) => self.notes.see(format!("{op} {}", when.in_words())),
            Err(why) => self.notes.unclear(format!("the {op} could not be cut off: {why}")),
        }
    }

    /// The next attempt of `op`.
    pub(crate) fn parcel(&self, op: Op) -> Result<Parcel, String> {
        self.signed_parcel(op, Signing::Right)
    }

    /// The next attempt of `op`, signed in this way.
    pub(crate) fn signed_parcel(&self, op: Op, signing: Signing) -> Result<Parcel, String> {
        let attempt = {
            let mut attempts = self.attempts.borrow_mut();
            let attempt = attempts.entry(op).or_default();
            *attempt += 1;
            *attempt
        };
        let forward = self.forward.borrow();
        self.desk.parcel(&Call {
            saga: &self.saga,
            op,
            attempt,
            forward_outcome: forward.0,
            forward_output: forward.1.as_ref(),
            token: self.token,
            signing,
        })
    }

    fn remember(&self, op: Op, answer: &Answer) {
        let done = answer.succeeded();
        if op.is_forward() {
            if let Some(output) = answer.output() {
                *self.forward.borrow_mut() =
                    (ForwardOutcome::Succeeded, Some(Json::from_value(output)));
            } else if answer.refused() && self.forward.borrow().0 == ForwardOutcome::Unknown {
                self.is_open.set(false);
            }
        } else if op == Op::Confirm {
            self.confirmed.set(self.confirmed.get() || done);
        } else if done {
            self.is_open.set(false);
        }
    }

    /// What the forward call has given so far.
    pub(crate) fn output(&self) -> Option<Json> {
        self.forward.borrow().1.clone()
    }

    /// Requires that the saga has no effect.
    pub(crate) async fn effect_is_none(&self) {
        self.effect_is(0.0, "none").await;
    }

    /// Requires that the saga has the effect of one forward call.
    pub(crate) async fn effect_is_once(&self) {
        if let Some(unit) = self.desk.unit.get() {
            self.effect_is(unit, "once").await;
        }
    }

    /// Requires that the measured number has changed by `wanted` since the saga began.
    pub(crate) async fn effect_is(&self, wanted: f64, in_short: &str) {
        let Some(found) = self.change(|change| same(change, wanted)).await else { return };
        let words = in_words(found, self.desk.unit.get());
        self.notes.see(format!("effect {words}"));
        let otherwise = format!("effect {words} instead of {in_short}");
        self.notes.require(same(found, wanted), otherwise);
    }

    /// How much the measured number has changed since the saga began, once that `fits` or the
    /// time for it is over.
    pub(crate) async fn change(&self, fits: impl Fn(f64) -> bool) -> Option<f64> {
        let base = self.base?;
        let end = Instant::now() + self.desk.plan.limits.settle;
        loop {
            let measured = self.desk.measure().await.inspect_err(|why| self.notes.unclear(why));
            let change = measured.ok()?? - base;
            if fits(change) || Instant::now() >= end {
                self.notes.looked_at_effects();
                return Some(change);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Undoes what may be there, quietly, and tells what stays.
    pub(crate) async fn clean(self) {
        let step = self.desk.step();
        if !self.is_open.get() && !self.confirmed.get() {
            return;
        }
        let why = if self.confirmed.get() {
            "confirmed, which nothing undoes".to_owned()
        } else if step.undo.is_none() {
            "there is no undo".to_owned()
        } else {
            let answer = self.until(self.desk.undo_op(), Answer::succeeded).await;
            if answer.succeeded() {
                return;
            }
            format!("its {} {}", self.desk.undo_op(), answer.told())
        };
        self.desk.left_behind.borrow_mut().push(format!("{} ({}): {why}", self.saga, step.id));
    }
}
