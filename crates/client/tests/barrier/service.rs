//! Handlers behind the barrier, as a coordinator sees them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use amends_client::barrier::{self, Barrier, Error, Started, TwoCall, TwoCallLayer};
use amends_client::participant::{Answer, Call, SignedLayer, Verifier};
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::{Sqlite, SqlitePool};
use tower::ServiceExt as _;

use crate::database::Db;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The whole of a handler in one transaction.
async fn reserve(barrier: Barrier<Sqlite>, Json(order): Json<Value>) -> Result<Answer, Error> {
    let sku = order["sku"].as_str().unwrap_or_default().to_owned();
    barrier
        .run(async |work| {
            sqlx::query("INSERT INTO effect (name) VALUES (?)")
                .bind(&sku)
                .execute(work.tx())
                .await?;
            Ok(Answer::created(json!({ "reserved": sku })))
        })
        .await
}

/// The whole of a handler in two calls.
async fn charge(barrier: TwoCall<SqlitePool>) -> Result<Answer, Error> {
    barrier
        .run(async |started| Ok(Answer::ok(json!({ "key": started.call.idempotency_key() }))))
        .await
}

/// The whole of a handler that the coordinator asks for a local transaction.
async fn committed(State(pool): State<SqlitePool>, call: Call) -> Result<Answer, Error> {
    barrier::check_back(&pool, &call.saga).await
}

/// A handler that only sees in the extensions that it is guarded.
async fn print(Extension(started): Extension<Started>) -> (StatusCode, String) {
    static PRINTED: AtomicU32 = AtomicU32::new(0);
    let count = PRINTED.fetch_add(1, Ordering::Relaxed);
    match (started.call.saga.as_str(), started.is_resumed()) {
        ("jammed", false) => (StatusCode::SERVICE_UNAVAILABLE, "jammed".to_owned()),
        (_, is_resumed) => (StatusCode::OK, format!("{count} resumed: {is_resumed}")),
    }
}

#[derive(Clone, FromRef)]
struct Shop {
    pool: SqlitePool,
}

async fn shop() -> (impl Sized, SqlitePool, Router) {
    let (server, pool) = Sqlite::start().await;
    let app = Router::new()
        .route("/print", post(print).layer(TwoCallLayer::new(pool.clone())))
        .route("/reservations", post(reserve))
        .route("/charges", post(charge))
        .route("/committed", get(committed))
        .with_state(Shop { pool: pool.clone() });
    (server, pool, app)
}

fn request(path: &str, saga: &str, op: &str, body: &str) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("saga-id", saga)
        .header("saga-step", "one")
        .header("saga-operation", op)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    (status, text(response).await)
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_handler_in_a_transaction_runs_once() {
    let (_server, pool, app) = shop().await;
    for _ in 0..2 {
        let call = request("/reservations", "s", "action", r#"{"sku":"cup"}"#);
        let created = (StatusCode::CREATED, r#"{"reserved":"cup"}"#.to_owned());
        assert_eq!(send(&app, call).await, created);
    }
    let count = Sqlite::number(&pool, "SELECT count(*) FROM effect".to_owned()).await;
    assert_eq!(count, 1);
    let undo = send(&app, request("/reservations", "t", "compensation", "{}")).await;
    assert_eq!(undo, (StatusCode::OK, r#"{"nothing_to_undo":true}"#.to_owned()));
    let (status, _) = send(&app, request("/reservations", "t", "action", "{}")).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_handler_in_two_calls_knows_its_key() {
    let (_server, _, app) = shop().await;
    for _ in 0..2 {
        let told = send(&app, request("/charges", "s", "try", "{}")).await;
        assert_eq!(told, (StatusCode::OK, r#"{"key":"s/one/try"}"#.to_owned()));
    }
}

#[tokio::test]
async fn a_layer_guards_a_handler_that_knows_nothing() {
    let (_server, _, app) = shop().await;
    let first = send(&app, request("/print", "s", "action", "")).await;
    assert_eq!(send(&app, request("/print", "s", "action", "")).await, first);
    let other = send(&app, request("/print", "t", "action", "")).await;
    assert_ne!(other, first);
    let jammed = send(&app, request("/print", "jammed", "action", "")).await;
    assert_eq!(jammed.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, resumed) = send(&app, request("/print", "jammed", "action", "")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(resumed.ends_with("resumed: true"), "{resumed}");
}

#[tokio::test]
async fn who_is_no_coordinator_is_told_which_header_is_missing() {
    let (_server, _, app) = shop().await;
    for path in ["/reservations", "/charges", "/print"] {
        let mut call = request(path, "s", "action", "{}");
        call.headers_mut().remove("saga-step");
        let response = app.clone().oneshot(call).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&text(response).await).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("Saga-Step"), "{problem}");
    }
}

#[tokio::test]
async fn while_another_is_at_work_the_answer_says_when_to_ask_again() {
    let (_server, pool, app) = shop().await;
    let call = crate::bed::call("s", amends_client::participant::Op::Try);
    let call = Call { step: "one".to_owned(), ..call };
    TwoCall::new(pool, call).begin().await.unwrap();
    let response = app.oneshot(request("/charges", "s", "try", "{}")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&after), "{after}");
}

#[tokio::test]
async fn a_coordinator_is_told_whether_it_was_committed() {
    let (_server, pool, app) = shop().await;
    let mut tx = pool.begin().await.unwrap();
    barrier::prepare(&mut tx, "yes").await.unwrap();
    tx.commit().await.unwrap();
    for (saga, status) in [("yes", StatusCode::OK), ("no", StatusCode::CONFLICT)] {
        let mut question = request("/committed", saga, "action", "");
        *question.method_mut() = http::Method::GET;
        assert_eq!(send(&app, question).await.0, status);
    }
    // Somebody else's look decides nothing.
    let look = Request::get("/committed").body(Body::empty()).unwrap();
    assert_eq!(send(&app, look).await.0, StatusCode::BAD_REQUEST);
}

/// Signs as the coordinator does.
fn sign(mut request: Request<Body>, secret: &str, body: &str, age: Duration) -> Request<Body> {
    #[expect(clippy::disallowed_methods, reason = "the layer looks at the clock too")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let signed_s = now.checked_sub(age).unwrap().as_secs();
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("s/one/action.{signed_s}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let headers = request.headers_mut();
    headers.insert("webhook-id", "s/one/action".parse().unwrap());
    headers.insert("webhook-timestamp", signed_s.into());
    headers.insert("webhook-signature", signature.parse().unwrap());
    request
}

#[tokio::test]
async fn only_signed_calls_come_through() {
    let (_server, _, app) = shop().await;
    let layer = SignedLayer::new(Verifier::new([SECRET]).unwrap()).body_bytes_max(1_000);
    let app = app.layer(layer);
    let body = r#"{"sku":"cup"}"#;
    let call = |op| request("/reservations", "s", op, body);
    let now = Duration::ZERO;
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (request, status) in [
        (sign(call("action"), SECRET, body, now), StatusCode::CREATED),
        (call("action"), StatusCode::UNAUTHORIZED),
        (sign(call("action"), other, body, now), StatusCode::UNAUTHORIZED),
        (sign(call("action"), SECRET, "{}", now), StatusCode::UNAUTHORIZED),
        (sign(call("action"), SECRET, body, Duration::from_mins(6)), StatusCode::UNAUTHORIZED),
        (sign(call("compensation"), SECRET, body, now), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(send(&app, request).await.0, status);
    }
    let long = "x".repeat(1_001);
    let call = sign(request("/reservations", "s", "action", &long), SECRET, &long, now);
    assert_eq!(send(&app, call).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}
