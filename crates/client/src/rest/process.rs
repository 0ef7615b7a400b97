//! The server itself: readiness and counts.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

use super::client::Client;
use super::error::{Error, Result};
use super::outgoing::{Outgoing, Target};

/// How many sagas stand in each status.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// One a status, by its word.
    pub counts: BTreeMap<String, u64>,
    /// Counting stops here.
    #[serde(default)]
    pub capped_at: u64,
}

/// Whether a server takes requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// Whether it is shutting down.
    #[serde(default)]
    pub draining: bool,
    /// Whether the store answers.
    #[serde(default)]
    pub store: Option<Check>,
    /// How many partitions it drives.
    #[serde(default)]
    pub partitions: u32,
    /// The guard of lock keys, where one is configured.
    #[serde(default)]
    pub locks: Option<LocksReadiness>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong with it.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Whether lock keys can be granted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LocksReadiness {
    /// Whether enough masters are trusted; sagas with lock keys wait otherwise.
    pub quorum: bool,
    /// One a Redis master.
    #[serde(default)]
    pub masters: Vec<GuardMaster>,
}

/// One Redis master of the guard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct GuardMaster {
    /// Its address, without secrets.
    #[serde(default)]
    pub address: String,
    /// Whether its votes count.
    pub trusted: bool,
    /// Why not.
    #[serde(default)]
    pub detail: Option<String>,
}

pub(crate) async fn counts(client: &Client) -> Result<Counts> {
    client.send(Outgoing::get(&["sagas", "counts"])).await?.read()
}

pub(crate) async fn readiness(client: &Client) -> Result<Readiness> {
    let path = Target::Segments(vec!["readyz".to_owned()]);
    let outgoing = Outgoing::bare(Method::GET, path);
    let answer = client.ask_once(&outgoing).await?;
    if answer.status.is_success() || answer.status.as_u16() == 503 {
        return answer.read();
    }
    let (url, status) = (answer.url, answer.status.as_u16());
    Err(Error::Unexpected { url, status, detail: "it has no /readyz".to_owned() })
}
