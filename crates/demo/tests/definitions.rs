//! The definitions that are posted here have no fault, not even a warning.

use amends_core::definition::{FaultCode, Format, Registry, parse, parse_text};
use amends_demo::{Case, PLACE_ORDER};

#[test]
fn place_order_has_no_fault() {
    let parsed = parse_text(PLACE_ORDER, Format::Yaml, &Registry::default());
    assert_eq!(parsed.faults, []);
}

#[test]
fn the_cases_of_the_bench_have_no_fault() {
    let shapes = ["chain1", "chain3", "chain10", "wide3", "wide10", "undo3", "tcc3"];
    let variants = ["", "-spread", "-hot", "-1k", "-64k", "-follow"];
    let names = shapes.iter().flat_map(|shape| variants.map(|variant| format!("{shape}{variant}")));
    for name in names {
        let case: Case = name.parse().unwrap();
        let parsed = parse(&case.definition(), &Registry::default());
        let mut faults = parsed.faults;
        // Side by side, to one participant: that is what these are for.
        faults.retain(|fault| fault.code != FaultCode::ConcurrentWrites || !name.contains("wide"));
        assert_eq!(faults, [], "{name}");
    }
}
