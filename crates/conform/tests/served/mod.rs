//! A service on a free port for as long as a test wants it, and a run of the probe against it.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_conform::{Limits, Plan, Point, PointReport, Report, Sandbox, Verdict, probe};
use amends_core::Timestamp;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves `router` until it is dropped.
pub(crate) struct Served {
    pub(crate) url: String,
    _tasks: JoinSet<()>,
}

impl Served {
    pub(crate) async fn new(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, _tasks: tasks }
    }
}

pub(crate) fn limits() -> Limits {
    Limits { timeout: Duration::from_secs(20), settle: Duration::from_millis(150) }
}

/// A run at a fixed moment; nothing that is served here looks at the clock but for signatures.
pub(crate) async fn run(plan: &Plan) -> Report {
    let sandbox = Sandbox::new("conform-test".to_owned(), || Timestamp(NOW_S * 1_000_000));
    probe(plan, &sandbox, |_, _| ()).await.unwrap()
}

pub(crate) const NOW_S: i64 = 1_800_000_000;

/// The points of `report` that came to `verdict`.
pub(crate) fn those(report: &Report, verdict: Verdict) -> Vec<&PointReport> {
    let points = report.operations.iter().flat_map(|operation| &operation.points);
    points.filter(|point| point.verdict == verdict).collect()
}

pub(crate) fn names(points: &[&PointReport]) -> Vec<Point> {
    points.iter().map(|point| point.point).collect()
}
