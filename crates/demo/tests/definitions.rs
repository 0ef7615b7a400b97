//! The definitions that are posted here have no fault, not even a warning.

use amends_core::definition::{Format, Registry, parse, parse_text};
use amends_demo::{Case, PLACE_ORDER};
use clap::ValueEnum as _;

#[test]
fn place_order_has_no_fault() {
    let parsed = parse_text(PLACE_ORDER, Format::Yaml, &Registry::default());
    assert_eq!(parsed.faults, []);
}

#[test]
fn the_cases_of_the_bench_have_no_fault() {
    for case in Case::value_variants() {
        let parsed = parse(&case.definition(), &Registry::default());
        assert_eq!(parsed.faults, [], "{case:?}");
    }
}
