//! The bounds of the server, small enough to be reached by one client on a busy machine.

/// Longest body, in bytes.
pub(crate) const BODY_BYTES: usize = 65_536;
/// Most sagas in memory.
pub(crate) const SAGAS: usize = 100;
/// Most event streams.
pub(crate) const STREAMS: usize = 8;
/// Most connections.
pub(crate) const CONNECTIONS: usize = 160;
/// Most requests at once.
pub(crate) const REQUESTS: usize = 24;
/// Longest answer of a participant, in bytes.
pub(crate) const ANSWER_BYTES: usize = 65_536;

/// What the server is started with: the values above, and a retention so short that what is
/// stored doesn't grow either.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("server.body-bytes-max", "65536"),
    ("server.connections-max", "160"),
    ("server.requests-max", "24"),
    ("server.sse-clients-max", "8"),
    ("engine.live-sagas-max", "100"),
    ("engine.journal-queue-max", "100"),
    ("engine.batch-sagas-max", "20"),
    ("engine.batch-bytes-max", "65536"),
    ("engine.park-after", "500ms"),
    ("engine.poll-every", "100ms"),
    ("engine.retention", "2s"),
    // Not one of the bounds: on a machine with other work a command may take long.
    ("engine.command-timeout", "20s"),
    ("telemetry.log-filter", "warn"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_say_what_the_load_keeps_to() {
        for (key, value) in [
            ("server.body-bytes-max", BODY_BYTES),
            ("server.connections-max", CONNECTIONS),
            ("server.requests-max", REQUESTS),
            ("server.sse-clients-max", STREAMS),
            ("engine.live-sagas-max", SAGAS),
        ] {
            let found = SETTINGS.iter().find(|(own, _)| *own == key);
            assert_eq!(found.map(|(_, value)| *value), Some(value.to_string().as_str()), "{key}");
        }
    }
}
