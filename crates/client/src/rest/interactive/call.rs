//! Calls that the coordinator is to make for a branch.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::rest::outgoing::{duration_text, to_value};

/// A call to a participant that the coordinator will make: an undo, a confirm, a message, or a
/// check-back. Everything in it is literal.
///
/// ```
/// use amends_client::rest::Call;
///
/// let undo = Call::post("/reservations/cancel").json(&serde_json::json!({ "order": 4711 }));
/// # drop(undo);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it only describes; hand it over"]
pub struct Call {
    fields: Map<String, Value>,
    fault: Option<String>,
}

impl Call {
    /// A call with this method and path; the participant's registration has the address.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert("path".to_owned(), path.into().into());
        fields.insert("method".to_owned(), method.into());
        Self { fields, fault: None }
    }

    /// `POST`.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// `PUT`.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new("PUT", path)
    }

    /// `DELETE`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// The body: anything with a JSON form.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.put_field("body", body)
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let headers = self.fields.entry("headers").or_insert_with(|| json!({}));
        if let Value::Object(headers) = headers {
            headers.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Time for one attempt, instead of the participant's.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.put_field("timeout", &duration_text(timeout))
    }

    /// How the coordinator repeats it, as in definitions: an object with any of `max_attempts`,
    /// `initial`, `factor`, `max`, `jitter`.
    pub fn retry(self, policy: &(impl Serialize + ?Sized)) -> Self {
        self.put_field("retry", policy)
    }

    fn put_field(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        match to_value(&value) {
            Ok(value) => {
                self.fields.insert(name.to_owned(), value);
            }
            Err(fault) => self.fault = Some(format!("{name} of a call: {fault}")),
        }
        self
    }

    pub(crate) fn into_fields(self) -> std::result::Result<Map<String, Value>, String> {
        self.fault.map_or(Ok(self.fields), Err)
    }
}
