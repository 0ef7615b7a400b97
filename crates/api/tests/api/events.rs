//! Event streams.

use std::time::Duration;

use amends_api::ApiConfig;
use amends_core::saga::{Answer as CallAnswer, Op};
use amends_engine::EngineConfig;
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;

use crate::support::Api;

struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(api: &Api, path: &str, last: Option<&str>) -> Self {
        let request = Request::get(path);
        let request = last.into_iter().fold(request, |own, id| own.header("last-event-id", id));
        let request = request.body(Body::empty()).unwrap();
        let response = api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// Reads until `part` has come.
    async fn until(&mut self, part: &str) -> &str {
        while !self.text.contains(part) {
            let next = tokio::time::timeout(Duration::from_mins(1), self.body.next()).await;
            let Some(chunk) = next.expect("in time") else {
                panic!("the stream ended before {part:?}: {}", self.text)
            };
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        &self.text
    }

    async fn rest(mut self) -> String {
        while let Some(chunk) = self.body.next().await {
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        self.text
    }
}

fn slow() -> ScriptedParticipants {
    ScriptedParticipants::scripted(|call| {
        let delay = if call.key.op == Op::Action { 900 } else { 1 };
        ScriptedAnswer::after(Duration::from_millis(delay), CallAnswer::succeeded(None))
    })
}

#[tokio::test(start_paused = true)]
async fn a_saga_is_followed_to_its_end() {
    let api = Api::ready_with(slow()).await;
    let start = json!({ "definition": "order", "id": "s-1", "input": { "qty": 1 } });
    api.post("/v1/sagas", &start).await;
    let mut stream = Stream::open(&api, "/v1/sagas/s-1/events", Some("garbage")).await;
    let first = stream.until("\"running\"").await;
    assert!(first.contains("retry: 2000") || first.contains("retry:2000"), "{first}");
    let text = stream.rest().await;
    assert!(text.contains("event: saga"), "{text}");
    assert!(text.trim_end().lines().last().unwrap().contains("\"completed\""), "{text}");
    let ids: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids.len() >= 2, "{ids:?}");

    // Back with what it saw last: there is nothing more to come.
    let last = ids.last().unwrap().to_string();
    let again = Request::get("/v1/sagas/s-1/events").header("last-event-id", last);
    let again = api.send(again.body(Body::empty()).unwrap()).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
    let fresh = Stream::open(&api, "/v1/sagas/s-1/events", None).await.rest().await;
    assert!(fresh.contains("\"completed\""), "{fresh}");
    assert_eq!(api.get("/v1/sagas/nothing/events").await.code(), "saga-not-found");
}

#[tokio::test(start_paused = true)]
async fn a_list_hears_what_its_filter_lets_through_and_not_too_often() {
    let api = Api::ready_with(slow()).await;
    let mut all = Stream::open(&api, "/v1/sagas/events", None).await;
    let mut some = Stream::open(&api, "/v1/sagas/events?q=b-&status=completed", None).await;
    for id in ["a-1", "b-1"] {
        let start = json!({ "definition": "order", "id": id, "input": { "qty": 1 } });
        api.post("/v1/sagas", &start).await;
    }
    let text = some.until("\"completed\"").await;
    assert!(text.contains("b-1") && !text.contains("a-1") && !text.contains("running"), "{text}");
    all.until("a-1").await;
    for _ in 0..2 {
        all.until("\"completed\"").await;
    }
    // Each saga takes about a second: at most four hints a second, whatever happens in it.
    let hints = all.text.matches("\"a-1\"").count();
    assert!((1..=6).contains(&hints), "{}", all.text);
}

#[tokio::test(start_paused = true)]
async fn streams_give_signs_of_life_are_counted_and_end_with_the_process() {
    let config = ApiConfig { sse_clients_max: 1, ..ApiConfig::default() };
    let api = Api::with(ScriptedParticipants::new(), EngineConfig::default(), config).await;
    let mut stream = Stream::open(&api, "/v1/sagas/events", None).await;
    stream.until("amends").await;
    let before = tokio::time::Instant::now();
    let seen = stream.text.len();
    while stream.text.len() == seen {
        let chunk = stream.body.next().await.unwrap().unwrap();
        stream.text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert_eq!(before.elapsed().as_secs(), 15);
    assert_eq!(api.get("/v1/sagas/events").await.code(), "overloaded");
    api.engine.drain().await;
    stream.rest().await;
}
