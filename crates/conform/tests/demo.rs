//! The demo's three participants pass every point that applies to them.

#![allow(clippy::unwrap_used, reason = "test code")]

mod served;

use std::collections::BTreeMap;

use amends_conform::{EffectSource, Plan, Point, Report, Verdict};
use amends_core::Json;
use amends_core::definition::Format;
use amends_demo::PLACE_ORDER;
use amends_demo::participants::{inventory, orders, payment};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use served::{Served, limits, names, run, those};
use sqlx::SqlitePool;
use tempfile::TempDir;

/// The three, each with an address and a number that shows its effect.
struct Shop {
    served: BTreeMap<&'static str, Served>,
    _dir: TempDir,
}

impl Shop {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let stock = inventory::open(&path("inventory")).await.unwrap();
        let accounts = payment::open(&path("payment")).await.unwrap();
        let book = orders::open(&path("orders")).await.unwrap();
        for (db, rows) in [
            (&stock, "INSERT INTO stock (sku, on_shelf) VALUES ('tea', 1000)"),
            (&accounts, "INSERT INTO account (user, balance, held) VALUES ('ada', 100000, 0)"),
        ] {
            sqlx::raw_sql(rows).execute(db).await.unwrap();
        }
        let services = [
            (
                "inventory",
                with_number(inventory::router(stock.clone()), stock, "SELECT on_shelf FROM stock"),
            ),
            (
                "payment",
                with_number(
                    payment::router(accounts.clone()),
                    accounts,
                    "SELECT balance FROM account",
                ),
            ),
            (
                "orders",
                with_number(
                    orders::router(book.clone()),
                    book,
                    "SELECT count(*) FROM customer_order",
                ),
            ),
        ];
        let mut served = BTreeMap::new();
        for (name, router) in services {
            served.insert(name, Served::new(router).await);
        }
        Self { served, _dir: dir }
    }

    fn plan(&self) -> Plan {
        let definition = Plan::read_definition(PLACE_ORDER, Format::Yaml).unwrap();
        let mut plan = Plan::new(definition);
        let input = r#"{"user": "ada", "sku": "tea", "qty": 2, "amount": 250}"#;
        plan.input = Json::parse(input).unwrap();
        for (name, served) in &self.served {
            plan.add_participant(name, &served.url).unwrap();
        }
        for step in ["reserve", "charge", "create"] {
            plan.effects.insert(step.to_owned(), EffectSource::parse("/number").unwrap());
        }
        plan.limits = limits();
        plan
    }
}

fn with_number(router: Router, db: SqlitePool, query: &'static str) -> Router {
    let number = async move |State(db): State<SqlitePool>| {
        let number: i64 = sqlx::query_scalar(query).fetch_one(&db).await.unwrap();
        number.to_string()
    };
    router.merge(Router::new().route("/number", get(number)).with_state(db))
}

fn show(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap()
}

#[tokio::test]
async fn the_participants_of_the_demo_pass() {
    let shop = Shop::open().await;
    let report = run(&shop.plan()).await;
    assert!(report.passed, "{}", show(&report));
    assert_eq!(report.operations.len(), 3);
    for operation in &report.operations {
        let passed = operation.points.iter().filter(|point| point.verdict == Verdict::Pass).count();
        // All but the signature, which the demo does not ask for; confirms on the TCC step alone.
        let expected = if operation.step == "charge" { 16 } else { 13 };
        assert_eq!(passed, expected, "{}", show(&report));
    }
    // Two confirms can't be undone, and are told; everything else is as it was.
    assert_eq!(report.left_behind.len(), 2, "{:?}", report.left_behind);
    assert!(report.left_behind.iter().all(|saga| saga.contains("(charge): confirmed")));
}

#[tokio::test]
async fn a_second_run_finds_tokens_that_are_high_enough() {
    let shop = Shop::open().await;
    let mut plan = shop.plan();
    plan.steps = vec!["reserve".to_owned()];
    let sandbox =
        |name: &str| amends_conform::Sandbox::new(name.to_owned(), || amends_core::Timestamp(0));
    for name in ["conform-a", "conform-b"] {
        let report = amends_conform::probe(&plan, &sandbox(name), |_, _| ()).await.unwrap();
        assert!(
            names(&those(&report, Verdict::Pass)).contains(&Point::Fencing),
            "{}",
            show(&report)
        );
    }
}
