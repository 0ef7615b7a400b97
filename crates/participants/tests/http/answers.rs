//! What becomes of a whole answer.

use std::time::Duration;

use amends_core::definition::{Completion, OutcomeOverride};
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_participants::Config;
use amends_ports::Participants as _;

use crate::support::{answering, at, call, gist, problem, spec_at, unknown, with};

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

const JSON: &str = "content-type: application/json; charset=utf-8\r\n";

#[tokio::test]
async fn the_output_of_a_success_is_its_json() {
    for (headers, body, output) in [
        (JSON, r#"{"id": 1.10}"#, Some(r#"{"id": 1.10}"#)),
        ("content-type: application/vnd.shop+json\r\n", "[1]", Some("[1]")),
        ("content-type: text/html\r\n", "<p>", None),
        ("", r#"{"id":1}"#, None),
        (JSON, "", None),
    ] {
        let (address, _) = answering(response("201 Created", headers, body)).await;
        let answer = at(address).call(call()).await;
        assert_eq!(gist(&answer), (OutcomeKind::Succeeded, true, None));
        assert_eq!(answer.output.as_ref().map(amends_core::Json::as_str), output, "{body}");
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_unknown() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (headers, body) in [
        (JSON, "{"),
        (JSON, deep.as_str()),
        (JSON, r#""\u0000""#),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", "{}"),
    ] {
        let (address, _) = answering(response("200 OK", headers, body)).await;
        let answer = at(address).call(call()).await;
        assert_eq!(gist(&answer), unknown(AttemptFailure::BadAnswer), "{headers}");
        assert_eq!(problem(&answer).status, Some(200));
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_problem_document_as_its_reason() {
    let body = r#"{"title":"No funds","detail":"7 EUR are missing"}"#;
    let headers = "content-type: application/problem+json\r\nretry-after: 3\r\n";
    let (address, _) = answering(response("409 Conflict", headers, body)).await;
    let answer = at(address).call(call()).await;
    assert_eq!(gist(&answer), (OutcomeKind::Refused, true, Some(AttemptFailure::Status)));
    assert_eq!(problem(&answer).detail, "answered 409 Conflict: 7 EUR are missing");
    assert_eq!(problem(&answer).body.as_ref().unwrap().as_str(), body);
    assert_eq!(answer.retry_after, Some(Duration::from_secs(3)));

    let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(17 * 1024));
    let (address, _) = answering(response("500 Oops", headers, &long)).await;
    let answer = at(address).call(call()).await;
    assert_eq!(answer.outcome, OutcomeKind::Retryable);
    assert_eq!(problem(&answer).body, None);
}

#[tokio::test]
async fn overrides_of_participant_and_step_are_applied() {
    let (address, _) = answering(response("404 Not Found", "", "")).await;
    let spec = ParticipantSpec {
        outcomes: vec![OutcomeOverride { status: 404, outcome: OutcomeKind::Succeeded }],
        ..spec_at(address)
    };
    let participants = with(Config::default(), spec);
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    let mut own = call();
    own.outcomes = vec![OutcomeOverride { status: 404, outcome: OutcomeKind::Retryable }];
    assert_eq!(participants.call(own).await.outcome, OutcomeKind::Retryable);
}

#[tokio::test]
async fn a_202_is_pending_only_where_the_step_completes_later() {
    let (address, _) = answering(response("202 Accepted", JSON, "{}")).await;
    let participants = at(address);
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    let mut later = call();
    later.completion = Completion::Callback;
    let answer = participants.call(later).await;
    assert_eq!(gist(&answer), (OutcomeKind::Pending, true, None));
    assert_eq!(answer.output, None);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let (elsewhere, visits) = answering(response("200 OK", "", "")).await;
    for status in ["302 Found", "307 Temporary Redirect", "304 Not Modified"] {
        let headers = format!("location: http://{elsewhere}/\r\n");
        let (address, _) = answering(response(status, &headers, "")).await;
        let answer = at(address).call(call()).await;
        assert_eq!(gist(&answer), unknown(AttemptFailure::Redirect), "{status}");
    }
    assert_eq!(visits.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_over_the_bound_is_unknown() {
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(8)
    );
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_owned();
    let refusal = response("409 Conflict", "", &"x".repeat(5000));
    for bytes in [endless, announced, refusal] {
        let (address, _) = answering(bytes).await;
        let spec = ParticipantSpec { answer_bytes_max: 4096, ..spec_at(address) };
        let answer = with(Config::default(), spec).call(call()).await;
        assert_eq!(gist(&answer), unknown(AttemptFailure::AnswerTooLarge));
    }
    let (address, _) = answering(response("200 OK", JSON, &format!("{:4096}", 1))).await;
    let spec = ParticipantSpec { answer_bytes_max: 4096, ..spec_at(address) };
    let answer = with(Config::default(), spec).call(call()).await;
    assert_eq!(answer.outcome, OutcomeKind::Succeeded, "exactly at the bound is fine");
}
