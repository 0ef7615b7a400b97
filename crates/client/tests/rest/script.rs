//! A server that gives the answers it was told, one after another, and remembers what it heard.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_client::Client;
use amends_client::rest::{Builder, RetryPolicy};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One answer.
pub(crate) enum Reply {
    /// A whole one.
    Whole(Response<Body>),
    /// The connection breaks instead.
    Broken,
    /// It never comes.
    Never,
}

/// One request as it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// `METHOD /path?query`.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Stage {
    replies: VecDeque<Reply>,
    heard: Vec<Heard>,
}

type Shared = Arc<Mutex<Stage>>;

/// The server; it stops when it is dropped.
pub(crate) struct Script {
    stage: Shared,
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Script {
    /// A server with these answers.
    pub(crate) async fn of(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), replies)
    }

    /// The same on a listener that is there already.
    pub(crate) fn on(listener: TcpListener, replies: impl IntoIterator<Item = Reply>) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let replies = replies.into_iter().collect();
        let stage = Arc::new(Mutex::new(Stage { replies, heard: Vec::new() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&stage));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { stage, url, _server: server }
    }

    /// A client of it that repeats fast.
    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> Builder {
        Client::builder(&self.url).retry(FAST)
    }

    /// What was heard; every answer must have been used.
    pub(crate) fn end(&self) -> Vec<Heard> {
        let stage = self.stage.lock().unwrap();
        assert_eq!(stage.replies.len(), 0, "answers that nobody asked for");
        stage.heard.clone()
    }
}

/// Five attempts without long pauses.
pub(crate) const FAST: RetryPolicy = RetryPolicy {
    attempts_max: 5,
    total_max: Duration::from_secs(20),
    initial: Duration::from_millis(1),
    factor: 2,
    max: Duration::from_millis(5),
};

async fn answer(State(stage): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let heard =
        Heard { line: format!("{} {}", parts.method, parts.uri), headers: parts.headers, body };
    let reply = {
        let mut stage = stage.lock().unwrap();
        stage.heard.push(heard);
        stage.replies.pop_front()
    };
    match reply {
        Some(Reply::Whole(response)) => response,
        Some(Reply::Broken) => {
            let broken = stream::once(async { Err::<Bytes, _>(io::Error::other("broken")) });
            Response::new(Body::from_stream(broken))
        }
        Some(Reply::Never) => std::future::pending().await,
        None => Response::builder().status(418).body("the script has ended".into()).unwrap(),
    }
}

/// JSON under a status.
pub(crate) fn json_reply(status: u16, body: &Value) -> Reply {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Reply::Whole(response.body(body.to_string().into()).unwrap())
}

/// A status without a body, or a text that is no JSON.
pub(crate) fn text_reply(status: u16, body: &'static str) -> Reply {
    Reply::Whole(Response::builder().status(status).body(body.into()).unwrap())
}

/// A problem document.
pub(crate) fn problem(status: u16, code: &str) -> Reply {
    problem_after(status, code, None)
}

/// A problem document with `Retry-After`.
pub(crate) fn problem_after(status: u16, code: &str, retry_after: Option<u64>) -> Reply {
    let retryable = matches!(status, 408 | 429 | 503);
    let body = json!({ "type": format!("/docs/errors#{code}"), "title": "t", "status": status,
        "code": code, "detail": format!("about {code}"), "retryable": retryable });
    let mut response =
        Response::builder().status(status).header("content-type", "application/problem+json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    Reply::Whole(response.body(body.to_string().into()).unwrap())
}

/// A saga's view.
pub(crate) fn saga(status: &str, seq: u64) -> Value {
    json!({ "id": "s1", "definition": "d", "version": 1, "status": status, "paused": false,
        "decision": null, "reason": null, "step": null, "labels": {}, "lock_keys": [],
        "tokens": [], "input": null, "output": {"n": 7}, "created_at": "2026-11-22T14:19:00Z",
        "updated_at": "2026-11-22T14:19:00.5Z", "ended_at": null, "deadline_at": null,
        "start_at": null, "seq": seq, "steps": [], "allowed": [], "explanation": "so it is" })
}

/// A stream of events that ends.
pub(crate) fn events(text: &'static str) -> Reply {
    Reply::Whole(Response::builder().status(200).body(text.into()).unwrap())
}

/// A stream of events that stays open.
pub(crate) fn open_events(text: &'static str) -> Reply {
    let first =
        stream::once(async move { Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())) });
    let body = Body::from_stream(first.chain(stream::pending()));
    Reply::Whole(Response::builder().status(200).body(body).unwrap())
}
