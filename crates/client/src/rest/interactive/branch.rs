//! Branches of an interactive transaction.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::Call;
use crate::rest::client::Client;
use crate::rest::error::{Error, Result};
use crate::rest::outgoing::{Answer, Outgoing, to_value};

/// A branch in the making. Made by [`Transaction::branch`](super::Transaction::branch).
///
/// Enlist it *before* calling the participant: then the coordinator knows how to undo a call that
/// it will never hear of.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `enlist`"]
pub struct BranchDraft {
    client: Client,
    saga: String,
    id: String,
    body: Map<String, Value>,
    after: Vec<String>,
    fault: Option<String>,
}

impl BranchDraft {
    pub(crate) fn new(client: Client, saga: &str, id: &str) -> Self {
        let (body, after) = (Map::new(), Vec::new());
        Self { client, saga: saga.to_owned(), id: id.to_owned(), body, after, fault: None }
    }

    /// Whom the branch calls; registered before.
    pub fn participant(mut self, name: &str) -> Self {
        self.body.insert("participant".to_owned(), name.into());
        self
    }

    /// What undoes the call that the program makes after enlisting.
    pub fn compensation(self, call: Call) -> Self {
        self.call("compensation", call)
    }

    /// TCC: what is called when commit is decided. The program itself calls *try*. Goes with
    /// [`cancel`](Self::cancel).
    pub fn confirm(self, call: Call) -> Self {
        self.call("confirm", call)
    }

    /// TCC: what is called when the transaction is rolled back.
    pub fn cancel(self, call: Call) -> Self {
        self.call("cancel", call)
    }

    /// A message: the coordinator sends it once commit is decided, until it succeeds. The program
    /// calls nothing.
    pub fn action(self, call: Call) -> Self {
        self.call("action", call)
    }

    /// A saga of its own, started at once. It commits or is undone with this transaction.
    pub fn nested(mut self, saga: Nested) -> Self {
        self.fault = self.fault.or(saga.fault);
        self.body.insert("saga".to_owned(), Value::Object(saga.fields));
        self
    }

    /// Comes after this other branch: is undone before it. May be given several times. Without
    /// it, compensations are undone in reverse order of enlisting, and all else side by side.
    pub fn after(mut self, branch: &str) -> Self {
        self.after.push(branch.to_owned());
        self
    }

    fn call(mut self, name: &str, call: Call) -> Self {
        match call.into_fields() {
            Ok(fields) => {
                self.body.insert(name.to_owned(), Value::Object(fields));
            }
            Err(fault) => self.fault = Some(fault),
        }
        self
    }

    /// Enlists it. The same branch again is the same.
    ///
    /// # Errors
    ///
    /// `commit-decided`, `abort-decided`, `saga-ended`, `not-running`: too late or too early;
    /// don't call the participant. `branch-invalid` with its faults; `branch-mismatch`: the
    /// transaction has another branch with this id.
    pub async fn enlist(mut self) -> Result<Branch> {
        if !self.after.is_empty() {
            self.body.insert("after".to_owned(), json!(self.after));
        }
        let mut request =
            Outgoing::put(&["sagas", &self.saga, "branches", &self.id]).json(&self.body);
        request.fault = self.fault.or(request.fault);
        let answer = self.client.send(request).await?;
        let enlisted: Enlisted = answer.read()?;
        let headers = headers(&enlisted.headers, &answer)?;
        Ok(Branch { saga: self.saga, id: self.id, headers, child: enlisted.child })
    }
}

/// A nested saga: a stored definition whose every step can be undone.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it only describes; hand it over"]
pub struct Nested {
    fields: Map<String, Value>,
    fault: Option<String>,
}

impl Nested {
    /// The newest version of a definition.
    pub fn new(definition: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("definition".to_owned(), definition.into());
        Self { fields, fault: None }
    }

    /// A version of it instead.
    pub fn version(mut self, version: u32) -> Self {
        self.fields.insert("version".to_owned(), version.into());
        self
    }

    /// Its input: anything with a JSON form.
    pub fn input(mut self, input: &impl Serialize) -> Self {
        match to_value(input) {
            Ok(input) => {
                self.fields.insert("input".to_owned(), input);
            }
            Err(fault) => self.fault = Some(format!("input: {fault}")),
        }
        self
    }
}

/// A branch that the coordinator knows of.
#[derive(Clone, Debug)]
pub struct Branch {
    saga: String,
    id: String,
    headers: HeaderMap,
    child: Option<String>,
}

#[derive(Deserialize)]
struct Enlisted {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    child: Option<String>,
}

impl Branch {
    /// Its id in the transaction.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The transaction's id.
    pub fn saga(&self) -> &str {
        &self.saga
    }

    /// The nested saga's id, on such a branch.
    pub fn child(&self) -> Option<&str> {
        self.child.as_deref()
    }

    /// What goes with the program's own call, so that the participant's barrier knows it again:
    /// `Idempotency-Key`, `Saga-Id` and others. The same for each attempt of that call. Empty for
    /// messages and nested sagas.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Puts [`headers`](Self::headers) on a request to the participant.
    pub fn apply(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.headers(self.headers.clone())
    }
}

fn headers(written: &BTreeMap<String, String>, answer: &Answer) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(written.len());
    for (name, value) in written {
        let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(value.parse().ok());
        let Some((name, value)): Option<(HeaderName, HeaderValue)> = pair else {
            return Err(Error::Unexpected {
                url: answer.url.clone(),
                status: answer.status.as_u16(),
                detail: format!("it gives a header {name:?} that none can be"),
            });
        };
        headers.insert(name, value);
    }
    Ok(headers)
}
