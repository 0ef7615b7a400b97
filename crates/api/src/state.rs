//! What every handler shares.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amends_engine::Engine;
use tokio::sync::Semaphore;

use crate::ApiConfig;

/// Explorations at once: each may keep a processor busy for seconds.
const EXPLORATIONS_MAX: usize = 2;

/// The engine, the settings, and the bounds on what runs at once.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) config: ApiConfig,
    /// One permit a request.
    pub(crate) requests: Semaphore,
    /// One permit an event stream.
    pub(crate) streams: Arc<Semaphore>,
    /// One permit an exploration.
    pub(crate) explorations: Arc<Semaphore>,
    request_ids: RequestIds,
}

impl AppState {
    pub(crate) fn new(engine: Engine, config: ApiConfig) -> Self {
        Self(Arc::new(Inner {
            requests: Semaphore::new(config.requests_max.min(Semaphore::MAX_PERMITS)),
            streams: Arc::new(Semaphore::new(config.sse_clients_max.min(Semaphore::MAX_PERMITS))),
            explorations: Arc::new(Semaphore::new(EXPLORATIONS_MAX)),
            request_ids: RequestIds::new(),
            engine,
            config,
        }))
    }

    /// A name for a request that came without one.
    pub(crate) fn request_id(&self) -> String {
        self.request_ids.next()
    }
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Names requests: a number of this process and one of the request. They need not be hard to
/// guess, only different.
struct RequestIds {
    process: u32,
    given: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        // The standard library seeds its hashers from the system's randomness.
        let seed = RandomState::new().build_hasher().finish();
        Self { process: u32::try_from(seed >> 32).unwrap_or(0), given: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.process, self.given.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
