//! Ports that a server may be started on.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// Below the range that the kernel takes ports of outgoing connections from, so that none of
/// those can stand on the port between the check and the start of a server.
const PORTS: RangeInclusive<u16> = 10_000..=32_767;

/// Ports tried before giving up.
const TRIES_MAX: u32 = 200;

/// Starts on ports that others took first, before giving up.
const STARTS_MAX: u32 = 5;

/// A port on 127.0.0.1, below 32768, that nobody listened on a moment ago.
///
/// Another process may take it before the caller does: whoever starts a server there must check
/// that it is its own server that answers, and try again if not.
///
/// # Errors
///
/// If 200 random ports in a row were taken.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..TRIES_MAX {
        let port = any_port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port found in {PORTS:?} after {TRIES_MAX} tries")
}

/// Starts something on a free port; on another one if that fails, since somebody else may have taken
/// the first.
///
/// # Errors
///
/// The error of the last of five starts.
pub async fn on_free_port<T>(
    mut start: impl AsyncFnMut(u16) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut last = None;
    for _ in 0..STARTS_MAX {
        match start(free_port()?).await {
            Ok(started) => return Ok(started),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried")))
}

fn any_port() -> u16 {
    let count = u64::from(PORTS.end() - PORTS.start()) + 1;
    PORTS.start() + u16::try_from(random(count)).unwrap_or(0)
}

/// A random number below `bound`; each new `RandomState` has keys of its own.
pub(crate) fn random(bound: u64) -> u64 {
    RandomState::new().hash_one(std::process::id()) % bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_below_the_ephemeral_range() {
        let ports: Vec<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert!(ports.iter().all(|port| PORTS.contains(port)), "{ports:?}");
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).unwrap();
        assert!(ports.iter().any(|port| *port != ports[0]), "always the same port");
    }
}
