//! One request, and the answer it must have.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::exchange::{Reply, exchange};

/// A bad input that is one request.
pub(crate) struct Row {
    /// Its number on the list.
    pub(crate) line: u8,
    /// What is bad about it.
    pub(crate) input: &'static str,
    ask: Ask,
    status: u16,
    /// Code of the problem; empty where the answer is none.
    code: &'static str,
    /// Where in the body.
    pointer: Option<&'static str>,
    /// Code of the fault at the pointer, where the problem lists several.
    fault: Option<&'static str>,
    /// Headers of the answer, and a part of each.
    headers: Vec<(&'static str, &'static str)>,
    closes: bool,
}

/// A row: number, input, request, expected status and code.
pub(crate) fn row(line: u8, input: &'static str, ask: Ask, status: u16, code: &'static str) -> Row {
    let (pointer, fault, headers) = (None, None, Vec::new());
    Row { line, input, ask, status, code, pointer, fault, headers, closes: false }
}

impl Row {
    /// The answer points there.
    pub(crate) fn at(self, pointer: &'static str) -> Self {
        Self { pointer: Some(pointer), ..self }
    }

    /// What is wrong at the pointer has this code.
    pub(crate) fn fault(self, code: &'static str) -> Self {
        Self { fault: Some(code), ..self }
    }

    /// The answer has this header, and this in it.
    pub(crate) fn header(mut self, name: &'static str, part: &'static str) -> Self {
        self.headers.push((name, part));
        self
    }

    /// The connection is closed after the answer.
    pub(crate) fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    /// Asks, and compares.
    ///
    /// # Errors
    ///
    /// What is different.
    pub(crate) async fn check(&self, address: &str) -> anyhow::Result<()> {
        let reply = exchange(address, &self.ask.bytes(address), self.closes).await?;
        self.compare(&reply).with_context(|| {
            let begin: String = reply.body.chars().take(600).collect();
            format!("answered {} {begin}", reply.status)
        })
    }

    fn compare(&self, reply: &Reply) -> anyhow::Result<()> {
        let body = reply.json();
        let code = body["code"].as_str().unwrap_or_default();
        let (status, expected) = (reply.status, (self.status, self.code));
        ensure!((status, code) == expected, "{:?} instead of {expected:?}", (status, code));
        if !self.code.is_empty() {
            check_problem(reply, &body)?;
            ensure!(reply.header("x-request-id").is_some(), "no x-request-id");
        }
        if let Some(pointer) = self.pointer {
            let fault = self.fault.unwrap_or(self.code);
            ensure!(points(&body, pointer, fault), "{fault} is not at {pointer}");
        }
        for (name, part) in &self.headers {
            let value = reply.header(name).unwrap_or_default();
            ensure!(value.contains(part), "{name} is {value:?}, without {part:?}");
        }
        Ok(())
    }
}

fn check_problem(reply: &Reply, body: &Value) -> anyhow::Result<()> {
    let media = reply.header("content-type");
    ensure!(media == Some("application/problem+json"), "its type is {media:?}");
    ensure!(body["status"] == reply.status, "the body has another status");
    ensure!(body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "no sentence");

    for trace in ["panicked", ".rs:", "backtrace", "sqlx", "SELECT "] {
        ensure!(!reply.body.contains(trace), "it tells of the inside: {trace}");
    }
    Ok(())
}

fn points(body: &Value, pointer: &str, fault: &str) -> bool {
    match body["faults"].as_array() {
        Some(faults) => faults.iter().any(|own| own["pointer"] == pointer && own["code"] == fault),
        None => body["pointer"] == pointer,
    }
}

/// A request.
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
}

impl Ask {
    fn new(method: &'static str, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: body.into(), raw: None }
    }

    /// Adds a header, or replaces `content-type`; an empty one is left out.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(own, _)| *own != name);
        self.headers.push((name, value.into()));
        self
    }

    fn bytes(&self, address: &str) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let (method, path) = (self.method, &self.path);
        let given = self.headers.iter().filter(|(_, value)| !value.is_empty());
        let headers: String =
            given.map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let length = self.body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\n{headers}connection: close\r\n\
             content-length: {length}\r\n\r\n"
        );
        [head.into_bytes(), self.body.clone()].concat()
    }
}

/// Exactly these bytes.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Ask {
    Ask { raw: Some(bytes.into()), ..Ask::new("", "", "") }
}

/// `GET`.
pub(crate) fn get(path: impl Into<String>) -> Ask {
    Ask::new("GET", path, "")
}

/// A request with a JSON body.
pub(crate) fn send(method: &'static str, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Ask {
    Ask::new(method, path, body).with("content-type", "application/json")
}

/// A start with this body.
pub(crate) fn start(body: impl Into<Vec<u8>>) -> Ask {
    send("POST", "/v1/sagas", body)
}

/// A start of the definition `good` with this input, which is written as it stands.
pub(crate) fn start_with(input: &str) -> Ask {
    start(format!(r#"{{"definition":"good","input":{input}}}"#))
}

/// A registration of a definition.
pub(crate) fn define(definition: &Value) -> Ask {
    send("POST", "/v1/definitions", definition.to_string())
}

/// A registration of a participant with this endpoint.
pub(crate) fn register(url: &str) -> Ask {
    let body = json!({ "endpoints": [url] });
    send("PUT", "/v1/participants/stranger", body.to_string())
}
