//! A participant that keeps the contract in memory: what it passes, and what one careless change
//! makes it fail. Each of its carelessnesses is failed at the points that are about it.

#![allow(clippy::unwrap_used, reason = "test code")]

mod served;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use amends_conform::{EffectSource, OperationLines, Plan, Point, Verdict, document};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use served::{NOW_S, Served, limits, names, run, those};

const SECRET: [u8; 24] = [7; 24];

/// What a participant may forget to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgets {
    Nothing,
    /// An undo takes its call's turn away.
    LateCalls,
    /// An undo without its call succeeds.
    EmptyUndos,
    /// Lower tokens are refused.
    Tokens,
    /// Signatures go out of date.
    OldSignatures,
    /// Signatures are over the body.
    Bodies,
}

type Given = (StatusCode, Value);

/// Everything in one place under one lock: no two calls at once.
#[derive(Debug, Default)]
struct Memory {
    answers: BTreeMap<(String, String), Given>,
    taken: i64,
    token: u64,
}

type Shared = (Forgets, Arc<Mutex<Memory>>);

async fn called(
    State((forgets, memory)): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let (status, body) = if is_signed(forgets, &headers, &body) {
        guarded(forgets, &mut memory.lock().unwrap(), &headers)
    } else {
        (StatusCode::UNAUTHORIZED, json!({ "title": "not signed by us" }))
    };
    (status, Json(body))
}

fn guarded(forgets: Forgets, memory: &mut Memory, headers: &HeaderMap) -> Given {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(saga), Some(op)) = (text("saga-id"), text("saga-operation")) else {
        return (StatusCode::BAD_REQUEST, json!({ "title": "whose call is this?" }));
    };
    let key = |op: &str| (saga.to_owned(), op.to_owned());
    if let Some(known) = memory.answers.get(&key(op)) {
        return known.clone();
    }
    let token = text("saga-fencing-token").map(str::parse::<u64>);
    match token {
        Some(Err(_)) => return (StatusCode::BAD_REQUEST, json!({ "title": "no token" })),
        Some(Ok(token)) if token < memory.token && forgets != Forgets::Tokens => {
            return (StatusCode::CONFLICT, json!({ "title": "stale token" }));
        }
        Some(Ok(token)) => memory.token = token,
        None => {}
    }
    let given = match op {
        "action" => {
            memory.taken += 1;
            (StatusCode::CREATED, json!({ "number": memory.taken }))
        }
        "compensation" => {
            let forward = memory.answers.get(&key("action")).map(|(status, _)| *status);
            match forward {
                Some(StatusCode::CREATED) => memory.taken -= 1,
                None if forgets == Forgets::EmptyUndos => {
                    return (StatusCode::NOT_FOUND, json!({ "title": "undo what?" }));
                }
                None if forgets != Forgets::LateCalls => {
                    let late = (StatusCode::CONFLICT, json!({ "title": "undone before" }));
                    memory.answers.insert(key("action"), late);
                }
                _ => {}
            }
            (StatusCode::OK, json!({}))
        }
        _ => return (StatusCode::BAD_REQUEST, json!({ "title": "unknown operation" })),
    };
    memory.answers.insert(key(op), given.clone());
    given
}

fn is_signed(forgets: Forgets, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(text);
    let [Some(id), Some(at), Some(signature)] = signed else { return false };
    if forgets == Forgets::Bodies {
        return true;
    }
    let is_fresh = at.parse::<i64>().is_ok_and(|at| (NOW_S - at).abs() < 300);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    wanted == signature && (is_fresh || forgets == Forgets::OldSignatures)
}

async fn serve(forgets: Forgets, memory: &Arc<Mutex<Memory>>) -> Served {
    let taken = async |State((_, memory)): State<Shared>| Json(memory.lock().unwrap().taken);
    let router = Router::new()
        .route("/take", post(called))
        .route("/give-back", post(called))
        .route("/taken", get(taken))
        .with_state((forgets, Arc::clone(memory)));
    Served::new(router).await
}

fn plan(instances: &[Served]) -> Plan {
    let lines = OperationLines {
        action: Some("POST /take".to_owned()),
        compensation: Some("POST /give-back".to_owned()),
        body: Some(json!({ "sku": "tea" })),
        ..OperationLines::default()
    };
    let mut plan = Plan::new(Plan::check_definition(&document(&lines).unwrap()).unwrap());
    for instance in instances {
        plan.add_participant("participant", &instance.url).unwrap();
    }
    let place = format!("{}/taken", instances[0].url);
    plan.effects.insert("step".to_owned(), EffectSource::parse(&place).unwrap());
    plan.secret = Some(SECRET.to_vec());
    plan.lock_keys = vec!["sku:tea".to_owned()];
    plan.limits = limits();
    plan
}

#[tokio::test]
async fn what_is_forgotten_is_found_and_nothing_else() {
    for (forgets, expected) in [
        (Forgets::Nothing, &[][..]),
        (Forgets::LateCalls, &[Point::CallAfterUndo]),
        (Forgets::EmptyUndos, &[Point::UndoWithoutCall, Point::CallAfterUndo]),
        (Forgets::Tokens, &[Point::Fencing]),
        (Forgets::OldSignatures, &[Point::Signature]),
        (Forgets::Bodies, &[Point::Signature]),
    ] {
        let served = serve(forgets, &Arc::default()).await;
        let report = run(&plan(&[served])).await;
        let failed = names(&those(&report, Verdict::Fail));
        assert_eq!(failed, expected, "{forgets:?}: {report:#?}");
        assert_eq!(report.passed, expected.is_empty());
        assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    }
}

#[tokio::test]
async fn instances_must_share_what_they_remember() {
    let one = Arc::default();
    let sharing = [serve(Forgets::Nothing, &one).await, serve(Forgets::Nothing, &one).await];
    assert!(run(&plan(&sharing)).await.passed);

    let apart = [
        serve(Forgets::Nothing, &Arc::default()).await,
        serve(Forgets::Nothing, &Arc::default()).await,
    ];
    assert!(!run(&plan(&apart)).await.passed);
}
