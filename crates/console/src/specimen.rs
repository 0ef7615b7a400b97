//! Sagas for tests and for looking at pages: made by the real state machine, no engine needed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{Definition, Format, Registry, parse_text};
use amends_core::saga::{
    Accepted, Actor, Answer, AttemptFailure, Command, Effect, Handled, Input, OutcomeKind, Problem,
    Record, Saga, Token,
};
use amends_core::{Json, LockKey, SagaId, Timestamp};
use amends_engine::SagaDetail;
use amends_ports::store::SagaLock;

use crate::saga_page::{Part, Shown};

/// When the sagas of specimens are accepted.
pub(crate) const NOON: Timestamp = Timestamp(1_795_348_800_000_000);

pub(crate) const PLACE_ORDER: &str = r"
name: place-order
deadline: 5m
defaults: { timeout: 2s, retry: { max_attempts: 3, initial: 100ms, factor: 2, max: 10s, jitter: none } }
steps:
  - { id: reserve, participant: inventory, after: [], action: { path: /reservations }, compensation: { path: /release } }
  - { id: charge, participant: payment, after: [], try: { path: /holds }, confirm: { path: /capture }, cancel: { path: /void } }
  - { id: create-order, participant: orders, after: [reserve, charge], action: { path: /orders }, compensation: { path: /cancel }, pivot: true }
  - { id: notify, participant: mail, after: [create-order], action: { path: /messages }, on_failure: ignore }
";

/// A saga that is told things one after another.
pub(crate) struct Specimen {
    pub(crate) saga: Saga,
    pub(crate) records: Vec<Record>,
    pub(crate) now: Timestamp,
    pub(crate) locks: Vec<SagaLock>,
    open: Vec<Effect>,
}

pub(crate) fn definition(text: &str) -> Arc<Definition> {
    let parsed = parse_text(text, Format::Yaml, &Registry::default());
    parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults))
}

impl Specimen {
    pub(crate) fn new(id: &str, text: &str, input: &str) -> Self {
        let definition = definition(text);
        let accepted = Accepted {
            saga_id: SagaId::new(id).unwrap(),
            definition: definition.digest.clone(),
            definition_name: definition.name.clone(),
            definition_version: Some(3),
            input: Json::parse(input).unwrap(),
            labels: BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]),
            lock_keys: vec![LockKey::new("sku:42").unwrap()],
            start_at: None,
            deadline_at: definition.deadline.map(|deadline| NOON.after(deadline)),
            lock_wait_until: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            prepared: None,
            cancelled: None,
            parent: None,
        };
        let (saga, handled) = Saga::accept(definition, accepted, NOON);
        let mut specimen =
            Self { saga, records: Vec::new(), now: NOON, locks: Vec::new(), open: Vec::new() };
        specimen.take(handled);
        specimen
    }

    fn take(&mut self, handled: Handled) {
        self.records.extend(handled.records);
        self.open.extend(handled.effects);
    }

    pub(crate) fn wait(mut self, ms: u64) -> Self {
        self.now = self.now.after(Duration::from_millis(ms));
        self
    }

    fn tell(mut self, input: Input) -> Self {
        let handled = self.saga.handle(self.now, input).unwrap();
        self.take(handled);
        self
    }

    pub(crate) fn granted(self) -> Self {
        self.tell(Input::Granted(vec![Token(17)]))
    }

    /// Answers the open call of `step` that was asked for last.
    pub(crate) fn answer(mut self, step: &str, answer: Answer) -> Self {
        let index = self.saga.definition().index_of(step).unwrap();
        let position = self
            .open
            .iter()
            .rposition(|effect| matches!(effect, Effect::Call { call, .. } if call.step == index));
        let Effect::Call { call, attempt } = self.open.remove(position.unwrap()) else { panic!() };
        self.tell(Input::Answered {
            step: call.step,
            op: call.op,
            attempt,
            answer: Box::new(answer),
        })
    }

    /// The retry of the open call of `step` is due.
    pub(crate) fn retry(self, step: &str) -> Self {
        let index = self.saga.definition().index_of(step).unwrap();
        let (_, op, _) = self
            .saga
            .calls()
            .find(|(own, _, call)| *own == index && call.state.as_str() == "waiting for a retry")
            .unwrap();
        self.tell(Input::RetryDue { step: index, op })
    }

    pub(crate) fn command(self, command: Command) -> Self {
        let by = Actor { name: String::new(), reason: "customer called".to_owned() };
        self.tell(Input::Command { command, by })
    }

    pub(crate) fn shown(self) -> (Timestamp, Shown) {
        let part = Part { from: 0, records: self.records };
        let shown = Shown {
            detail: SagaDetail { saga: Arc::new(self.saga), updated_at: self.now },
            newest: part.clone(),
            journal: part,
            is_numbered: false,
            notice: None,
            locks: self.locks,
        };
        (self.now, shown)
    }
}

pub(crate) fn ok(output: &str) -> Answer {
    Answer::succeeded(Some(Json::parse(output).unwrap()))
}

pub(crate) fn failed(outcome: OutcomeKind, status: u16, detail: &str) -> Answer {
    let body = format!(r#"{{"title":"{detail}","status":{status}}}"#);
    let problem = Problem {
        kind: AttemptFailure::Status,
        status: Some(status),
        detail: detail.to_owned(),
        body: Json::parse(&body).ok(),
    };
    Answer::failed(outcome, true, problem)
}

/// Both first steps side by side, one of them at the third attempt; then the order is refused and
/// all is undone, the release of the stock only after it failed once.
pub(crate) fn undone() -> Specimen {
    Specimen::new(
        "order-1041",
        PLACE_ORDER,
        r#"{"sku":"42","qty":2,"user_id":"u-9","amount":1999}"#,
    )
    .wait(14)
    .granted()
    .wait(21)
    .answer("charge", failed(OutcomeKind::Retryable, 503, "the ledger is being moved"))
    .wait(9)
    .answer("reserve", ok(r#"{"reservation":"r-77"}"#))
    .wait(91)
    .retry("charge")
    .wait(33)
    .answer("charge", ok(r#"{"hold_id":"h-5","amount":1999}"#))
    .wait(25)
    .answer("create-order", failed(OutcomeKind::Refused, 409, "the customer's account is closed"))
    .wait(18)
    .answer("charge", ok("null"))
    .wait(11)
    .answer("reserve", failed(OutcomeKind::Retryable, 500, "shelf is locked"))
    .wait(100)
    .retry("reserve")
    .wait(17)
    .answer("reserve", ok("null"))
}

/// Past the pivot, with the confirmation of the payment stuck.
pub(crate) fn suspended() -> Specimen {
    let declined = || failed(OutcomeKind::Refused, 422, "hold h-5 has expired");
    Specimen::new("order-1042", PLACE_ORDER, r#"{"sku":"42"}"#)
        .wait(2)
        .granted()
        .wait(20)
        .answer("reserve", ok(r#"{"reservation":"r-78"}"#))
        .wait(5)
        .answer("charge", ok(r#"{"hold_id":"h-5"}"#))
        .wait(31)
        .answer("create-order", ok(r#"{"id":"o-1"}"#))
        .wait(12)
        .answer("notify", ok("null"))
        .wait(2)
        .answer("charge", declined())
        .wait(100)
        .retry("charge")
        .wait(14)
        .answer("charge", declined())
        .wait(200)
        .retry("charge")
        .wait(15)
        .answer("charge", declined())
        .wait(45_000)
}

/// Two calls in flight.
pub(crate) fn running() -> Specimen {
    Specimen::new("order-1043", PLACE_ORDER, r#"{"sku":"<script>alert(1)</script>"}"#)
        .wait(3)
        .granted()
        .wait(20)
        .answer("reserve", ok(r#"{"note":"<script>alert(2)</script>"}"#))
        .wait(640)
}

/// All done.
pub(crate) fn completed() -> Specimen {
    Specimen::new("order-1040", PLACE_ORDER, r#"{"sku":"42"}"#)
        .wait(2)
        .granted()
        .wait(20)
        .answer("reserve", ok(r#"{"reservation":"r-70"}"#))
        .wait(5)
        .answer("charge", ok(r#"{"hold_id":"h-1"}"#))
        .wait(31)
        .answer("create-order", ok(r#"{"id":"o-0"}"#))
        .wait(12)
        .answer("charge", ok("null"))
        .wait(9)
        .answer("notify", failed(OutcomeKind::Refused, 404, "no such address"))
}
