//! The list of sagas.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::client::Client;
use super::error::Result;
use super::follow::{self, Change};
use super::items::Items;
use super::outgoing::Outgoing;
use super::words::Status;

/// A filter over sagas. Made by [`Client::sagas`]; without any filter: all of them.
///
/// ```no_run
/// # async fn example(client: amends_client::Client) -> amends_client::rest::Result<()> {
/// use amends_client::rest::Status;
///
/// let mut stuck = client.sagas().status(Status::Suspended).label("shop", "berlin").stream();
/// while let Some(saga) = stuck.next().await {
///     let saga = saga?;
///     println!("{} waits at {:?}: {:?}", saga.id, saga.step, saga.reason);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before `page`, `stream` or `follow`"]
pub struct SagaQuery {
    client: Client,
    query: Vec<(String, String)>,
    limit: Option<u32>,
}

impl SagaQuery {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, query: Vec::new(), limit: None }
    }

    /// Sagas with this status; given several times, with any of them.
    pub fn status(self, status: Status) -> Self {
        self.with("status", status.into())
    }

    /// Sagas of this definition.
    pub fn definition(self, name: &str) -> Self {
        self.with("definition", name.to_owned())
    }

    /// Sagas with this label; given several times, with all of them.
    pub fn label(self, name: &str, value: &str) -> Self {
        self.with("label", format!("{name}:{value}"))
    }

    /// Sagas with this lock key.
    pub fn lock_key(self, key: &str) -> Self {
        self.with("key", key.to_owned())
    }

    /// Sagas accepted at or after this time.
    pub fn from(self, time: Timestamp) -> Self {
        self.with("from", time.to_string())
    }

    /// Sagas accepted before this time.
    pub fn before(self, time: Timestamp) -> Self {
        self.with("before", time.to_string())
    }

    /// Sagas whose id starts with this text. The list comes in descending order of id then: for ids
    /// that the coordinator made that is newest first, too.
    pub fn id_prefix(self, prefix: &str) -> Self {
        self.with("q", prefix.to_owned())
    }

    /// Sagas of one page: 1 to 500. 50 without it.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    fn with(mut self, name: &str, value: String) -> Self {
        self.query.push((name.to_owned(), value));
        self
    }

    /// One page, newest first, or by id under a prefix: the first one, or the one that a page's `next` leads to.
    ///
    /// # Errors
    ///
    /// `bad-parameter`: a filter's value cannot be, or the cursor is from another list.
    pub async fn page(&self, cursor: Option<&str>) -> Result<SagaPage> {
        let mut request = Outgoing::get(&["sagas"]);
        request.query.clone_from(&self.query);
        if let Some(limit) = self.limit {
            request = request.query("limit", &limit);
        }
        if let Some(cursor) = cursor {
            request = request.query("cursor", cursor);
        }
        self.client.send(request).await?.read()
    }

    /// All pages, one saga after another, newest first, or by id under a prefix.
    pub fn stream(self) -> Items<SagaSummary> {
        Items::paged(move |cursor: Option<String>| {
            let query = self.clone();
            async move {
                let page = query.page(cursor.as_deref()).await?;
                Ok((page.sagas, page.next))
            }
        })
    }

    /// What changes about such sagas from now on, without end. Only `status`, `definition` and
    /// `id_prefix` can filter it; others are `bad-parameter`. A coordinator tells of the sagas
    /// that it drives itself: with several, follow each, or read the list now and then.
    pub fn follow(self) -> Items<Change> {
        follow::all(self.client, self.query)
    }
}

/// A page of sagas, newest first, or by id under a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SagaPage {
    /// The rows.
    pub sagas: Vec<SagaSummary>,
    /// Cursor of the next page; none on the last one.
    #[serde(default)]
    pub next: Option<String>,
}

/// A saga in a list: without steps and payloads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SagaSummary {
    /// Its id.
    pub id: String,
    /// Its definition's name.
    #[serde(default)]
    pub definition: String,
    /// Its definition's version; none for an ad-hoc one.
    #[serde(default)]
    pub version: Option<u32>,
    /// Where it stands.
    pub status: Status,
    /// Whether nothing new starts.
    #[serde(default)]
    pub paused: bool,
    /// The step that it waits for an operator at, or that made it abort.
    #[serde(default)]
    pub step: Option<String>,
    /// Why it stands where it stands; none while all goes well.
    #[serde(default)]
    pub reason: Option<String>,
    /// The caller's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its lock keys.
    #[serde(default)]
    pub lock_keys: Vec<String>,
    /// When it was accepted.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When its status last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}
