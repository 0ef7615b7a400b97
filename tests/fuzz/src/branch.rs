//! What clients of interactive transactions say: branches, and how they are asked.

use amends_core::StepId;
use amends_core::definition::{BranchDocument, Registry, parse_branch, parse_check_back};
use serde_json::Value;

/// Reads a branch, and a way to ask a silent client.
pub fn branch(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let registry = Registry::default();
    match parse_branch(StepId::new("b").unwrap(), &value, &registry) {
        Ok(BranchDocument::Ready(branch)) => {
            // As the journal keeps it.
            let text = serde_json::to_string(&branch).unwrap();
            assert_eq!(
                serde_json::from_str::<amends_core::definition::Branch>(&text).unwrap(),
                branch
            );
        }
        Ok(BranchDocument::Saga { .. }) => {}
        Err(faults) => assert!(faults.iter().all(amends_core::definition::Fault::is_error)),
    }
    match parse_check_back(&value, &registry) {
        Ok(check_back) => {
            let text = serde_json::to_string(&check_back).unwrap();
            let again: amends_core::definition::CheckBack = serde_json::from_str(&text).unwrap();
            assert_eq!(again, check_back);
        }
        Err(faults) => assert!(!faults.is_empty()),
    }
}
