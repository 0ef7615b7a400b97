//! Lock keys: who holds them, who waits.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::Client;
use super::error::Result;
use super::items::Items;
use super::outgoing::Outgoing;
use super::words::Status;

/// The lock keys of a server. Made by [`Client::locks`].
#[derive(Clone, Debug)]
pub struct Locks {
    client: Client,
}

impl Locks {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Keys that a saga holds or waits for, by key; `prefix` may be empty.
    pub fn list(&self, prefix: &str) -> Items<LockSummary> {
        let (client, prefix) = (self.client.clone(), prefix.to_owned());
        Items::paged(move |cursor: Option<String>| {
            let (client, prefix) = (client.clone(), prefix.clone());
            async move {
                let mut request = Outgoing::get(&["locks"]);
                if !prefix.is_empty() {
                    request = request.query("prefix", &prefix);
                }
                if let Some(cursor) = cursor {
                    request = request.query("cursor", &cursor);
                }
                let page: Page = client.send(request).await?.read()?;
                Ok((page.locks, page.next))
            }
        })
    }

    /// One key with its queue.
    ///
    /// # Errors
    ///
    /// `lock-not-found`: nobody holds it or waits for it.
    pub async fn get(&self, key: &str) -> Result<Lock> {
        self.client.send(Outgoing::get(&["locks", key])).await?.read()
    }

    /// Takes a key, and all its other keys, away from the saga that holds it.
    pub fn release(&self, key: &str) -> LockRelease {
        LockRelease { client: self.client.clone(), key: key.to_owned(), body: Map::new() }
    }
}

/// A forced release in the making. Made by [`Locks::release`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct LockRelease {
    client: Client,
    key: String,
    body: Map<String, Value>,
}

impl LockRelease {
    /// Why, for the journal.
    pub fn reason(mut self, reason: &str) -> Self {
        self.body.insert("reason".to_owned(), reason.into());
        self
    }

    /// Sends it; the key as it stands then. Repeated only where nothing can have happened: a
    /// second release would hit the next holder.
    ///
    /// # Errors
    ///
    /// `lock-not-held`, `lock-not-found`.
    pub async fn send(self) -> Result<Lock> {
        let request = Outgoing::post(&["locks", &self.key, "release"]).json(&self.body).once();
        self.client.send(request).await?.read()
    }
}

#[derive(Deserialize)]
struct Page {
    locks: Vec<LockSummary>,
    #[serde(default)]
    next: Option<String>,
}

/// A lock key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LockSummary {
    /// The key.
    pub key: String,
    /// The newest fencing token.
    #[serde(default)]
    pub token: Option<u64>,
    /// Who holds it.
    #[serde(default)]
    pub holder: Option<LockHolder>,
    /// How many sagas wait for it.
    #[serde(default)]
    pub waiting: u64,
}

/// A lock key with its queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Lock {
    /// The key.
    pub key: String,
    /// The newest fencing token.
    #[serde(default)]
    pub token: Option<u64>,
    /// Who holds it.
    #[serde(default)]
    pub holder: Option<LockHolder>,
    /// How many sagas wait for it.
    #[serde(default)]
    pub waiting: u64,
    /// The first of them, at most 100.
    #[serde(default)]
    pub queue: Vec<LockWaiter>,
}

/// The saga that holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LockHolder {
    /// Its id.
    pub saga: String,
    /// Its definition's name.
    #[serde(default)]
    pub definition: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<Status>,
    /// Since when it holds the key.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// A saga that waits for a key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LockWaiter {
    /// Its place, from 1.
    #[serde(default)]
    pub position: u64,
    /// Its id.
    pub saga: String,
    /// Its definition's name.
    #[serde(default)]
    pub definition: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<Status>,
    /// Since when it waits.
    #[serde(default)]
    pub since: Option<Timestamp>,
}
