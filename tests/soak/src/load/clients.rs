//! Tasks that read, leave early, are slow, or make no sense.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{Asker, REST, registration};
use crate::bounds::CONNECTIONS;
use crate::raw;

/// Opens event streams and reads them far more slowly than they grow.
pub(super) async fn sip_events(asker: Asker) {
    for turn in 0_u64.. {
        let run = Duration::from_secs(turn % 12);
        match raw::sip(asker.address(), "/v1/sagas/events", run).await {
            Ok(status) => {
                let code = if status == 503 { "overloaded" } else { "" };
                asker.tally.answer("an event stream", status, code, Some("not looked at"));
            }
            Err(_) => asker.tally.broken(),
        }
        tokio::time::sleep(REST * 10).await;
    }
}

/// Starts, asks to wait, and leaves before there is an answer.
pub(super) async fn leave_early(asker: Asker) {
    loop {
        let request = asker.request(Method::POST, "/v1/sagas").header("prefer", "wait=30");
        let request = request.json(&json!({ "definition": "slow" }));
        asker.ask("a wait", request.timeout(Duration::from_millis(300))).await;
        tokio::time::sleep(REST).await;
    }
}

/// Reads every list, in pages as large as they may be.
pub(super) async fn read(asker: Asker) {
    loop {
        for path in [
            "/v1/sagas?limit=500",
            "/v1/sagas?limit=500&status=running,compensating&definition=slow",
            "/v1/sagas?limit=501",
            "/v1/sagas/counts",
            "/v1/locks?limit=500",
            "/v1/definitions?limit=500",
            "/v1/participants",
            "/metrics",
            "/openapi.json",
            "/console/sagas",
            "/console/locks",
        ] {
            let page = asker.get(path, path).await;
            let first = page.as_ref().and_then(|page| page.body["sagas"][0]["id"].as_str());
            if let Some(id) = first {
                asker.get("a page of the console", &format!("/console/sagas/{id}")).await;
            }
            tokio::time::sleep(REST).await;
        }
    }
}

/// What is no request, and what is one that is refused.
pub(super) async fn nonsense(asker: Asker) {
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(65_536));
    let deep = "[".repeat(60_000);
    loop {
        for bytes in [long.as_str(), "\0\0\r\n\r\n", "GET /livez HTTP/1.1\r\nhost: evil\r\n\r\n"] {
            // What comes is for the list of bad inputs to say; here nothing of it may stay.
            let _ = raw::exchange(asker.address(), bytes.as_bytes()).await;
        }
        for body in ["{", deep.as_str(), "{\"definition\":\"none\"}"] {
            let request = asker.request(Method::POST, "/v1/sagas").body(body.to_owned());
            asker.ask("nonsense", request.header("content-type", "application/json")).await;
        }
        tokio::time::sleep(REST * 5).await;
    }
}

/// Once in a while, connections that say nothing, more than there are places for.
pub(super) async fn silence(asker: Asker) {
    loop {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let connecting = (0..CONNECTIONS).map(|_| raw::connect(asker.address()));
        let silent = futures_util::future::join_all(connecting).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(silent);
    }
}

/// Registers the participant anew, so that its connections and places are made anew.
pub(super) async fn change_participant(asker: Asker, url: String) {
    for turn in 0_u64.. {
        let mut body = registration(&url);
        body["labels"] = json!({ "turn": turn.to_string(), "long": "x".repeat(256) });
        let put = || asker.request(Method::PUT, "/v1/participants/soak").json(&body);
        asker.insist("a registration", put).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
