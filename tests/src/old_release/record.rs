//! What is written down beside a fixture: which sagas it holds, and what must become of each.

use serde_json::Value;

/// Ids of the sagas that another coordinator was asked to pause begin so: where the database has
/// several coordinators, the request is still in the inbox.
pub const INBOX: &str = "inbox-";

/// One saga to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The id that it is known by in the plan, and in the store unless it is started under a key.
    pub id: &'static str,
    /// The request that starts it; null for one that another saga starts.
    pub request: Value,
    /// The idempotency key that it is started with.
    pub key: Option<&'static str>,
    /// Branches that are added to it: id and request.
    pub branches: Vec<(&'static str, Value)>,
    /// Commands that follow once it is in `before`: name and status that it comes to.
    pub commands: Vec<(&'static str, &'static str)>,
    /// The status that it comes to by itself, at first.
    pub before: &'static str,
    /// The call that must be open then, by the beginning of its path; none is waited for if empty.
    pub open: &'static str,
    /// Commands that bring it to its end when it is read.
    pub finish: Vec<&'static str>,
    /// The status at its end.
    pub end: &'static str,
}

/// All that is written down.
#[derive(Clone, Debug)]
pub struct Expected(pub Vec<ExpectedSaga>);

/// What is written down of one saga.
#[derive(Clone, Debug)]
pub struct ExpectedSaga {
    /// Its id.
    pub id: String,
    /// The request that started it; null for one that another saga started.
    pub request: Value,
    /// The idempotency key that it was started with; may be null.
    pub key: Value,
    /// Its view, but for what depends on the clock.
    pub view: Value,
    /// Its journal.
    pub journal: Vec<Value>,
    /// Where its pending call is completed, below the coordinator's address; may be null.
    pub callback: Value,
    /// Commands that bring it to its end.
    pub finish: Vec<String>,
    /// The status at its end.
    pub end: String,
}

impl Expected {
    /// As it stands in the file.
    pub fn to_json(&self) -> Value {
        let saga = |saga: &ExpectedSaga| {
            serde_json::json!({
                "id": saga.id, "request": saga.request, "key": saga.key, "view": saga.view,
                "journal": saga.journal, "callback": saga.callback, "finish": saga.finish,
                "end": saga.end,
            })
        };
        Value::Array(self.0.iter().map(saga).collect())
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It is damaged.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let all: Vec<Value> = serde_json::from_str(text)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let saga = |saga: &Value| ExpectedSaga {
            id: text(&saga["id"]),
            request: saga["request"].clone(),
            key: saga["key"].clone(),
            view: saga["view"].clone(),
            journal: list(&saga["journal"]),
            callback: saga["callback"].clone(),
            finish: list(&saga["finish"]).iter().map(text).collect(),
            end: text(&saga["end"]),
        };
        anyhow::ensure!(!all.is_empty(), "no saga is expected");
        Ok(Self(all.iter().map(saga).collect()))
    }
}

/// Whether all that `part` says stands in `whole`: later releases may say more.
pub fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, own)| whole.get(name).is_some_and(|other| is_within(own, other))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(a, b)| is_within(a, b))
        }
        _ => part == whole,
    }
}
