//! Calls that end later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::definition::Completion;
use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_ports::{OutgoingCall, Participants as _};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};

use crate::support::{answering, at, call, gist, serve, spec_at, unknown, with};

fn polled() -> OutgoingCall {
    OutgoingCall { completion: Completion::Poll { interval: Duration::from_secs(1) }, ..call() }
}

#[tokio::test]
async fn a_pending_call_is_asked_for_until_it_has_ended() {
    let questions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&questions);
    let job = move |headers: HeaderMap| async move {
        assert_eq!(headers["idempotency-key"], "\"order-42/charge/action\"");
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::ACCEPTED, [("retry-after", "2")]).into_response(),
            1 => (StatusCode::OK, [("retry-after", "3")]).into_response(),
            2 => axum::Json(serde_json::json!({ "paid": true })).into_response(),
            _ => StatusCode::CONFLICT.into_response(),
        }
    };
    let accept = || async { (StatusCode::ACCEPTED, [("location", "../jobs/7?x=1")]) };
    let router = Router::new().route("/api/pay", post(accept)).route("/jobs/7", get(job));
    let address = serve(router).await;
    let mut spec = spec_at(address);
    spec.endpoints = vec![format!("http://{address}/api").parse().unwrap()];
    let participants = with(amends_participants::Config::default(), spec);

    let answer = participants.call(polled()).await;
    assert_eq!(gist(&answer), (OutcomeKind::Pending, true, None));
    let location = answer.location.unwrap();
    assert_eq!(location, format!("http://{address}/jobs/7?x=1"));
    for secs in [2, 3] {
        let answer = participants.poll(polled(), &location).await;
        assert_eq!(answer.outcome, OutcomeKind::Pending);
        assert_eq!(answer.retry_after, Some(Duration::from_secs(secs)));
        assert_eq!(answer.location.as_ref(), Some(&location));
    }
    let answer = participants.poll(polled(), &location).await;
    assert_eq!(answer.outcome, OutcomeKind::Succeeded);
    assert_eq!(answer.output.unwrap().as_str(), r#"{"paid":true}"#);
    assert_eq!(participants.poll(polled(), &location).await.outcome, OutcomeKind::Refused);
}

#[tokio::test]
async fn a_location_elsewhere_or_none_is_unknown() {
    for location in ["location: http://169.254.169.254/latest\r\n", ""] {
        let text = format!("HTTP/1.1 202 Accepted\r\n{location}content-length: 0\r\n\r\n");
        let (address, _) = answering(text).await;
        let answer = at(address).call(polled()).await;
        assert_eq!(gist(&answer), unknown(AttemptFailure::BadAnswer), "{location}");
    }
}

#[tokio::test]
async fn a_question_that_gets_no_answer_leaves_the_call_pending() {
    let (address, _) = answering("").await;
    let location = format!("http://{address}/jobs/7");
    let answer = at(address).poll(polled(), &location).await;
    assert_eq!(gist(&answer), (OutcomeKind::Pending, true, Some(AttemptFailure::Reset)));
    assert_eq!(answer.location, Some(location));
}
