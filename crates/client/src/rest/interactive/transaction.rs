//! An interactive transaction that was begun.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::BranchDraft;
use crate::rest::client::Client;
use crate::rest::error::{Error, Result};
use crate::rest::handle::SagaHandle;
use crate::rest::outgoing::{Outgoing, duration_text};
use crate::rest::saga::Saga;
use crate::rest::waiting;

/// An interactive transaction: enlist branches, call the participants, then commit or roll back.
///
/// Dropping it does nothing: the transaction lives at the coordinator. One that is not committed
/// by its deadline is rolled back there, also if this process dies. Cheap to clone; branches may
/// be enlisted side by side.
#[derive(Clone, Debug)]
pub struct Transaction {
    client: Client,
    id: String,
    begun: Option<Arc<Saga>>,
}

impl Transaction {
    pub(crate) fn new(client: Client, id: String, begun: Option<Saga>) -> Self {
        Self { client, id, begun: begun.map(Arc::new) }
    }

    /// Its id; with it another process can go on, by [`Client::interactive`].
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it stood when it was begun: `queued` if it still waited for its lock keys. None after
    /// [`Client::interactive`].
    pub fn begun(&self) -> Option<&Saga> {
        self.begun.as_deref()
    }

    /// The saga that it is: read it, wait for it, follow it.
    pub fn saga(&self) -> SagaHandle {
        self.client.saga(&self.id)
    }

    /// A branch, under an id of yours: a letter or digit, then letters, digits, `_`, `-`.
    pub fn branch(&self, id: &str) -> BranchDraft {
        BranchDraft::new(self.client.clone(), &self.id, id)
    }

    /// Commits. Once this is `Ok` the request is durable: commit is decided, or will be as soon as
    /// every nested saga is done. Repeating it is the same.
    ///
    /// # Errors
    ///
    /// `abort-decided`: it was rolled back before, by its deadline or by somebody.
    /// [`Error::CommitUnknown`]: ask again.
    pub async fn commit(&self) -> Result<Saga> {
        self.commit_and_wait(Duration::ZERO).await
    }

    /// Commits, and answers when it has ended or is suspended, or after this time with the saga
    /// as it is then.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn commit_and_wait(&self, max: Duration) -> Result<Saga> {
        let request = self.request("commit", &json!({}));
        let committed =
            waiting::send(&self.client, &request, max, |saga| saga.status.is_settled()).await;
        committed.map_err(|error| {
            if error.may_have_taken_effect() && !is_decided(&error) {
                return Error::CommitUnknown { saga: self.id.clone(), source: Box::new(error) };
            }
            error
        })
    }

    /// Rolls back: what may have happened is undone. Repeating it is the same.
    ///
    /// # Errors
    ///
    /// `commit-decided`: it was committed before. Without an answer the deadline rolls it back.
    pub async fn roll_back(&self) -> Result<Saga> {
        self.roll_back_with(&json!({})).await
    }

    /// Rolls back, and tells the journal why.
    ///
    /// # Errors
    ///
    /// As [`roll_back`](Self::roll_back).
    pub async fn roll_back_because(&self, reason: &str) -> Result<Saga> {
        self.roll_back_with(&json!({ "reason": reason })).await
    }

    async fn roll_back_with(&self, body: &Value) -> Result<Saga> {
        self.client.send(self.request("cancel", body)).await?.read()
    }

    /// Sets the deadline to this time from now.
    ///
    /// # Errors
    ///
    /// `commit-decided`, `abort-decided`, `saga-ended`: too late.
    pub async fn extend(&self, deadline: Duration) -> Result<Saga> {
        let body = json!({ "deadline": duration_text(deadline) });
        self.client.send(self.request("extend", &body)).await?.read()
    }

    fn request(&self, word: &str, body: &Value) -> Outgoing {
        Outgoing::post(&["sagas", &self.id, word]).json(body)
    }
}

/// An answer that settles the question, whatever earlier attempts did.
fn is_decided(error: &Error) -> bool {
    error.problem().is_some_and(|problem| problem.status == 409)
}
