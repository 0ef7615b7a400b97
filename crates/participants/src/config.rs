//! Settings of all outgoing calls, and the resolver behind them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_core::participant::TargetPolicy;
use async_trait::async_trait;
use rustls::pki_types::CertificateDer;

/// How calls leave this coordinator.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which targets may be called.
    pub targets: TargetPolicy,
    /// Longest time to resolve, connect and agree on TLS. Default 3 s.
    pub connect_timeout: Duration,
    /// A connection that was idle for longer is not used again. Default 30 s.
    pub idle_timeout: Duration,
    /// Most idle connections kept for one endpoint. Default 256.
    pub idle_max: usize,
    /// Whom TLS trusts.
    pub roots: Roots,
    /// Resolves names.
    pub resolver: Arc<dyn Resolver>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            targets: TargetPolicy::permissive(),
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(30),
            idle_max: 256,
            roots: Roots::default(),
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// Certificate authorities.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Those of the machine; read at the first call over TLS.
    pub native: bool,
    /// Further ones.
    pub extra: Vec<CertificateDer<'static>>,
}

impl Default for Roots {
    fn default() -> Self {
        Self { native: true, extra: Vec::new() }
    }
}

/// Turns names into addresses.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of `host`, best first. Never asked for a literal address.
    ///
    /// # Errors
    ///
    /// That of the system; nothing was sent to the target.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver. Keeps nothing: names are resolved for each new connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}
