//! Beginning an interactive transaction.

use std::time::Duration;

use serde::Serialize;

use super::{Call, Transaction};
use crate::rest::client::Client;
use crate::rest::error::{Error, Result};
use crate::rest::outgoing::duration_text;
use crate::rest::start::StartBody;
use crate::rest::words::Status;

/// How long a transaction is waited for that is not running yet, where nothing is said.
const WAIT: Duration = Duration::from_secs(30);

/// An interactive transaction in the making. Made by [`Client::begin`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send` or `run`"]
pub struct Begin {
    client: Client,
    body: StartBody,
    lock_keys: Vec<String>,
}

impl Begin {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        let mut body = StartBody::default();
        body.wait = WAIT;
        body.put("mode", "interactive");
        body.put("name", name);
        Self { client, body, lock_keys: Vec::new() }
    }

    /// Not committed within this time from now, it is rolled back. Default 1 minute; 1 second to
    /// 366 days.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.body.put("deadline", &duration_text(deadline));
        self
    }

    /// The transaction's id: 1 to 128 letters, digits, `_`, `-`, `.`. The same id with the same
    /// request gives the same transaction. The server makes one otherwise.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.body.put("id", &id.into());
        self
    }

    /// The `Idempotency-Key`. Without a key and an id one is made for this request and its
    /// attempts.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.body.key = Some(key.into());
        self
    }

    /// What it is about, for people: anything with a JSON form.
    pub fn input(mut self, input: &impl Serialize) -> Self {
        self.body.put("input", input);
        self
    }

    /// A label by which it is found; at most 32.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.body.label(name.into(), value.into());
        self
    }

    /// One more lock key. The transaction runs once it holds all of them.
    pub fn lock_key(mut self, key: impl Into<String>) -> Self {
        self.lock_keys.push(key.into());
        self
    }

    /// Gives up if the lock keys are not granted within this time.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.body.put("lock_wait", &duration_text(wait));
        self
    }

    /// The check-back: the call by which the coordinator asks `participant`, once the deadline has
    /// passed without a commit or rollback, whether the program's local transaction was
    /// committed. 2xx: it was, so commit. A refusal (most 4xx): it was not *and never will be*,
    /// so roll back. Anything else is asked again.
    pub fn prepared(mut self, participant: &str, call: Call) -> Self {
        match call.into_fields() {
            Ok(mut fields) => {
                fields.insert("participant".to_owned(), participant.into());
                self.body.put("prepared", &fields);
            }
            Err(fault) => self.body.fail(fault),
        }
        self
    }

    /// W3C trace context that its spans and calls belong to.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.body.traceparent = Some(traceparent.into());
        self
    }

    /// How long to wait for it to run, where lock keys are asked for. Default 30 s; zero answers
    /// at once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.body.wait = wait;
        self
    }

    /// Sends it. The transaction exists once this is `Ok`; if it still waits for its lock keys,
    /// [`Transaction::begun`] says so.
    ///
    /// # Errors
    ///
    /// Among others `lock-key-invalid`, `participant-not-found`, `idempotency-mismatch`.
    pub async fn send(mut self) -> Result<Transaction> {
        if !self.lock_keys.is_empty() {
            self.body.put("lock_keys", &self.lock_keys);
        }
        let saga = self.body.send(&self.client, |saga| saga.status != Status::Queued).await?;
        Ok(Transaction::new(self.client, saga.id.clone(), Some(saga)))
    }

    /// Begins it, runs `work`, commits when that is `Ok` and rolls back when it is not.
    ///
    /// `Ok` says that commit is decided: what confirms and messages there are will be sent, and
    /// nothing will be undone. A rollback that finds no answer is left to the deadline, as is
    /// everything if the future is dropped before its end.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: amends_client::Client, http: reqwest::Client,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use amends_client::rest::Call;
    ///
    /// let order = client
    ///     .begin("checkout")
    ///     .deadline(Duration::from_secs(30))
    ///     .run(async |tx| {
    ///         let reserve = tx
    ///             .branch("reserve")
    ///             .participant("inventory")
    ///             .compensation(Call::post("/reservations/cancel"))
    ///             .enlist()
    ///             .await?;
    ///         let call = http.post("http://inventory.example/reservations");
    ///         reserve.apply(call).send().await?.error_for_status()?;
    ///         Ok::<_, Box<dyn std::error::Error>>("order-4711")
    ///     })
    ///     .await?;
    /// # let _ = order;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `work` failed with. [`Error::NotRunning`]: it did not get its lock keys, or an earlier
    /// request with the same id has ended it; `work` did not run.
    /// [`Error::CommitUnknown`]: look again. `abort-decided`: its deadline has passed, or
    /// somebody rolled it back; all is undone.
    pub async fn run<T, E, F>(self, work: F) -> std::result::Result<T, E>
    where
        E: From<Error>,
        F: AsyncFnOnce(Transaction) -> std::result::Result<T, E>,
    {
        let transaction = self.send().await?;
        let status = transaction.begun().map(|saga| saga.status.clone());
        if let Some(status) = status.filter(|status| *status != Status::Running) {
            if status == Status::Queued {
                // Left to itself it would hold its place in the queue up to its deadline.
                transaction.roll_back_because("its lock keys were not granted in time").await?;
            }
            let saga = transaction.id().to_owned();
            return Err(Error::NotRunning { saga, status }.into());
        }
        match work(transaction.clone()).await {
            Ok(done) => {
                transaction.commit().await?;
                Ok(done)
            }
            Err(error) => {
                // The caller has to hear of the first failure; the deadline sees to the rest.
                let _ = transaction.roll_back_because("the work of its client failed").await;
                Err(error)
            }
        }
    }
}
