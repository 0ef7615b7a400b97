//! The barrier's cases, for each participant alike, and what each one's work comes to.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::SqlitePool;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::{Kind, Trouble, Troubles, inventory, orders, payment};

/// One participant with something to sell, something to spend, and its database at hand.
struct Desk {
    kind: Kind,
    service: Router,
    db: SqlitePool,
    dir: TempDir,
}

impl Desk {
    async fn open(kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.db");
        let (db, service) = match kind {
            Kind::Inventory => {
                let db = inventory::open(&path).await.unwrap();
                let stock = "INSERT INTO stock (sku, on_shelf) VALUES ('tea', 5)";
                sqlx::raw_sql(stock).execute(&db).await.unwrap();
                (db.clone(), inventory::router(db))
            }
            Kind::Payment => {
                let db = payment::open(&path).await.unwrap();
                let account = "INSERT INTO account (user, balance, held) VALUES ('ada', 500, 0)";
                sqlx::raw_sql(account).execute(&db).await.unwrap();
                (db.clone(), payment::router(db))
            }
            Kind::Orders => {
                let db = orders::open(&path).await.unwrap();
                (db.clone(), orders::router(db))
            }
        };
        Self { kind, service, db, dir }
    }

    async fn call(&self, op: &str, saga: &str, token: Option<u32>) -> (u16, Value) {
        let mut request = self.request(op, saga);
        if let Some(token) = token {
            request.headers_mut().insert("saga-fencing-token", token.into());
            request.headers_mut().insert("saga-lock-keys", "\"user:ada\"".parse().unwrap());
        }
        answer_of(self.service.clone(), request).await
    }

    fn forward(&self) -> &'static str {
        if self.kind == Kind::Payment { "try" } else { "action" }
    }

    fn undo(&self) -> &'static str {
        if self.kind == Kind::Payment { "cancel" } else { "compensation" }
    }

    fn request(&self, op: &str, saga: &str) -> Request<Body> {
        let (method, path) = match (self.kind, op) {
            (Kind::Inventory, "action") => ("POST", "/reservations".to_owned()),
            (Kind::Inventory, _) => ("POST", format!("/reservations/{saga}/release")),
            (Kind::Payment, "try") => ("POST", "/holds".to_owned()),
            (Kind::Payment, "confirm") => ("POST", format!("/holds/{saga}/capture")),
            (Kind::Payment, _) => ("POST", format!("/holds/{saga}/void")),
            (Kind::Orders, "action") => ("POST", "/orders".to_owned()),
            (Kind::Orders, _) => ("DELETE", format!("/orders/{saga}")),
        };
        let body =
            json!({ "user": "ada", "sku": "tea", "qty": 2, "amount": 200, "hold": "hold-1" });
        Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("saga-id", saga)
            .header("saga-step", "step")
            .header("saga-operation", op)
            .header("saga-attempt", "1")
            .body(Body::from(body.to_string()))
            .unwrap()
    }

    /// How much of what it has is taken: units, cents (held, or gone), or orders.
    async fn taken(&self) -> i64 {
        let count = match self.kind {
            Kind::Inventory => "SELECT 5 - on_shelf FROM stock",
            Kind::Payment => "SELECT 500 - balance FROM account",
            Kind::Orders => "SELECT count(*) FROM customer_order",
        };
        sqlx::query_scalar(count).fetch_one(&self.db).await.unwrap()
    }

    /// How much one forward call takes.
    fn once(&self) -> i64 {
        match self.kind {
            Kind::Inventory => 2,
            Kind::Payment => 200,
            Kind::Orders => 1,
        }
    }
}

async fn answer_of(service: Router, request: Request<Body>) -> (u16, Value) {
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_repeated_call_is_answered_as_the_first_time_and_done_once() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        let first = desk.call(desk.forward(), "s", None).await;
        assert_eq!(first.0, 201, "{kind:?}");
        assert_eq!(desk.call(desk.forward(), "s", None).await, first);
        assert_eq!(desk.taken().await, desk.once(), "{kind:?}");

        let undone = desk.call(desk.undo(), "s", None).await;
        assert_eq!(undone.0, 200, "{kind:?}");
        assert_eq!(desk.call(desk.undo(), "s", None).await, undone);
        assert_eq!(desk.taken().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_forward_call_after_its_undo_does_nothing() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        desk.call(desk.forward(), "s", None).await;
        desk.call(desk.undo(), "s", None).await;
        desk.call(desk.forward(), "s", None).await;
        assert_eq!(desk.taken().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn an_undo_without_its_call_succeeds_and_the_late_call_is_refused() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        let empty = desk.call(desk.undo(), "s", None).await;
        assert_eq!(empty, (200, json!({ "nothing_to_undo": true })), "{kind:?}");
        assert_eq!(desk.call(desk.undo(), "s", None).await, empty, "{kind:?}");

        let late = desk.call(desk.forward(), "s", None).await;
        assert_eq!((late.0, &late.1["code"]), (409, &json!("undone-before")), "{kind:?}");
        assert_eq!(desk.taken().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn of_many_at_once_one_takes_effect() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        let calls = (0..8).map(|_| desk.call(desk.forward(), "s", None));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 201), "{kind:?}");
        assert_eq!(desk.taken().await, desk.once(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_call_and_its_undo_at_once_leave_nothing() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        for saga in ["a", "b", "c", "d"] {
            let forward = desk.call(desk.forward(), saga, None);
            let undo = desk.call(desk.undo(), saga, None);
            let (_, undo) = tokio::join!(forward, undo);
            assert_eq!(undo.0, 200, "{kind:?}");
        }
        assert_eq!(desk.taken().await, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_token_lower_than_one_seen_is_refused_without_a_trace() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        assert_eq!(desk.call(desk.forward(), "new", Some(7)).await.0, 201, "{kind:?}");
        let stale = desk.call(desk.forward(), "old", Some(6)).await;
        assert_eq!((stale.0, &stale.1["code"]), (409, &json!("stale-fencing-token")), "{kind:?}");
        assert_eq!(desk.taken().await, desk.once(), "{kind:?}");

        assert_eq!(desk.call(desk.forward(), "old", Some(8)).await.0, 201, "granted again");
        assert_eq!(desk.call(desk.undo(), "new", Some(7)).await.0, 409, "{kind:?}");
        let repeated = desk.call(desk.forward(), "new", Some(7)).await;
        assert_eq!(repeated.0, 201, "a repetition has no effect, whatever its token");
    }
}

#[tokio::test]
async fn a_call_without_the_headers_is_told_so() {
    for kind in Kind::ALL {
        let desk = Desk::open(kind).await;
        let mut request = desk.request(desk.forward(), "s");
        request.headers_mut().remove("saga-operation");
        let (status, problem) = answer_of(desk.service.clone(), request).await;
        assert_eq!((status, &problem["code"]), (400, &json!("bad-header")), "{kind:?}");
    }
}

#[tokio::test]
async fn an_empty_shelf_refuses_for_good() {
    let desk = Desk::open(Kind::Inventory).await;
    desk.call("action", "a", None).await;
    desk.call("action", "b", None).await;
    let refused = desk.call("action", "c", None).await;
    assert_eq!((refused.0, &refused.1["code"]), (409, &json!("empty-shelf")));

    desk.call("compensation", "a", None).await;
    assert_eq!(desk.call("action", "c", None).await, refused, "the same call, the same answer");
    let undone = desk.call("compensation", "c", None).await;
    assert_eq!(undone, (200, json!({ "nothing_to_undo": true })));
    assert_eq!(desk.taken().await, 2);
}

#[tokio::test]
async fn a_hold_is_captured_once_or_voided() {
    let desk = Desk::open(Kind::Payment).await;
    let of = |op: &'static str, saga: &'static str| desk.call(op, saga, None);
    assert_eq!(of("confirm", "a").await.0, 409, "nothing is held yet");
    assert_eq!(of("try", "a").await.0, 201);
    assert_eq!(of("try", "b").await.0, 201);
    let declined = of("try", "c").await;
    assert_eq!((declined.0, &declined.1["code"]), (422, &json!("card-declined")));

    let captured = of("confirm", "a").await;
    assert_eq!(captured, (200, json!({ "captured": 200 })), "an early no was not for good");
    assert_eq!(of("confirm", "a").await, captured);
    assert_eq!(of("cancel", "a").await.0, 409, "what is captured can't be voided");
    assert_eq!(of("cancel", "b").await, (200, json!({ "voided": 200 })));
    assert_eq!(of("confirm", "b").await.0, 409, "what is voided can't be captured");
    let account = "SELECT balance, held FROM account";
    let account: (i64, i64) = sqlx::query_as(account).fetch_one(&desk.db).await.unwrap();
    assert_eq!(account, (300, 0));
}

#[tokio::test]
async fn troubles_meet_the_named_call_and_no_other() {
    let mut desk = Desk::open(Kind::Inventory).await;
    let troubles = [
        ("a/action".to_owned(), Trouble::FailsFirst(1)),
        ("b/action".to_owned(), Trouble::AnswersLateByMs(60_000)),
    ];
    let troubles = Troubles(troubles.into());
    let path = desk.dir.path().join("troubles.json");
    troubles.write(&path).unwrap();
    desk.service = Troubles::read(&path).unwrap().in_front_of(desk.service);

    assert_eq!(desk.call("action", "a", None).await.0, 500);
    assert_eq!(desk.taken().await, 0, "a failure does nothing");
    let mut second = desk.request("action", "a");
    second.headers_mut().insert("saga-attempt", 2.into());
    assert_eq!(answer_of(desk.service.clone(), second).await.0, 201);

    tokio::select! {
        biased;
        _ = desk.call("action", "b", None) => panic!("the answer came in time"),
        () = until(async || desk.taken().await == 4) => {}
    }
}

/// Resolves when `holds` does.
async fn until(holds: impl AsyncFn() -> bool) {
    while !holds().await {
        tokio::task::yield_now().await;
    }
}
