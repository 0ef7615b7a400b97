//! The engine's bounds and times. Table `[engine]` of the configuration.

use std::time::Duration;

/// How the engine takes and drives sagas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Time a lease lives without renewal; renewed at a third of it. Default 10 s, at least 1 s.
    pub lease_ttl: Duration,
    /// Most sagas that this coordinator has in memory before it accepts no more. Default 20,000.
    pub live_sagas_max: usize,
    /// Most bytes that sagas may take in memory, about, before it accepts no more; one alone is
    /// always let in. Default 512 MiB.
    pub live_bytes_max: usize,
    /// Most changes that wait for the journal writer. Default 20,000.
    pub journal_queue_max: usize,
    /// Most sagas changed by one transaction. Default 2,000.
    pub batch_sagas_max: usize,
    /// Most bytes of facts in one transaction, unless one change alone has more. Default 8 MiB.
    pub batch_bytes_max: usize,
    /// Time between two looks for sagas that are due and for commands. Default 200 ms.
    pub poll_every: Duration,
    /// A saga that nothing is due for within this time leaves memory. Default 5 s.
    pub park_after: Duration,
    /// Longest wait for calls in flight when partitions are handed over. Default 10 s.
    pub drain_timeout: Duration,
    /// Longest wait for the owner of a saga to carry a command out. Default 5 s.
    pub command_timeout: Duration,
    /// Longest wait of a submission for the store. Default 5 s.
    pub submit_timeout: Duration,
    /// How long ended sagas are kept; for ever, if none. Default 30 days.
    pub retention: Option<Duration>,
    /// Base URL under which participants reach this or any coordinator, for callbacks.
    pub public_url: String,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(10),
            live_sagas_max: 20_000,
            live_bytes_max: 512 << 20,
            journal_queue_max: 20_000,
            batch_sagas_max: 2_000,
            batch_bytes_max: 8 << 20,
            poll_every: Duration::from_millis(200),
            park_after: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            submit_timeout: Duration::from_secs(5),
            retention: Some(Duration::from_hours(30 * 24)),
            public_url: "http://127.0.0.1:7411".to_owned(),
        }
    }
}

/// A setting that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine.{key} {problem}")]
pub struct ConfigError {
    /// The key, as the configuration spells it.
    pub key: &'static str,
    /// What is wrong with its value, and what would fit.
    pub problem: &'static str,
}

impl EngineConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rules = [
            ("lease-ttl", self.lease_ttl >= Duration::from_secs(1), "must be at least 1s"),
            ("live-sagas-max", self.live_sagas_max > 0, "must be at least 1"),
            ("live-bytes-max", self.live_bytes_max > 0, "must be at least 1"),
            ("journal-queue-max", self.journal_queue_max > 0, "must be at least 1"),
            ("batch-sagas-max", self.batch_sagas_max > 0, "must be at least 1"),
            ("batch-bytes-max", self.batch_bytes_max > 0, "must be at least 1"),
            ("poll-every", !self.poll_every.is_zero(), "must not be zero"),
            ("command-timeout", !self.command_timeout.is_zero(), "must not be zero"),
            ("submit-timeout", !self.submit_timeout.is_zero(), "must not be zero"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, problem)) => Err(ConfigError { key, problem }),
            None => Ok(()),
        }
    }
}
