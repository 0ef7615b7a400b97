//! Pages beside the API: under the same bounds, checks and metrics.

use std::convert::Infallible;

use amends_api::{ApiConfig, router_with_pages};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::{get, post};
use futures_util::{FutureExt as _, stream};
use http::{Request, Response};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::Api;

struct Pages {
    api: Api,
    router: Router,
}

impl Pages {
    async fn new(config: ApiConfig) -> Self {
        let api = Api::new().await;
        let pages = Router::new()
            .route("/pages/{id}", get(async || "a page"))
            .route("/pages/{id}/form", post(async |body: Bytes| body.len().to_string()))
            .route("/broken", get(broken))
            .route("/stuck", get(async || std::future::pending::<()>().await))
            .route(
                "/events",
                get(async || Sse::new(stream::pending::<Result<Event, Infallible>>())),
            );
        let router = router_with_pages(api.engine.clone(), config, pages);
        Self { api, router }
    }

    async fn send(&self, method: &str, path: &str, body: Body) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.send("GET", path, Body::empty()).await
    }

    fn has_counted(&self, route: &str, method: &str, status: u16) -> bool {
        let labels = format!(r#"{{route="{route}",method="{method}",status="{status}"}} 1"#);
        self.api.engine.metrics().encode().contains(&labels)
    }
}

async fn broken() {
    panic!("secret: canary")
}

async fn problem(response: Response<Body>, status: u16) -> Value {
    assert_eq!(response.status(), status);
    assert!(response.headers().contains_key("x-request-id"));
    assert!(response.headers().contains_key("content-security-policy"));
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_page_that_panics_is_a_fault_of_ours_and_counted() {
    let pages = Pages::new(ApiConfig::default()).await;
    let problem = problem(pages.get("/broken").await, 500).await;
    assert_eq!(problem["code"], "internal");
    assert!(!problem.to_string().contains("canary"));
    assert!(pages.has_counted("/broken", "GET", 500));
}

#[tokio::test(start_paused = true)]
async fn a_page_has_as_much_time_as_an_answer_of_the_api() {
    let pages = Pages::new(ApiConfig::default()).await;
    assert_eq!(problem(pages.get("/stuck").await, 503).await["code"], "timed-out");
}

#[tokio::test(start_paused = true)]
async fn bodies_of_pages_are_bounded_in_length_and_time() {
    let config = ApiConfig { body_bytes_max: 1_000, ..ApiConfig::default() };
    let pages = Pages::new(config).await;
    let path = "/pages/a/form";
    assert_eq!(pages.send("POST", path, Body::from(vec![0; 1_000])).await.status(), 200);
    let answer = pages.send("POST", path, Body::from(vec![0; 1_001])).await;
    assert_eq!(problem(answer, 413).await["code"], "body-too-large");
    let slow = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = pages.send("POST", path, slow).await;
    assert_eq!(problem(answer, 408).await["code"], "body-timeout");
    for status in [200, 413, 408] {
        assert!(pages.has_counted("/pages/{id}/form", "POST", status), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_and_the_api_share_their_places() {
    let config = ApiConfig { requests_max: 1, ..ApiConfig::default() };
    let pages = Pages::new(config).await;
    let mut stuck = Box::pin(pages.get("/stuck"));
    assert!(stuck.as_mut().now_or_never().is_none());
    for path in ["/pages/a", "/v1/sagas", "/nowhere"] {
        let answer = pages.get(path).await;
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(problem(answer, 503).await["code"], "overloaded", "{path}");
    }
    drop(stuck);
    assert_eq!(pages.get("/pages/a").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn event_streams_of_pages_take_places_until_they_are_dropped() {
    let config = ApiConfig { sse_clients_max: 2, ..ApiConfig::default() };
    let pages = Pages::new(config).await;
    let (one, other) = (pages.get("/events").await, pages.get("/v1/sagas/events").await);
    assert_eq!((one.status().as_u16(), other.status().as_u16()), (200, 200));
    for path in ["/events", "/v1/sagas/events"] {
        assert_eq!(problem(pages.get(path).await, 503).await["code"], "overloaded");
    }
    assert!(!one.body().is_end_stream());
    drop(one);
    assert_eq!(pages.get("/events").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_pages_is_checked_and_counted_by_template() {
    let config = ApiConfig { host_names: Some(Vec::new()), ..ApiConfig::default() };
    let pages = Pages::new(config).await;
    assert_eq!(pages.get("/pages/a").await.status(), 200);
    assert!(pages.has_counted("/pages/{id}", "GET", 200));
    let answer = pages.send("DELETE", "/pages/a", Body::empty()).await;
    assert_eq!(problem(answer, 405).await["code"], "method-not-allowed");
    assert!(pages.has_counted("/pages/{id}", "DELETE", 405));
    for (name, value) in [("host", "evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = Request::post("/pages/a/form").header(name, value).body(Body::empty());
        let answer = pages.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(problem(answer, 403).await["code"], "cross-site-request", "{name}");
    }
    let labels = r#"{route="/pages/{id}/form",method="POST",status="403"} 2"#;
    assert!(pages.api.engine.metrics().encode().contains(labels));
    let long = format!("/pages/{}", "a".repeat(17_000));
    assert_eq!(problem(pages.get(&long).await, 414).await["code"], "uri-too-long");
}
