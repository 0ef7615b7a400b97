//! Registrations of participants.

use amends_core::participant::{Endpoint, ParticipantSpec, Secret, TargetPolicy};
use serde_json::Value;

/// Reads a registration; and, as text, an endpoint and a secret.
pub fn participant(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (Secret::check_text(&text), Secret::signing_key(&text));
    if let Ok(endpoint) = Endpoint::new(&text) {
        // Written as it was understood, it means the same.
        assert_eq!(Endpoint::new(endpoint.as_str()).unwrap(), endpoint, "{text:?}");
        let _ = (endpoint.host(), endpoint.address(), endpoint.port(), endpoint.authority());
        assert!(endpoint.base_path().is_empty() || endpoint.base_path().starts_with('/'));
    }
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    match ParticipantSpec::parse(&value) {
        Ok(spec) => {
            let stored = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<ParticipantSpec>(&stored).unwrap(), spec);
            let _ = (spec.redacted(), TargetPolicy::permissive().check(&spec));
        }
        Err(faults) => assert!(!faults.is_empty()),
    }
}
