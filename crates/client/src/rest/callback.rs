//! Completing a pending call.

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::client::Client;
use super::error::{Error, Result};
use super::outgoing::{Outgoing, Target, to_value};

/// The content type of a completion that is more than an output.
const COMPLETION: &str = "application/vnd.amends.completion+json";

/// What became of a call that was answered 202.
#[derive(Clone, Debug)]
pub struct Completion {
    body: std::result::Result<Value, String>,
}

impl Completion {
    /// It took effect; the output is for later steps.
    pub fn succeeded(output: &impl Serialize) -> Self {
        let output = to_value(output);
        Self { body: output.map(|output| json!({ "outcome": "succeeded", "output": output })) }
    }

    /// It had no effect, and will have none.
    pub fn refused(detail: &str) -> Self {
        Self { body: Ok(json!({ "outcome": "refused", "detail": detail })) }
    }

    /// It had no effect; the call is to be made again.
    pub fn retryable(detail: &str) -> Self {
        Self { body: Ok(json!({ "outcome": "retryable", "detail": detail })) }
    }
}

pub(crate) async fn complete(
    client: &Client,
    callback_url: &str,
    completion: Completion,
) -> Result<()> {
    let wrong = |what: String| Error::Invalid(format!("the callback URL is no good: {what}"));
    let url = Url::parse(callback_url).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it is not http or https".to_owned()));
    }
    let body = completion.body.map_err(Error::Invalid)?;
    let request = Outgoing::bare(Method::POST, Target::Absolute(url));
    client.send(request.body(COMPLETION, body.to_string().into_bytes())).await?;
    Ok(())
}
