//! What exploration says of the documentation's example, run by run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fmt::Write as _;

use amends_core::definition::{Format, Registry, parse_text};
use amends_core::explore::{Run, explore};

/// `place-order`, as the documentation has it, without what exploration does not look at.
const EXAMPLE: &str = r#"
name: place-order
defaults: { timeout: 2s, retry: { max_attempts: 5, initial: 100ms, factor: 2, max: 10s, jitter: full } }
steps:
  - id: reserve
    participant: inventory
    action:       { path: /reservations, body: { sku: "${input.sku}", qty: "${input.qty}" } }
    compensation: { path: "/reservations/${saga.id}/release" }
  - id: charge
    participant: payment
    try:     { path: /holds, body: { user: "${input.user_id}", amount: "${input.amount}" } }
    confirm: { path: "/holds/${saga.id}/capture" }
    cancel:  { path: "/holds/${saga.id}/void" }
  - id: create
    participant: orders
    after: [reserve, charge]
    action:       { path: /orders, body: { sku: "${input.sku}", hold: "${steps.charge.output.hold_id}" } }
    compensation: { method: DELETE, path: "/orders/${saga.id}" }
    pivot: true
  - id: notify
    participant: mail
    when: "input.email is defined"
    action: { path: /messages, body: { to: "${input.email}" } }
    on_failure: ignore
output: { order_id: "${steps.create.output.id}" }
"#;

#[test]
fn the_example_in_every_way_it_can_fail() {
    insta::assert_snapshot!(explored(EXAMPLE));
}

#[test]
fn a_last_step_without_an_undo_is_not_left_in_doubt() {
    let text = "
        name: two
        steps:
          - { id: a, participant: p, action: { path: /a }, compensation: { path: /u } }
          - { id: b, participant: p, action: { path: /b }, retry: { max_attempts: 3 } }
    ";
    insta::assert_snapshot!(explored(text));
}

fn explored(text: &str) -> String {
    let parsed = parse_text(text, Format::Yaml, &Registry::default());
    let definition = parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults));
    explore(&definition).iter().map(told).collect()
}

/// One run: what fails, then each call with its attempts, then where it ends.
fn told(run: &Run) -> String {
    let mut text = if run.failures.is_empty() { "nothing fails".to_owned() } else { String::new() };
    for (index, failure) in run.failures.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let kind = serde_json::to_string(&failure.kind).unwrap();
        write!(text, "{separator}{} of {}: {kind}", failure.op, failure.step).unwrap();
    }
    text.push('\n');
    for call in &run.calls {
        writeln!(text, "    {} {} x{}: {}", call.op, call.step, call.attempts, call.outcome)
            .unwrap();
    }
    writeln!(
        text,
        "  {}{}",
        run.status,
        run.reason.as_ref().map_or(String::new(), |why| format!(", since {why}"))
    )
    .unwrap();
    text
}
