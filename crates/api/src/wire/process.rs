//! The process itself.

use amends_engine::Readiness;
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
        }
    }
}
