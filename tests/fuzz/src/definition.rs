//! Definitions: read, checked, compiled, explored.

use amends_core::Json;
use amends_core::definition::{Fault, Format, Parsed, Registry, parse, parse_text};
use amends_core::explore::explore;

/// Steps and attempts up to which every failure point is run through: exploring a large definition
/// takes a second, which would leave time for little else.
const EXPLORED_STEPS_MAX: usize = 8;
const EXPLORED_ATTEMPTS_MAX: u32 = 10;

/// Reads a definition as JSON and as YAML.
pub fn definition(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for format in [Format::Json, Format::Yaml] {
        check(&parse_text(&text, format, &Registry::default()));
    }
}

fn check(parsed: &Parsed) {
    assert_eq!(parsed.definition.is_none(), parsed.faults.iter().any(Fault::is_error));
    for fault in &parsed.faults {
        assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{fault:?}");
    }
    let Some(definition) = &parsed.definition else { return };
    // As it is stored, and read back from there.
    let stored = Json::parse(definition.source.as_str()).unwrap();
    let again = parse(stored.value(), &Registry::default()).definition.unwrap();
    assert_eq!(again.digest, definition.digest);
    if let Some(schema) = &definition.input_schema {
        schema.validate(&definition.source);
    }
    let operations =
        definition.steps.iter().flat_map(|step| [Some(&step.forward), step.undo.as_ref()]);
    let attempts = operations.flatten().filter_map(|own| own.retry).map(|own| own.attempts_max);
    if definition.steps.len() <= EXPLORED_STEPS_MAX
        && attempts.max().unwrap_or(0) <= EXPLORED_ATTEMPTS_MAX
    {
        assert!(!explore(definition).is_empty());
    }
}
