//! The client: where every request begins.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::HeaderValue;
use serde::Serialize;
use url::Url;

use super::builder::Builder;
use super::callback::{self, Completion};
use super::definition::Definitions;
use super::error::Result;
use super::handle::SagaHandle;
use super::interactive::{Begin, Transaction};
use super::list::SagaQuery;
use super::lock::Locks;
use super::participant::Participants;
use super::process::{self, Counts, Readiness};
use super::retry::RetryPolicy;
use super::start::Start;

/// Talks to the coordinators of one store. Cheap to clone; share one in the whole program, so
/// that connections are kept.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    /// At least one.
    pub(crate) bases: Vec<Url>,
    /// Index of the base that is asked first: the last one that answered.
    pub(crate) preferred: AtomicUsize,
    pub(crate) token: Option<HeaderValue>,
    pub(crate) actor: Option<HeaderValue>,
    pub(crate) answer_timeout: Duration,
    pub(crate) retry: RetryPolicy,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bases: Vec<&str> = self.0.bases.iter().map(Url::as_str).collect();
        f.debug_struct("Client").field("bases", &bases).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the coordinator at this URL, such as `http://127.0.0.1:7411`. Nothing is sent
    /// yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](super::Error::Invalid): the URL is not one of a server.
    pub fn new(base_url: &str) -> Result<Self> {
        Builder::new(base_url).build()
    }

    /// A client with settings of its own.
    ///
    /// ```
    /// # fn main() -> amends_client::rest::Result<()> {
    /// use std::time::Duration;
    ///
    /// use amends_client::Client;
    /// use amends_client::rest::RetryPolicy;
    ///
    /// let client = Client::builder("https://amends-1.example")
    ///     .base_url("https://amends-2.example")
    ///     .bearer_token("secret")
    ///     .actor("shop")
    ///     .retry(RetryPolicy { total_max: Duration::from_secs(60), ..RetryPolicy::default() })
    ///     .build()?;
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(base_url: &str) -> Builder {
        Builder::new(base_url)
    }

    /// Starts a saga of a stored definition.
    pub fn start(&self, definition: &str) -> Start {
        Start::new(self.clone(), definition)
    }

    /// Starts a saga of a definition that is given whole and not stored.
    pub fn start_ad_hoc(&self, definition: &impl Serialize) -> Start {
        Start::new(self.clone(), definition)
    }

    /// Begins an interactive transaction: the program itself calls the participants, and decides.
    pub fn begin(&self, name: &str) -> Begin {
        Begin::new(self.clone(), name)
    }

    /// Runs `work` in an interactive transaction: commits when it is `Ok`, rolls back when it is
    /// not. For a deadline, lock keys and more see [`Begin::run`].
    ///
    /// # Errors
    ///
    /// What `work` failed with; or that the transaction could not be begun or committed.
    pub async fn transaction<T, E, F>(&self, name: &str, work: F) -> std::result::Result<T, E>
    where
        E: From<super::Error>,
        F: AsyncFnOnce(Transaction) -> std::result::Result<T, E>,
    {
        self.begin(name).run(work).await
    }

    /// An interactive transaction that was begun before, maybe by another process. Nothing is
    /// sent yet.
    pub fn interactive(&self, id: &str) -> Transaction {
        Transaction::new(self.clone(), id.to_owned(), None)
    }

    /// One saga. Nothing is sent yet.
    pub fn saga(&self, id: &str) -> SagaHandle {
        SagaHandle::new(self.clone(), id.to_owned())
    }

    /// The list of sagas, to be filtered.
    pub fn sagas(&self) -> SagaQuery {
        SagaQuery::new(self.clone())
    }

    /// Definitions.
    pub fn definitions(&self) -> Definitions {
        Definitions::new(self.clone())
    }

    /// Registered participants.
    pub fn participants(&self) -> Participants {
        Participants::new(self.clone())
    }

    /// Lock keys.
    pub fn locks(&self) -> Locks {
        Locks::new(self.clone())
    }

    /// For participants: completes a call that was answered 202, at its `Saga-Callback-Url`.
    ///
    /// The URL works once. If an attempt may have been heard although its answer was lost, a
    /// `callback-late` may speak of our own completion:
    /// [`may_have_taken_effect`](super::Error::may_have_taken_effect) is true then.
    ///
    /// # Errors
    ///
    /// `callback-late`: completed before, or too late; nothing changed. `callback-not-found`.
    pub async fn complete(&self, callback_url: &str, completion: Completion) -> Result<()> {
        callback::complete(self, callback_url, completion).await
    }

    /// How many sagas stand in each status.
    ///
    /// # Errors
    ///
    /// No good answer.
    pub async fn counts(&self) -> Result<Counts> {
        process::counts(self).await
    }

    /// Whether the coordinator takes requests, also if it does not. Asks once.
    ///
    /// # Errors
    ///
    /// No answer, or one of something else.
    pub async fn readiness(&self) -> Result<Readiness> {
        process::readiness(self).await
    }
}
