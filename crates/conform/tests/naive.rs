//! A participant as it is first written, without a barrier: it fails every point.

#![allow(clippy::unwrap_used, reason = "test code")]

mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amends_conform::{EffectSource, OperationLines, Plan, Point, Report, Verdict, document};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use served::{Served, limits, names, run, those};

/// What it has sold or holds; the only thing it remembers.
type Taken = Arc<AtomicI64>;

/// Takes one more, whoever asks and however often. Falls over when it can't read the attempt.
async fn take(State(taken): State<Taken>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let attempt: u32 = headers["saga-attempt"].to_str().unwrap().parse().unwrap();
    let number = taken.fetch_add(1, Ordering::SeqCst);
    (StatusCode::CREATED, Json(json!({ "number": number, "attempt": attempt })))
}

/// Gives one back, whether or not there is one to be given.
async fn give_back(State(taken): State<Taken>) -> Json<Value> {
    taken.fetch_sub(1, Ordering::SeqCst);
    Json(json!({}))
}

fn naive() -> Router {
    Router::new()
        .route("/take", post(take))
        .route("/{saga}/give-back", post(give_back))
        .route("/{saga}/confirm", post(give_back))
        .route("/taken", get(async |State(taken): State<Taken>| Json(taken.load(Ordering::SeqCst))))
        .with_state(Taken::default())
}

fn plan(lines: &OperationLines, url: &str) -> Plan {
    let definition = Plan::check_definition(&document(lines).unwrap()).unwrap();
    let mut plan = Plan::new(definition);
    plan.add_participant("participant", url).unwrap();
    plan.effects.insert("step".to_owned(), EffectSource::parse("/taken").unwrap());
    plan.secret = Some(vec![7; 24]);
    plan.lock_keys = vec!["sku:tea".to_owned()];
    plan.limits = limits();
    plan
}

fn saga_step() -> OperationLines {
    OperationLines {
        action: Some("POST /take".to_owned()),
        compensation: Some("POST /{saga}/give-back".to_owned()),
        body: Some(json!({ "sku": "tea" })),
        ..OperationLines::default()
    }
}

fn tcc_step() -> OperationLines {
    OperationLines {
        attempt: Some("POST /take".to_owned()),
        confirm: Some("POST /{saga}/confirm".to_owned()),
        cancel: Some("POST /{saga}/give-back".to_owned()),
        ..OperationLines::default()
    }
}

fn show(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap()
}

#[tokio::test]
async fn a_saga_step_without_a_barrier_fails_every_point() {
    let served = Served::new(naive()).await;
    let report = run(&plan(&saga_step(), &served.url)).await;
    let confirms = [Point::RepeatedConfirm, Point::ConfirmAfterCancel, Point::CancelAfterConfirm];
    let expected: Vec<Point> =
        Point::ALL.into_iter().filter(|point| !confirms.contains(point)).skip(1).collect();
    assert_eq!(names(&those(&report, Verdict::Fail)), expected, "{}", show(&report));
    assert_eq!(names(&those(&report, Verdict::Pass)), [Point::Works]);
    assert!(!report.passed);
    for failed in those(&report, Verdict::Fail) {
        assert!(failed.why.is_some() && failed.advice.is_some(), "{failed:?}");
    }
}

#[tokio::test]
async fn a_tcc_step_without_a_barrier_fails_every_point() {
    let served = Served::new(naive()).await;
    let report = run(&plan(&tcc_step(), &served.url)).await;
    assert_eq!(names(&those(&report, Verdict::Fail)), Point::ALL[1..], "{}", show(&report));
}

#[tokio::test]
async fn answers_alone_betray_what_they_can() {
    let served = Served::new(naive()).await;
    let mut plan = plan(&saga_step(), &served.url);
    plan.effects.clear();
    let report = run(&plan).await;
    let failed = names(&those(&report, Verdict::Fail));
    for point in [Point::RepeatedCall, Point::CallAfterUndo, Point::LateRepetition] {
        assert!(failed.contains(&point), "{point:?} of {failed:?}");
    }
    assert!(those(&report, Verdict::Pass).is_empty(), "nothing passes unseen");
    let unseen = names(&those(&report, Verdict::AnswersOnly));
    assert!(unseen.contains(&Point::UndoWithoutCall), "{unseen:?}");
}

#[tokio::test]
async fn what_does_not_work_at_all_is_not_judged() {
    let served = Served::new(naive()).await;
    let mut lines = saga_step();
    lines.action = Some("POST /nothing-here".to_owned());
    let report = run(&plan(&lines, &served.url)).await;
    assert_eq!(names(&those(&report, Verdict::Fail)), [Point::Works]);
    assert_eq!(those(&report, Verdict::Unknown).len(), 13);
}

#[tokio::test]
async fn an_undo_that_undoes_nothing_is_found_first() {
    let served = Served::new(naive().route("/shrug", post(async || "done"))).await;
    let mut lines = saga_step();
    lines.compensation = Some("POST /shrug".to_owned());
    let report = run(&plan(&lines, &served.url)).await;
    let failed = those(&report, Verdict::Fail);
    assert_eq!(failed[0].point, Point::Works);
    assert_eq!(failed[0].why.as_deref(), Some("effect once instead of none"));
}

#[tokio::test]
async fn a_number_that_does_not_move_is_said_to_be_the_wrong_one() {
    let served = Served::new(naive().route("/still", get(async || Json(5)))).await;
    let mut plan = plan(&saga_step(), &served.url);
    plan.effects.insert("step".to_owned(), EffectSource::parse("/still").unwrap());
    let report = run(&plan).await;
    assert_eq!(names(&those(&report, Verdict::Unknown)), [Point::Works]);
    assert!(!report.passed);
}

#[tokio::test]
async fn what_is_left_behind_is_told() {
    let served = Served::new(naive()).await;
    let mut lines = saga_step();
    lines.compensation = None;
    let mut plan = plan(&lines, &served.url);
    let report = run(&plan).await;
    assert_eq!(those(&report, Verdict::Skipped).len(), Point::ALL.len(), "not without being asked");

    plan.keep_effects = true;
    let report = run(&plan).await;
    assert!(names(&those(&report, Verdict::Fail)).contains(&Point::RepeatedCall));
    assert!(report.left_behind[0].contains("conform-test-0-1 (step)"), "{:?}", report.left_behind);
}
