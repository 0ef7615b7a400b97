//! What the engine counts, for Prometheus. Labels are bounded: never an id, a key or a URL.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use amends_core::saga::{JournalFormat, Op, OutcomeKind, Status};
use parking_lot::{Mutex, RwLock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Most definitions and participants together, and most routes, that get a label value of their own;
/// the rest is `other`.
const NAMES_MAX: usize = 200;

/// Upper bounds of latency buckets, in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// Upper bounds of batch sizes.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 2048.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Finished {
    definition: Arc<str>,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    participant: Arc<str>,
    op: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Target {
    participant: Arc<str>,
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: Arc<str>,
    method: &'static str,
    status: u16,
}

/// Names that have a label value, each kept once.
#[derive(Debug, Default)]
struct Names(Mutex<HashSet<Arc<str>>>);

impl Names {
    /// `name` itself while there are few, `other` after that.
    fn get(&self, name: &str) -> Arc<str> {
        let mut names = self.0.lock();
        if let Some(known) = names.get(name) {
            return Arc::clone(known);
        }
        if names.len() >= NAMES_MAX {
            return "other".into();
        }
        let new: Arc<str> = name.into();
        names.insert(Arc::clone(&new));
        new
    }
}

/// All metrics of a coordinator.
pub struct Metrics {
    registry: RwLock<Registry>,
    names: Names,
    routes: Names,
    submitted: Counter,
    rejected: Family<Reason, Counter>,
    finished: Family<Finished, Counter>,
    saga_seconds: Family<Ended, Histogram>,
    attempts: Family<Attempt, Counter>,
    call_seconds: Family<Target, Histogram>,
    suspended: Counter,
    live: Gauge,
    live_bytes: Gauge,
    partitions: Gauge,
    journal_format: Gauge,
    guards: Gauge,
    fenced: Counter,
    unknown_commits: Counter,
    commits: Counter,
    commit_seconds: Histogram,
    batch_sagas: Histogram,
    rows: Counter,
    bytes: Counter,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: RwLock::new(Registry::with_prefix("amends")),
            names: Names::default(),
            routes: Names::default(),
            submitted: Counter::default(),
            rejected: Family::default(),
            finished: Family::default(),
            saga_seconds: Family::new_with_constructor(seconds),
            attempts: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            suspended: Counter::default(),
            live: Gauge::default(),
            live_bytes: Gauge::default(),
            partitions: Gauge::default(),
            journal_format: Gauge::default(),
            guards: Gauge::default(),
            fenced: Counter::default(),
            unknown_commits: Counter::default(),
            commits: Counter::default(),
            commit_seconds: seconds(),
            batch_sagas: Histogram::new(SIZES),
            rows: Counter::default(),
            bytes: Counter::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = self.registry.get_mut();
        r.register("saga_submitted", "Sagas accepted", self.submitted.clone());
        r.register("saga_submit_rejected", "Submissions not accepted", self.rejected.clone());
        r.register("saga_finished", "Sagas ended", self.finished.clone());
        r.register("saga_suspended", "Times a saga needed an operator", self.suspended.clone());
        r.register("saga_live", "Sagas in memory", self.live.clone());
        let help = "Memory that they take, about";
        r.register_with_unit("saga_live", help, Unit::Bytes, self.live_bytes.clone());
        r.register("step_attempts", "Attempts of calls", self.attempts.clone());
        r.register("partitions_owned", "Partitions owned", self.partitions.clone());
        r.register("journal_format", "Journal format in force", self.journal_format.clone());
        r.register("lock_guards_held", "Guards of lock keys kept alive", self.guards.clone());
        r.register("store_writes_fenced", "Batches refused as stale", self.fenced.clone());
        r.register(
            "store_commits_unknown",
            "Lost answers to commits",
            self.unknown_commits.clone(),
        );
        r.register("store_commits", "Batches written", self.commits.clone());
        r.register("store_rows", "Rows that batches wrote", self.rows.clone());
        r.register_with_unit("store_facts", "Facts written", Unit::Bytes, self.bytes.clone());
        r.register("store_batch_sagas", "Sagas a batch", self.batch_sagas.clone());
        r.register("http_server_requests", "Requests answered", self.requests.clone());
        let (sagas, requests) = (self.saga_seconds.clone(), self.request_seconds.clone());
        let help = "Acceptance to end, by status";
        r.register_with_unit("saga_duration", help, Unit::Seconds, sagas);
        let help = "Requests, by route";
        r.register_with_unit("http_server_request_duration", help, Unit::Seconds, requests);
        let (calls, commits) = (self.call_seconds.clone(), self.commit_seconds.clone());
        r.register_with_unit("step_duration", "Attempts of calls", Unit::Seconds, calls);
        r.register_with_unit("store_commit_duration", "Batches", Unit::Seconds, commits);
    }

    /// The text that Prometheus reads (OpenMetrics).
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut out, &self.registry.read());
        out
    }

    /// Shows what an adapter counts too, from now on.
    pub fn add(&self, collector: impl Collector) {
        self.registry.write().register_collector(Box::new(collector));
    }

    /// Counts one answered request. `route` is the template, not the path.
    pub fn http(&self, route: &str, method: &'static str, status: u16, seconds: f64) {
        let labels = Request { route: self.routes.get(route), method, status };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&Route { route: labels.route }).observe(seconds);
    }

    pub(crate) fn accepted(&self) {
        self.submitted.inc();
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn ended(&self, definition: &str, status: Status, seconds: f64) {
        let (definition, status) = (self.names.get(definition), status.as_str());
        self.finished.get_or_create(&Finished { definition, status }).inc();
        self.saga_seconds.get_or_create(&Ended { status }).observe(seconds);
    }

    pub(crate) fn suspended(&self) {
        self.suspended.inc();
    }

    pub(crate) fn attempt(&self, participant: &str, op: Op, outcome: OutcomeKind, seconds: f64) {
        let (participant, op) = (self.names.get(participant), op.as_str());
        let labels = Attempt { participant, op, outcome: outcome.as_str() };
        self.attempts.get_or_create(&labels).inc();
        let Attempt { participant, op, .. } = labels;
        self.call_seconds.get_or_create(&Target { participant, op }).observe(seconds);
    }

    pub(crate) fn in_memory(&self, sagas: usize, bytes: usize, guards: usize) {
        self.live.set(i64::try_from(sagas).unwrap_or(i64::MAX));
        self.live_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.guards.set(i64::try_from(guards).unwrap_or(i64::MAX));
    }

    pub(crate) fn journal_format(&self, in_force: JournalFormat) {
        self.journal_format.set(i64::from(in_force.0));
    }

    pub(crate) fn partitions(&self, owned: usize) {
        self.partitions.set(i64::try_from(owned).unwrap_or(i64::MAX));
    }

    pub(crate) fn fenced(&self) {
        self.fenced.inc();
    }

    pub(crate) fn unknown_commit(&self) {
        self.unknown_commits.inc();
    }

    pub(crate) fn committed(&self, sagas: usize, rows: usize, bytes: usize, seconds: f64) {
        self.commits.inc();
        self.rows.inc_by(rows as u64);
        self.bytes.inc_by(bytes as u64);
        #[expect(clippy::cast_precision_loss, reason = "a batch has few sagas")]
        self.batch_sagas.observe(sagas as f64);
        self.commit_seconds.observe(seconds);
    }
}
