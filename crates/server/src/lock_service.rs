//! The lock service of this process: Redlock by the settings, what is said of its masters in the
//! log, and its counters in the metrics.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amends_engine::Metrics;
use amends_locks::{Config, Error, Redlock, Tls};
use amends_ports::{Locks, LocksHealth};
use futures_util::FutureExt as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config;
use crate::failure::Failure;

/// Time between two looks at the masters, for the log.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Redlock, watched.
#[derive(Debug)]
pub(crate) struct LockService {
    redlock: Arc<Redlock>,
    _watching: DropGuard,
}

impl LockService {
    /// The lock service that the settings name, if they name one. Masters that cannot be reached
    /// are no failure: sagas with lock keys wait for them.
    ///
    /// # Errors
    ///
    /// Settings that cannot be, among them two URLs of one master.
    pub(crate) async fn start(settings: &config::Locks) -> Result<Option<Self>, Failure> {
        if settings.redis.is_empty() {
            return Ok(None);
        }
        let redlock = Redlock::new(&config(settings)?).map_err(|error| wrong(&error))?;
        let redlock = Arc::new(redlock);
        redlock.contact().await.map_err(|error| wrong(&error))?;
        let stop = CancellationToken::new();
        let mut log = MasterLog::default();
        log.first(&redlock.health().await);
        let watching = watch(Arc::clone(&redlock), log);
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(watching));
        Ok(Some(Self { redlock, _watching: stop.drop_guard() }))
    }

    /// For the engine.
    pub(crate) fn port(&self) -> Arc<dyn Locks> {
        Arc::clone(&self.redlock) as _
    }

    /// Shows its counters among the engine's.
    pub(crate) fn export(&self, metrics: &Metrics) {
        metrics.add(Exported(Arc::clone(&self.redlock)));
    }

    /// Ends the connections.
    pub(crate) async fn close(self) {
        self.redlock.close().await;
    }
}

fn config(settings: &config::Locks) -> Result<Config, Failure> {
    let cert = pem(&settings.tls_cert_file)?.zip(pem(&settings.tls_key_file)?);
    let ca_pem = pem(&settings.tls_ca_file)?.unwrap_or_default();
    Ok(Config {
        urls: settings.redis.clone(),
        ttl: settings.ttl,
        node_timeout: settings.node_timeout,
        connect_timeout: settings.connect_timeout,
        prefix: settings.prefix.clone(),
        tls: Tls { ca_pem, client_pem: cert, ..Tls::default() },
    })
}

fn pem(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    fs::read(path).map(Some).map_err(|source| Failure::File { path: path.to_owned(), source })
}

/// With the key that is at fault, as for all settings.
fn wrong(error: &Error) -> Failure {
    let key = match error {
        Error::Ttl(_) => "locks.ttl",
        Error::NodeTimeout { .. } => "locks.node-timeout",
        Error::ConnectTimeout(_) => "locks.connect-timeout",
        Error::Prefix => "locks.prefix",
        Error::Tls(_) => "locks.tls-ca-file",
        Error::NoMasters | Error::Url { .. } | Error::SameMaster { .. } | _ => "locks.redis",
    };
    Failure::Usage(format!("`{key}`: {error}"))
}

async fn watch(redlock: Arc<Redlock>, mut log: MasterLog) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        log.news(&redlock.health().await);
    }
}

/// What the log has said of the masters: only news is said.
#[derive(Debug, Default)]
struct MasterLog {
    quorum: bool,
    /// By address: whether its votes count, and whether something is odd about it.
    masters: BTreeMap<String, (bool, bool)>,
}

impl MasterLog {
    /// One line at the start, if not all is well.
    fn first(&mut self, health: &LocksHealth) {
        let (trusted, all) = self.note(health);
        if trusted == all && odd(health).is_empty() {
            tracing::info!(masters = all, "Redis guards lock keys");
            return;
        }
        let detail = odd(health).join("; ");
        if health.quorum {
            tracing::warn!(
                trusted,
                masters = all,
                detail,
                "not every Redis master can be relied on"
            );
        } else {
            tracing::warn!(
                trusted,
                masters = all,
                detail,
                "Redis has no quorum: sagas with lock keys wait until it has; all others run"
            );
        }
    }

    fn news(&mut self, health: &LocksHealth) {
        let before = self.quorum;
        for master in &health.masters {
            let now = (master.trusted, master.detail.is_some());
            if self.masters.get(&master.address) == Some(&now) {
                continue;
            }
            let detail = master.detail.as_deref().unwrap_or_default();
            match now {
                (true, false) => tracing::info!(master = master.address, "a Redis master votes"),
                (true, true) => {
                    tracing::warn!(master = master.address, detail, "a Redis master is odd");
                }
                (false, _) => {
                    tracing::warn!(master = master.address, detail, "a Redis master has no vote");
                }
            }
        }
        let (trusted, all) = self.note(health);
        match (before, health.quorum) {
            (true, false) => tracing::warn!(
                trusted,
                masters = all,
                "Redis has lost its quorum: sagas with lock keys start no forward call until it \
                 is back; undoing and all other sagas go on"
            ),
            (false, true) => tracing::info!(trusted, masters = all, "Redis has a quorum"),
            (true, true) | (false, false) => {}
        }
    }

    fn note(&mut self, health: &LocksHealth) -> (usize, usize) {
        self.quorum = health.quorum;
        let masters = health.masters.iter();
        self.masters = masters
            .map(|master| (master.address.clone(), (master.trusted, master.detail.is_some())))
            .collect();
        (trusted(health), health.masters.len())
    }
}

/// What there is to say of each master.
fn odd(health: &LocksHealth) -> Vec<String> {
    let masters = health.masters.iter();
    masters
        .filter_map(|master| Some(format!("{} {}", master.address, master.detail.as_ref()?)))
        .collect()
}

fn trusted(health: &LocksHealth) -> usize {
    health.masters.iter().filter(|master| master.trusted).count()
}

/// The counters of a lock service, for Prometheus.
#[derive(Debug)]
struct Exported(Arc<Redlock>);

impl Collector for Exported {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = self.0.counts();
        let outcomes = ConstCounter::new(0_u64);
        let about = "What became of guards: set, found taken, without quorum, gone, extended";
        let kind = outcomes.metric_type();
        let mut family = encoder.encode_descriptor("lock_guards", about, None, kind)?;
        for (outcome, count) in [
            ("acquired", counts.acquired),
            ("busy", counts.busy),
            ("no_quorum", counts.no_quorum),
            ("lost", counts.lost),
            ("extended", counts.extended),
        ] {
            let labels = [("outcome", outcome)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let seconds = ConstCounter::new(counts.seconds);
        let about = "Time that setting guards took, together";
        let kind = seconds.metric_type();
        let unit = Some(&Unit::Seconds);
        seconds.encode(encoder.encode_descriptor("lock_acquire", about, unit, kind)?)?;
        // It only looks at what is known, and so is there at once.
        let Some(health) = self.0.health().now_or_never() else { return Ok(()) };
        for (name, about, value) in [
            ("lock_masters", "Redis masters", health.masters.len()),
            ("lock_masters_trusted", "Redis masters whose votes count", trusted(&health)),
            ("lock_quorum", "1 while a majority of the masters can vote", health.quorum.into()),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, about, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
