//! Tasks that start sagas.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Asker, REST};
use crate::bounds::{BODY_BYTES, SAGAS};
use crate::raw;

/// Starts more than the server can hold, so that it says so; each with a key of its own.
pub(super) async fn flood(asker: Asker, index: usize) {
    for number in 0_u64.. {
        let body = json!({ "definition": "slow", "labels": { "flood": index.to_string() } });
        let request = asker.request(Method::POST, "/v1/sagas").json(&body);
        let request = request.header("idempotency-key", format!("flood-{index}-{number}"));
        let answer = asker.ask("a start", request).await;
        // At the bound, others are let in first: they would get no place otherwise.
        let is_full = answer.is_some_and(|answer| answer.status == 503);
        tokio::time::sleep(if is_full { REST * 10 } else { REST }).await;
    }
}

/// Bodies of exactly the bound, and of one byte more, with and without their length.
pub(super) async fn bodies(asker: Asker) {
    let body = |bytes: usize| {
        let rest = json!({ "definition": "fast", "input": "" }).to_string().len();
        json!({ "definition": "fast", "input": "x".repeat(bytes - rest) }).to_string()
    };
    let (fits, too_long) = (body(BODY_BYTES), body(BODY_BYTES + 1));
    let head = "POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{too_long}\r\n0\r\n\r\n", too_long.len());
    loop {
        for text in [&fits, &too_long] {
            let request = asker.request(Method::POST, "/v1/sagas").body(text.clone());
            asker.ask("a body", request.header("content-type", "application/json")).await;
        }
        match raw::exchange(asker.address(), chunked.as_bytes()).await {
            Ok((status, code)) => asker.tally.answer("chunks", status, &code, Some("")),
            Err(_) => asker.tally.broken(),
        }
        tokio::time::sleep(REST).await;
    }
}

/// Sixteen long keys each, which overlap with those of the next.
pub(super) async fn locks(asker: Asker) {
    let step = json!({
        "id": "only", "participant": "soak",
        "action": { "path": "/slow" }, "compensation": { "path": "/fast" },
    });
    for number in 0_u64.. {
        let first = number % 24;
        let keys: Vec<String> =
            (first..first + 16).map(|key| format!("{key:02}{}", "k".repeat(254))).collect();
        let on_busy = if number.is_multiple_of(2) { "reject" } else { "replace" };
        let lock = json!({ "keys": keys, "on_busy": on_busy });
        let definition = json!({ "name": "locked", "lock": lock, "steps": [step] });
        asker.post("a locked saga", "/v1/sagas", &json!({ "definition": definition })).await;
        tokio::time::sleep(REST * 5).await;
    }
}

/// Steps that are completed by callbacks: once, again, and by somebody else.
pub(super) async fn completions(asker: Asker) {
    loop {
        asker.post("a saga of callbacks", "/v1/sagas", &json!({ "definition": "later" })).await;
        tokio::time::sleep(REST).await;
    }
}

/// A hundred steps in a row, waited for.
pub(super) async fn long(asker: Asker) {
    let body = json!({ "definition": "hundred" });
    loop {
        let request = || asker.request(Method::POST, "/v1/sagas").header("prefer", "wait=10");
        asker.insist("a saga of 100 steps", || request().json(&body)).await;
    }
}

/// As many labels as there may be, as long as they may be, in definitions of ever new names.
pub(super) async fn labels(asker: Asker) {
    for number in 0_u64.. {
        let labels: serde_json::Map<String, Value> = (0..32)
            .map(|label| (format!("{label:02}-{}", "l".repeat(61)), json!("v".repeat(256))))
            .collect();
        let step = json!({
            "id": "only", "participant": "soak",
            "action": { "path": "/refuse", "body": "${input}" }, "compensation": "none",
        });
        let definition = json!({ "name": format!("labels-{number}"), "steps": [step] });
        let body = json!({ "definition": definition, "labels": labels, "input": [number] });
        asker.post("a saga with labels", "/v1/sagas", &body).await;
        tokio::time::sleep(REST).await;
    }
}

/// Definitions of many expressions, each another one: what they are compiled to is far larger than
/// they are.
pub(super) async fn expressions(asker: Asker) {
    let body = "${input}x".repeat(40);
    let step = |index: usize| {
        json!({
            "id": format!("s{index}"), "participant": "soak",
            "action": { "path": "/refuse", "body": body }, "compensation": "none",
        })
    };
    let steps: Vec<Value> = (0..100).map(step).collect();
    for number in 0_u64.. {
        let definition = json!({ "name": format!("expressions-{number}"), "steps": steps });
        let body = json!({ "definition": definition, "input": number });
        asker.post("a saga of expressions", "/v1/sagas", &body).await;
        tokio::time::sleep(REST * 25).await;
    }
}

/// One saga with a journal of more facts than are retried for, suspended at its end and then
/// abandoned; its journal is read page by page.
pub(super) async fn journals(asker: Asker) {
    let step = |index: usize| {
        json!({
            "id": format!("s{index}"), "participant": "soak", "after": [],
            "action": { "path": "/fail" },
            "compensation": { "path": "/fail", "retry": { "max_attempts": 5 } },
            "retry": { "max_attempts": 900, "initial": "1ms", "max": "1ms" },
        })
    };
    let definition = json!({ "name": "journal", "steps": [step(0), step(1), step(2), step(3)] });
    loop {
        let body = json!({ "definition": definition });
        let Some(saga) = asker.post("a long journal", "/v1/sagas", &body).await else { continue };
        let Some(id) = saga.body["id"].as_str() else { continue };
        let path = format!("/v1/sagas/{id}");
        while let Some(view) = asker.get("a saga", &path).await {
            if view.status != 200 {
                break;
            }
            let seq = view.body["seq"].as_u64().unwrap_or_default();
            let page = format!("{path}/journal?limit=500&from={}", seq.saturating_sub(500));
            asker.get("a journal", &page).await;
            if view.body["status"] == "suspended" {
                asker.post("an end", &format!("{path}/abandon"), &json!({})).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

const _: () = assert!(SAGAS >= 50, "other tasks need places besides the flood's");
