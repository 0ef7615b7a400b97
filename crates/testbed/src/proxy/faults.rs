//! What a proxy does to the connections that go through it.

use std::time::Duration;

use super::CommitTrap;

/// All that a proxy does wrong at one time; by default nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// What befalls the bytes from client to server.
    pub to_server: Flow,
    /// What befalls the bytes from server to client.
    pub to_client: Flow,
    /// New connections are refused, as by a server that does not run; open ones stay.
    pub refuse: bool,
    /// What befalls commits; only a proxy of [`super::FaultProxy::postgres`] sees them.
    pub commit: Option<CommitTrap>,
}

impl Faults {
    /// Nothing passes either way, and nobody hears of it: a partition.
    pub fn silence() -> Self {
        Self { to_server: Flow::SILENT, to_client: Flow::SILENT, ..Self::default() }
    }

    /// New connections are refused; open ones stay.
    pub fn refuse() -> Self {
        Self { refuse: true, ..Self::default() }
    }

    /// Commits fall into this trap.
    pub fn at_commit(trap: CommitTrap) -> Self {
        Self { commit: Some(trap), ..Self::default() }
    }
}

/// What befalls the bytes of one direction, on each connection for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Every byte comes so much later.
    pub delay: Duration,
    /// And up to so much later still, at random; the order stays.
    pub jitter: Duration,
    /// Nothing passes, not even the end of the connection, which stays open. What is sent
    /// meanwhile is held, up to 1 MiB, and passes when the silence ends, as by a network that
    /// comes back.
    pub silent: bool,
    /// Where the connection ends.
    pub cut: Option<Cut>,
    /// Most bytes a second.
    pub bytes_per_second: Option<u32>,
}

impl Flow {
    /// Nothing passes.
    pub const SILENT: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        silent: true,
        cut: None,
        bytes_per_second: None,
    };

    /// Everything passes late.
    pub fn late(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The connection is reset once `after_bytes` more have passed.
    pub fn cut(after_bytes: u64) -> Self {
        Self { cut: Some(Cut { after_bytes, end: End::Reset }), ..Self::default() }
    }
}

/// The end of a connection after some bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that still pass, from when the fault was set or, later, the connection opened. With 0
    /// the first byte ends it.
    pub after_bytes: u64,
    /// How it ends, for client and server alike.
    pub end: End,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order (FIN), as if all had been said.
    Close,
    /// By a reset (RST).
    Reset,
}
