//! The suite that every lock service passes, on three masters.

use std::sync::Arc;
use std::time::Duration;

use amends_locks::{Config, Redlock};
use amends_ports::Locks;
use amends_testbed::Redis;

use crate::setup::{masters, until_trusted, urls};

async fn fresh() -> (Arc<dyn Locks>, Vec<Redis>) {
    let masters = masters(3).await;
    let config = Config {
        ttl: Duration::from_secs(1),
        node_timeout: Duration::from_millis(100),
        ..Config::new(urls(&masters))
    };
    let locks = Redlock::new(&config).unwrap();
    until_trusted(&locks, 3).await;
    (Arc::new(locks), masters)
}

amends_ports::locks_conformance!(fresh);
