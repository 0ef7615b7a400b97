//! What is repeated, under which key, and what is not.

use std::time::Duration;

use amends_client::Client;
use amends_client::rest::{Completion, Error, ParticipantSpec, RetryPolicy, Status};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::script::{FAST, Reply, Script, json_reply, problem, problem_after, saga, text_reply};

#[tokio::test]
async fn a_start_is_repeated_under_one_key_until_it_is_answered() {
    let script = Script::of([
        problem(503, "draining"),
        text_reply(502, "<html>bad gateway</html>"),
        problem(429, "overloaded"),
        Reply::Broken,
        json_reply(201, &saga("running", 2)),
    ])
    .await;

    let started = script.client().start("d").input(&json!({"b": 1, "a": 2})).send().await.unwrap();

    assert_eq!((started.id.as_str(), started.status), ("s1", Status::Running));
    let heard = script.end();
    let key = heard[0].header("idempotency-key").unwrap();
    assert_eq!(key.len(), 36, "{key}");
    for request in &heard {
        assert_eq!(request.line, "POST /v1/sagas");
        assert_eq!(request.header("idempotency-key"), Some(key));
        assert_eq!(request.body, heard[0].body);
    }
}

#[tokio::test]
async fn two_starts_have_two_keys_and_a_given_key_or_id_is_taken() {
    let reply = || json_reply(201, &saga("running", 2));
    let script = Script::of([reply(), reply(), reply(), reply()]).await;
    let client = script.client();
    client.start("d").send().await.unwrap();
    client.start("d").send().await.unwrap();
    client.start("d").key("order-7").send().await.unwrap();
    client.start("d").id("s1").send().await.unwrap();
    let heard = script.end();
    let keys: Vec<_> = heard.iter().map(|own| own.header("idempotency-key")).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2..], [Some("order-7"), None]);
}

#[tokio::test]
async fn a_connection_that_closes_after_the_request_is_a_lost_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::builder(&url).retry(FAST).build().unwrap();
    let asked = client.start("d").key("k").send();
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            assert!(connection.read_buf(&mut heard).await.unwrap() > 0);
        }
        drop(connection);
        Script::on(listener, [json_reply(200, &saga("completed", 9))])
    };
    let (answer, script) = tokio::join!(asked, server);
    assert_eq!(answer.unwrap().status, Status::Completed);
    assert_eq!(script.end()[0].header("idempotency-key"), Some("k"));
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let script = Script::of([
        problem_after(503, "overloaded", Some(1)),
        json_reply(200, &saga("running", 1)),
    ])
    .await;
    let start = Instant::now();
    script.client().saga("s1").get().await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    script.end();
}

#[tokio::test]
async fn a_retry_after_beyond_the_total_is_told_at_once() {
    let script = Script::of([problem_after(503, "overloaded", Some(3600))]).await;
    let error = script.client().saga("s1").get().await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.retry_after, Some(Duration::from_hours(1)));
    assert_eq!((problem.attempts, error.is_retryable()), (1, true));
    script.end();
}

#[tokio::test]
async fn refusals_and_bugs_are_not_repeated() {
    for (status, code) in
        [(400, "bad-header"), (404, "saga-not-found"), (409, "saga-ended"), (500, "internal")]
    {
        let script = Script::of([problem(status, code)]).await;
        let error = script.client().saga("s1").cancel().send().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(script.end().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    let script = Script::of((0..5).map(|_| problem(503, "store-unavailable"))).await;
    let error = script.client().saga("s1").pause().send().await.unwrap_err();
    assert_eq!(error.problem().unwrap().attempts, 5);
    assert!(error.may_have_taken_effect());
    assert_eq!(script.end().len(), 5);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_asked_for_again() {
    let script = Script::of([Reply::Never, json_reply(200, &saga("running", 1))]).await;
    let client = script.builder().answer_timeout(Duration::from_millis(200)).build().unwrap();
    assert_eq!(client.saga("s1").get().await.unwrap().status, Status::Running);
    assert_eq!(script.end().len(), 2);
}

#[tokio::test]
async fn what_is_not_safe_is_repeated_only_if_nothing_can_have_happened() {
    let script =
        Script::of([problem(503, "draining"), problem(429, "overloaded"), Reply::Broken]).await;
    let error = script.client().locks().release("sku:42").reason("r").send().await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { attempts: 3, maybe_sent: true, .. }), "{error}");
    assert!(error.may_have_taken_effect());
    assert_eq!(script.end().len(), 3);

    let script = Script::of([problem(503, "outcome-unknown")]).await;
    let spec = ParticipantSpec::new("p").endpoint("http://p");
    let error = script.client().participants().put_revision(&spec, 3).await.unwrap_err();
    assert_eq!(error.code(), Some("outcome-unknown"));
    assert_eq!(script.end()[0].header("if-match"), Some("\"3\""));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_as_nothing_has_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::builder(&url).retry(RetryPolicy { attempts_max: 3, ..FAST }).build();
    let error = client.unwrap().start("d").send().await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { attempts: 3, maybe_sent: false, .. }), "{error}");
    assert!(!error.may_have_taken_effect() && error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("nothing has happened") && text.contains(&url), "{text}");
}

#[tokio::test]
async fn the_next_server_is_asked_and_kept() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away_url = format!("http://{}", away.local_addr().unwrap());
    drop(away);
    let draining = Script::of([problem(503, "draining")]).await;
    let well = Script::of((0..3).map(|_| json_reply(200, &saga("running", 1)))).await;
    let client = Client::builder(&away_url)
        .base_url(&draining.url)
        .base_url(&format!("{}/", well.url))
        .retry(FAST)
        .build()
        .unwrap();
    for _ in 0..3 {
        client.saga("s1").get().await.unwrap();
    }
    assert_eq!(draining.end().len(), 1);
    assert_eq!(well.end()[2].line, "GET /v1/sagas/s1");
}

#[tokio::test]
async fn a_deletion_that_was_unheard_is_a_deletion() {
    let script = Script::of([Reply::Broken, problem(404, "participant-not-found")]).await;
    script.client().participants().delete("p").await.unwrap();
    script.end();

    let script = Script::of([problem(404, "participant-not-found")]).await;
    let error = script.client().participants().delete("p").await.unwrap_err();
    assert_eq!(error.code(), Some("participant-not-found"));
}

#[tokio::test]
async fn a_late_callback_after_a_lost_answer_may_be_our_own() {
    let script = Script::of([Reply::Broken, problem(409, "callback-late")]).await;
    let callback = format!("{}/v1/callbacks/s/b/action/tok", script.url);
    let done = Completion::succeeded(&json!({"id": 1}));
    let error = script.client().complete(&callback, done).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_taken_effect()), (Some("callback-late"), true));
    let heard = script.end();
    assert_eq!(heard[1].json(), json!({"outcome": "succeeded", "output": {"id": 1}}));
    let kind = heard[1].header("content-type");
    assert_eq!(kind, Some("application/vnd.amends.completion+json"));

    let script = Script::of([problem(409, "callback-late")]).await;
    let callback = format!("{}/v1/callbacks/s/b/action/tok", script.url);
    let error = script.client().complete(&callback, Completion::refused("no")).await.unwrap_err();
    assert!(!error.may_have_taken_effect());
    assert!(!error.to_string().contains("tok"), "{error}");
}

#[tokio::test]
async fn the_token_goes_to_our_servers_only() {
    let ours = Script::of([json_reply(200, &saga("running", 1)), text_reply(204, "")]).await;
    let others = Script::of([text_reply(204, "")]).await;
    let client = ours.builder().bearer_token("secret").actor("shop").build().unwrap();
    client.saga("s1").get().await.unwrap();
    for url in [&ours.url, &others.url] {
        client.complete(&format!("{url}/cb"), Completion::retryable("later")).await.unwrap();
    }
    for own in ours.end() {
        assert_eq!(own.header("authorization"), Some("Bearer secret"));
        assert_eq!(own.header("amends-actor"), Some("shop"));
    }
    let heard = others.end();
    assert_eq!((heard[0].header("authorization"), heard[0].header("amends-actor")), (None, None));
}
