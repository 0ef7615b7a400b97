//! Following sagas by server-sent events.
//!
//! Streams break, servers drain, and a server tells only of the sagas that it drives itself. So a
//! stream that ends is opened again, and one saga's quiet stream is helped out by reading it.

use std::time::Duration;

use futures_util::stream::unfold;
use http::header::HeaderName;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::client::Client;
use super::error::Result;
use super::handle;
use super::items::Items;
use super::outgoing::Outgoing;
use super::stream::EventStream;
use super::words::Status;

/// After so long without a hint the saga is read.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Pauses before a stream is opened again: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(3);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Says that something about a saga has changed: read it for what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Hint {
    /// Which saga.
    pub id: String,
    /// Its definition's name.
    #[serde(default)]
    pub definition: String,
    /// Later hints of the same saga have more.
    pub seq: u64,
    /// Where it stands.
    pub status: Status,
}

/// What a stream of all sagas says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Something about one saga has changed.
    Saga(Hint),
    /// Hints may have been missed: read the list again.
    Missed,
}

/// Hints of one saga, until it has ended.
pub(crate) fn one(client: Client, id: String) -> Items<Hint> {
    let start = One { client, id, seen: None, stream: None, pause: PAUSE, is_over: false };
    Items::new(unfold(start, |mut own| async move { own.next().await.map(|item| (item, own)) }))
}

struct One {
    client: Client,
    id: String,
    /// `seq` of the last hint that was given out.
    seen: Option<u64>,
    stream: Option<EventStream>,
    pause: Duration,
    is_over: bool,
}

impl One {
    async fn next(&mut self) -> Option<Result<Hint>> {
        while !self.is_over {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(hint)) => {
                    self.is_over = hint.status.is_ended();
                    return Some(Ok(hint));
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// A new hint, or none yet.
    async fn step(&mut self) -> Result<Option<Hint>> {
        let Some(stream) = &mut self.stream else { return self.open().await };
        match timeout(QUIET_MAX, stream.next()).await {
            Ok(Some(event)) => {
                let hint: Option<Hint> = serde_json::from_str(&event.data).ok();
                Ok(hint.and_then(|hint| self.fresh(hint)))
            }
            Ok(None) => {
                self.stream = None;
                self.rest().await;
                Ok(None)
            }
            Err(_) => self.read().await,
        }
    }

    async fn open(&mut self) -> Result<Option<Hint>> {
        let mut request = Outgoing::get(&["sagas", &self.id, "events"]);
        if let Some(seen) = self.seen {
            request = request.header(LAST_EVENT_ID, &seen.to_string());
        }
        match self.client.open(request).await {
            Ok(Some(response)) => {
                self.stream = Some(EventStream::new(response));
                Ok(None)
            }
            // The saga has ended, and we have seen it.
            Ok(None) => {
                self.is_over = true;
                Ok(None)
            }
            // No stream to be had now; reading is repeated as every request is.
            Err(error) if error.is_retryable() => {
                let hint = self.read().await?;
                if hint.is_none() {
                    self.rest().await;
                }
                Ok(hint)
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self) -> Result<Option<Hint>> {
        let saga = handle::get(&self.client, &self.id).await?;
        let (id, definition) = (saga.id, saga.definition);
        Ok(self.fresh(Hint { id, definition, seq: saga.seq, status: saga.status }))
    }

    /// The hint, if it is news.
    fn fresh(&mut self, hint: Hint) -> Option<Hint> {
        if self.seen.is_some_and(|seen| hint.seq <= seen) {
            return None;
        }
        self.seen = Some(hint.seq);
        self.pause = PAUSE;
        Some(hint)
    }

    async fn rest(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// Hints of all sagas that these parameters let through, without end.
pub(crate) fn all(client: Client, query: Vec<(String, String)>) -> Items<Change> {
    let start = All { client, query, stream: None, was_open: false, is_over: false };
    Items::new(unfold(start, |mut own| async move { own.next().await.map(|item| (item, own)) }))
}

struct All {
    client: Client,
    query: Vec<(String, String)>,
    stream: Option<EventStream>,
    was_open: bool,
    is_over: bool,
}

impl All {
    async fn next(&mut self) -> Option<Result<Change>> {
        while !self.is_over {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(change)) => return Some(Ok(change)),
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn step(&mut self) -> Result<Option<Change>> {
        let Some(stream) = &mut self.stream else { return self.open().await };
        let Some(event) = stream.next().await else {
            self.stream = None;
            return Ok(None);
        };
        if event.name == "lagged" {
            return Ok(Some(Change::Missed));
        }
        Ok(serde_json::from_str(&event.data).ok().map(Change::Saga))
    }

    /// Opens the stream; one that was open before has missed hints.
    async fn open(&mut self) -> Result<Option<Change>> {
        if self.was_open {
            // Streams that end at once must not be opened in a tight loop.
            tokio::time::sleep(PAUSE).await;
        }
        let (start, mut attempts) = (Instant::now(), 0);
        loop {
            let mut request = Outgoing::get(&["sagas", "events"]);
            request.query.clone_from(&self.query);
            let error = match self.client.open(request).await {
                Ok(response) => {
                    self.stream = response.map(EventStream::new);
                    let was_open = std::mem::replace(&mut self.was_open, true);
                    return Ok(was_open.then_some(Change::Missed));
                }
                Err(error) => error,
            };
            attempts += 1;
            let retry_after = error.problem().and_then(|problem| problem.retry_after);
            let pause = self.client.0.retry.pause(attempts, start.elapsed(), retry_after);
            match pause {
                Some(pause) if error.is_retryable() => tokio::time::sleep(pause).await,
                Some(_) | None => return Err(error),
            }
        }
    }
}
