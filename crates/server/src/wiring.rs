//! The wiring: makes every adapter, hands them to the engine, and mounts the front doors.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amends_api::ApiConfig;
use amends_engine::{Engine, EngineConfig, NoTracing, Ports, Tracing};
use amends_participants::{Config as CallConfig, HttpParticipants};
use amends_ports::{Clock, Locks, Store, SystemClock, SystemIds};
use amends_store::postgres::{PostgresOptions, PostgresStore};
use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};

use crate::config::{Settings, masked};
use crate::failure::Failure;
use crate::http_server::HttpServer;
use crate::lock_service::LockService;
use crate::telemetry::W3cContext;

/// Longest wait for answers under way when the engine has drained.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// What a drain may take beyond the wait for calls in flight: writing, and signing off.
const SIGN_OFF: Duration = Duration::from_secs(5);

/// A running coordinator of this process.
#[derive(Debug)]
pub(crate) struct Coordinator {
    address: SocketAddr,
    engine: Engine,
    locks: Option<LockService>,
    http: HttpServer,
    drain_timeout: Duration,
    _writer: WriterRuntime,
}

/// Runs the engine's journal writer on a thread of its own.
#[derive(Debug)]
struct WriterRuntime(Option<Runtime>);

impl WriterRuntime {
    fn start() -> Result<Self, Failure> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("journal-writer").enable_all();
        builder.build().map(|runtime| Self(Some(runtime))).map_err(Failure::Runtime)
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |own| own.handle().clone())
    }
}

impl Drop for WriterRuntime {
    fn drop(&mut self) {
        // Another runtime's task must not wait for its threads.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Coordinator {
    /// Opens the store, starts the engine and listens.
    ///
    /// # Errors
    ///
    /// [`Failure::Server`]; nothing is left running.
    pub(crate) async fn start(settings: &Settings) -> Result<Self, Failure> {
        // The address is taken first: participants are told it, and a port that is taken is the
        // likeliest fault.
        let listener = listen(settings.server.listen).await?;
        let address = listener.local_addr().map_err(Failure::Runtime)?;
        let public_url = settings.public_url(address);
        // Without a collector nothing records spans, and there is nothing to connect.
        let tracing: Arc<dyn Tracing> = if settings.telemetry.otlp_endpoint.is_empty() {
            Arc::new(NoTracing)
        } else {
            Arc::new(W3cContext)
        };

        let locks = LockService::start(&settings.locks).await?;
        let port = locks.as_ref().map(LockService::port);
        let writer = WriterRuntime::start()?;
        let ports = ports(settings, port, Arc::clone(&tracing)).await?;
        let config = engine_config(settings, &public_url);
        let engine = Engine::start_with_writer_on(&writer.handle(), ports, config).await;
        let engine = engine.map_err(|error| Failure::Server(whole(&error)))?;
        if let Some(locks) = &locks {
            locks.export(engine.metrics());
        }
        let router = router(settings, &public_url, &engine, tracing);
        let http = HttpServer::start(listener, router, settings.server.connections_max);
        tracing::info!(%address, public_url, "the coordinator is up");
        if !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "whoever reaches this address may start and command sagas: there is no sign-in \
                 yet, so let only your own network reach it"
            );
        }
        let drain_timeout = settings.server.drain_timeout;
        Ok(Self { address, engine, locks, http, drain_timeout, _writer: writer })
    }

    /// The address that was bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new sagas, hears out what is in flight up to `server.drain-timeout`, hands its
    /// partitions on, and stops listening. Bounded.
    pub(crate) async fn drain(self) {
        let at_most = self.drain_timeout + SIGN_OFF;
        if tokio::time::timeout(at_most, self.engine.drain()).await.is_err() {
            tracing::warn!("the drain took too long and was cut; the leases will run out");
        }
        self.http.stop(LAST_ANSWERS).await;
        if let Some(locks) = self.locks {
            locks.close().await;
        }
        tracing::info!("the coordinator has stopped");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Server(format!(
            "cannot listen on {address}: {error}\n  \
             hint: choose another address with --listen; port 0 takes a free one"
        ))
    })
}

async fn ports(
    settings: &Settings,
    locks: Option<Arc<dyn Locks>>,
    tracing: Arc<dyn Tracing>,
) -> Result<Ports, Failure> {
    let store = store(settings).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let calls = CallConfig { targets: settings.target_policy(), ..CallConfig::default() };
    let participants = Arc::new(HttpParticipants::new(calls, Arc::clone(&clock)));
    Ok(Ports { store, locks, participants, clock, ids: Arc::new(SystemIds), tracing })
}

async fn store(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let database = &settings.database;
    let opened = if let Some(file) = database.url.strip_prefix("sqlite:") {
        make_folder(Path::new(file.trim_start_matches("//")))?;
        amends_store::open(&database.url, database.partitions).await
    } else {
        let options = PostgresOptions {
            partitions: database.partitions,
            connections_max: database.connections_max,
            list_connections_max: database.list_connections_max,
            connect_timeout: database.connect_timeout,
            acquire_timeout: database.connect_timeout,
            ..PostgresOptions::default()
        };
        PostgresStore::connect(&database.url, options).await.map(|store| Arc::new(store) as _)
    };
    opened.map_err(|error| {
        Failure::Server(format!("database {}: {}", masked(&database.url), whole(&error)))
    })
}

/// Makes the folder of an embedded database, open to its owner only: sagas hold business data.
fn make_folder(file: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| {
                Failure::Server(format!("cannot make the folder {}: {error}", folder.display()))
            })
        }
        Some(_) | None => Ok(()),
    }
}

fn engine_config(settings: &Settings, public_url: &str) -> EngineConfig {
    let engine = &settings.engine;
    EngineConfig {
        lease_ttl: engine.lease_ttl,
        live_sagas_max: engine.live_sagas_max,
        live_bytes_max: engine.live_bytes_max,
        journal_queue_max: engine.journal_queue_max,
        batch_sagas_max: engine.batch_sagas_max,
        batch_bytes_max: engine.batch_bytes_max,
        poll_every: engine.poll_every,
        park_after: engine.park_after,
        drain_timeout: settings.server.drain_timeout,
        command_timeout: engine.command_timeout,
        submit_timeout: engine.submit_timeout,
        retention: Some(engine.retention).filter(|retention| !retention.is_zero()),
        public_url: public_url.to_owned(),
    }
}

/// The API at `/v1` and beside it, the console at `/` and `/console`.
fn router(
    settings: &Settings,
    public_url: &str,
    engine: &Engine,
    tracing: Arc<dyn Tracing>,
) -> Router {
    let config = ApiConfig {
        public_url: public_url.to_owned(),
        host_names: host_names(settings, public_url),
        body_bytes_max: settings.server.body_bytes_max,
        request_timeout: settings.server.request_timeout,
        requests_max: settings.server.requests_max,
        sse_clients_max: settings.server.sse_clients_max,
        targets: settings.target_policy(),
        tracing,
        ..ApiConfig::default()
    };
    let pages = amends_console::router(engine.clone());
    amends_api::router_with_pages(engine.clone(), config, pages)
}

/// The names of this server, where only its own machine can reach it. Elsewhere it has names that
/// nobody has told it.
fn host_names(settings: &Settings, public_url: &str) -> Option<Vec<String>> {
    let public = url::Url::parse(public_url).ok();
    let name = public.and_then(|url| url.host_str().map(str::to_ascii_lowercase));
    settings.server.listen.ip().is_loopback().then(|| name.into_iter().collect())
}

/// An error with all its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
