//! Commands on a saga.

use serde::Serialize;
use serde_json::{Map, Value};

use super::builder::actor;
use super::client::Client;
use super::error::Result;
use super::outgoing::{ACTOR, Outgoing, to_value};
use super::saga::Saga;
use super::words::Op;

/// A command in the making. Made by a [`SagaHandle`](super::SagaHandle).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct Command {
    client: Client,
    path: Vec<String>,
    body: Map<String, Value>,
    actor: Option<String>,
    fault: Option<String>,
}

impl Command {
    pub(crate) fn new(client: Client, path: &[&str]) -> Self {
        let path = path.iter().map(|&own| own.to_owned()).collect();
        Self { client, path, body: Map::new(), actor: None, fault: None }
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// Why, for the journal; at most 1,024 characters.
    pub fn reason(self, reason: &str) -> Self {
        self.field("reason", reason)
    }

    /// Who asks, for the journal, instead of the client's own name.
    pub fn actor(mut self, name: &str) -> Self {
        self.actor = Some(name.to_owned());
        self
    }

    /// The step's output, with `resolve_succeeded`.
    pub fn output(mut self, output: &impl Serialize) -> Self {
        match to_value(output) {
            Ok(output) => {
                self.body.insert("output".to_owned(), output);
            }
            Err(fault) => self.fault = Some(fault),
        }
        self
    }

    /// The operation that you looked into, with `resolve_succeeded`: it is not taken of another one
    /// that is open by then (409 `other-call`).
    pub fn op(self, op: &Op) -> Self {
        self.field("op", op.as_str())
    }

    /// Sends it; the saga once the command is durable. Repeating a command is harmless.
    ///
    /// # Errors
    ///
    /// `saga-not-found`, `step-not-found`; and 409 with what is `allowed` now: `saga-ended`,
    /// `commit-decided`, `pivot-undecided`, `wrong-step-state`, `other-call`, `wrong-status`,
    /// `nothing-to-retry`. With `owner-unreachable` it may still be carried out.
    pub async fn send(self) -> Result<Saga> {
        let client = self.client.clone();
        client.send(self.outgoing()?).await?.read()
    }

    fn outgoing(self) -> Result<Outgoing> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut request = Outgoing::post(&path).json(&self.body);
        if let Some(name) = &self.actor {
            request.headers.insert(ACTOR, actor(name)?);
        }
        request.fault = self.fault.or(request.fault);
        Ok(request)
    }
}
