//! Starting a saga.

use std::time::Duration;

use http::header::HeaderName;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::chance;
use super::client::Client;
use super::error::Result;
use super::outgoing::{IDEMPOTENCY_KEY, Outgoing, duration_text, to_value};
use super::saga::Saga;
use super::waiting;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A start request in the making. Made by [`Client::start`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct Start {
    client: Client,
    body: StartBody,
}

impl Start {
    pub(crate) fn new(client: Client, definition: &(impl Serialize + ?Sized)) -> Self {
        let mut body = StartBody::default();
        body.put("definition", definition);
        Self { client, body }
    }

    /// A version of the stored definition, instead of the newest.
    pub fn version(mut self, version: u32) -> Self {
        self.body.put("version", &version);
        self
    }

    /// The saga's id: 1 to 128 letters, digits, `_`, `-`, `.`. The same id with the same request
    /// gives the same saga. The server makes one otherwise.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.body.put("id", &id.into());
        self
    }

    /// The input: anything with a JSON form.
    pub fn input(mut self, input: &impl Serialize) -> Self {
        self.body.put("input", input);
        self
    }

    /// A label by which the saga is found; at most 32.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.body.label(name.into(), value.into());
        self
    }

    /// The `Idempotency-Key`: 1 to 255 visible ASCII characters. Take one that belongs to what is
    /// to be done, such as an order's number, so that a repetition by another process gives the
    /// same saga. Without a key and an id one is made for this request and its attempts.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.body.key = Some(key.into());
        self
    }

    /// Not before this time.
    pub fn start_at(mut self, time: Timestamp) -> Self {
        self.body.put("start_at", &time.to_string());
        self
    }

    /// Instead of the definition's deadline, counted from now.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.body.put("deadline", &duration_text(deadline));
        self
    }

    /// W3C trace context that the saga's spans and calls belong to.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.body.traceparent = Some(traceparent.into());
        self
    }

    /// Answers when the saga has ended or is suspended, or after this time with the saga as it is
    /// then. Longer waits than a server takes on at once are asked for again and again.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.body.wait = wait;
        self
    }

    /// Sends it: the saga exists once this is `Ok`.
    ///
    /// # Errors
    ///
    /// Among others `definition-not-found`, `input-invalid` with its faults, and
    /// `idempotency-mismatch`: the key or id belongs to another request. On
    /// [`Error::NoAnswer`](super::Error::NoAnswer) the saga may exist: send it again with the same
    /// key or id.
    pub async fn send(self) -> Result<Saga> {
        self.body.send(&self.client, |saga| saga.status.is_settled()).await
    }
}

/// What starting a saga and beginning an interactive transaction have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartBody {
    fields: Map<String, Value>,
    labels: Map<String, Value>,
    pub(crate) key: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) wait: Duration,
    fault: Option<String>,
}

impl StartBody {
    pub(crate) fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        match to_value(&value) {
            Ok(value) => {
                self.fields.insert(name.to_owned(), value);
            }
            Err(fault) => self.fault = Some(format!("{name}: {fault}")),
        }
    }

    pub(crate) fn label(&mut self, name: String, value: String) {
        self.labels.insert(name, value.into());
    }

    pub(crate) fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Sends it; answers when `is_done` holds or the wait is over.
    pub(crate) async fn send(self, client: &Client, is_done: fn(&Saga) -> bool) -> Result<Saga> {
        let wait = self.wait;
        waiting::send(client, &self.outgoing(), wait, is_done).await
    }

    fn outgoing(self) -> Outgoing {
        let mut fields = self.fields;
        if !self.labels.is_empty() {
            fields.insert("labels".to_owned(), Value::Object(self.labels));
        }
        let key = self.key.or_else(|| (!fields.contains_key("id")).then(chance::key));
        let mut request = Outgoing::post(&["sagas"]).json(&fields);
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, &key);
        }
        if let Some(traceparent) = self.traceparent {
            request = request.header(TRACEPARENT, &traceparent);
        }
        request.fault = self.fault.or(request.fault);
        request
    }
}
