//! The process itself.

use amends_engine::Readiness;
use amends_ports::{LockMaster, LocksHealth};
use serde::Serialize;
use utoipa::ToSchema;

/// The process runs.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Live)]
pub struct LiveView {
    /// Always true.
    pub live: bool,
}

/// Whether the process takes requests.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Ready)]
pub struct ReadyView {
    /// Whether it does.
    pub ready: bool,
    /// Whether it is shutting down.
    pub draining: bool,
    /// Whether the store answers.
    pub store: Check,
    /// How many partitions it drives.
    pub partitions: u16,
    /// How the guard of lock keys is, where one is configured. Without its quorum only sagas with
    /// lock keys wait, so the process is ready all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub locks: Option<LocksCheck>,
}

/// How the guard of lock keys is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LocksCheck {
    /// Whether enough masters answer and are trusted.
    pub quorum: bool,
    /// Each master.
    pub masters: Vec<LockMasterView>,
}

/// How one master is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LockMaster)]
pub struct LockMasterView {
    /// Its address, without credentials.
    pub address: String,
    /// Whether its votes count.
    pub trusted: bool,
    /// Why not, or a warning.
    pub detail: Option<String>,
}

impl From<LocksHealth> for LocksCheck {
    fn from(health: LocksHealth) -> Self {
        let master = |own: LockMaster| LockMasterView {
            address: own.address,
            trusted: own.trusted,
            detail: own.detail,
        };
        Self { quorum: health.quorum, masters: health.masters.into_iter().map(master).collect() }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
}

impl From<Readiness> for ReadyView {
    fn from(readiness: Readiness) -> Self {
        let detail = readiness.store.err();
        Self {
            ready: readiness.ready,
            draining: readiness.draining,
            store: Check { ok: detail.is_none(), detail },
            partitions: readiness.partitions,
            locks: readiness.locks.map(LocksCheck::from),
        }
    }
}
