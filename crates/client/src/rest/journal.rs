//! A saga's journal.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::Client;
use super::error::Result;
use super::items::Items;
use super::outgoing::Outgoing;
use super::saga::AttemptProblem;
use super::words::{Op, Outcome};

/// Records of one page while streaming.
const PAGE: u32 = 200;

/// A part of a journal.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct JournalPage {
    /// Number of the first record here.
    pub from: u64,
    /// The records.
    pub records: Vec<JournalRecord>,
    /// Where the next part starts; none at the end.
    #[serde(default)]
    pub next: Option<u64>,
}

/// One fact. Which fields it has depends on `event`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct JournalRecord {
    /// Its number, from 0.
    pub seq: u64,
    /// When it was known.
    pub at: Timestamp,
    /// What happened: `accepted`, `call_answered`, `decided`, `ended` and others.
    pub event: String,
    /// Which step.
    #[serde(default)]
    pub step: Option<String>,
    /// Which operation.
    #[serde(default)]
    pub op: Option<Op>,
    /// Which attempt, from 1.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// What became of the attempt.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Why it did not succeed.
    #[serde(default)]
    pub problem: Option<AttemptProblem>,
    /// Who asked for it.
    #[serde(default)]
    pub by: Option<Actor>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Who asked for something, and why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// A name; empty where nobody is signed in.
    #[serde(default)]
    pub name: String,
    /// The reason given; may be empty.
    #[serde(default)]
    pub reason: String,
}

pub(crate) async fn page(client: &Client, id: &str, from: u64, limit: u32) -> Result<JournalPage> {
    let request = Outgoing::get(&["sagas", id, "journal"]);
    client.send(request.query("from", &from).query("limit", &limit)).await?.read()
}

pub(crate) fn records(client: Client, id: String) -> Items<JournalRecord> {
    Items::paged(move |from: Option<u64>| {
        let (client, id) = (client.clone(), id.clone());
        async move {
            let page = page(&client, &id, from.unwrap_or(0), PAGE).await?;
            Ok((page.records, page.next))
        }
    })
}
