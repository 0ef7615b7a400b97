//! Sound documents to begin with, and definitions of every kind.

use std::cell::OnceCell;
use std::sync::Arc;

use amends_core::definition::{Definition, Format, Registry, parse_text};

const SAGA: &str = r#"{"name": "order", "description": "x", "deadline": "5m",
  "input_schema": {"type": "object", "required": ["sku"], "properties": {"qty": {"type": "integer", "minimum": 1}}},
  "lock": {"keys": ["sku:${input.sku}"], "wait": "30s", "on_busy": "queue", "on_lost": "fence", "release": "end"},
  "defaults": {"timeout": "2s", "retry": {"max_attempts": 3, "initial": "100ms", "factor": 2, "max": "10s", "jitter": "full"}},
  "steps": [
    {"id": "a", "participant": "p", "action": {"method": "PUT", "path": "/a/${input.sku}?q=1", "body": {"sku": "${input.sku}", "n": [1, "${input.qty}"]}, "headers": {"x-a": "${saga.id}"}},
     "compensation": {"path": "/a/${saga.id}/undo", "body": {"was": "${forward.output}"}}, "undo_refused": true, "outcomes": {"409": "retryable"}},
    {"id": "b", "participant": "q", "try": {"path": "/b"}, "confirm": {"path": "/b/${steps.a.output.id}"}, "cancel": {"path": "/b/x"}},
    {"id": "c", "participant": "p", "after": ["a"], "completion": {"poll": {"interval": "1s"}}, "action": {"path": "/c"}, "compensation": "none"},
    {"id": "d", "participant": "p", "after": ["b", "c"], "action": {"path": "/d"}, "pivot": true},
    {"id": "e", "participant": "p", "when": "input.email is defined and input.qty > 1", "on_failure": "ignore", "action": {"path": "/e", "timeout": "1s"}, "retry": {"max_attempts": 2}}],
  "output": {"id": "${steps.d.output.id}", "all": "${steps.a.output}"}}"#;

const CALLBACK: &str = r#"{"name": "later", "steps": [
    {"id": "a", "participant": "p", "completion": "callback", "action": {"path": "/a"}, "compensation": {"path": "/u"}},
    {"id": "b", "participant": "p", "action": {"path": "/b"}, "compensation": {"path": "/u", "retry": {"max_attempts": 1}}}]}"#;

const INTERACTIVE: &str = r#"{"name": "cart", "mode": "interactive", "deadline": "5m",
    "lock": {"keys": ["cart:${input.sku}"], "on_lost": "abort"}}"#;

const YAML: &str = include_str!("../../../docs/examples/book-trip.yaml");

const EXPRESSIONS: [&str; 8] = [
    "/holds/${saga.id}/x?sku=${input.sku}&n=${input.qty}",
    "input.qty > 1 and input.list | length < 9 or not input.flag",
    "${input.price * 3 + 1} ${input.name | upper} ${'a' ~ input.qty}",
    "steps.a.output.id if forward.outcome == 'unknown' else input.obj.a.b",
    "input.list | map(attribute='x') | list | tojson",
    "{'a': [1, 2.5, input.none], 'b': range(9) | list}",
    "$${ not ${input['user-id'] | default('x') | replace('a', 'b') | trim}",
    r#"{"a": "${input.list[1].x}", "b": ["${input.qty // 2 ** 3 % 7}", null, true]}"#,
];

const BRANCHES: [&str; 5] = [
    r#"{"participant": "p", "compensation": {"path": "/r/7", "method": "DELETE", "timeout": "2s"}, "after": ["a"]}"#,
    r#"{"participant": "p", "confirm": {"path": "/c", "body": {"a": [1]}}, "cancel": {"path": "/x", "headers": {"x-a": "b"}}}"#,
    r#"{"participant": "p", "action": {"path": "/m?x=1", "retry": {"max_attempts": 3, "initial": "1s"}}}"#,
    r#"{"saga": {"definition": "order", "version": 1, "input": {"qty": 1}}}"#,
    r#"{"participant": "p", "path": "/orders/7", "timeout": "1s"}"#,
];

const PARTICIPANTS: [&str; 3] = [
    r#"{"name": "pay", "protocol": "http", "endpoints": ["https://a.example.com/api", "http://[::1]:8080/"], "health": "/h",
        "auth": {"type": "basic", "user": "us", "password": "secret"}, "signing_secrets": [{"env": "X"}], "timeout": "2s",
        "retry": {"max_attempts": 7, "initial": "50ms", "factor": 1.5, "max": "3s", "jitter": "none"}, "max_concurrency": 8,
        "rate": 12.5, "breaker": {"failures": 3, "open_for": "1m"}, "outcomes": {"404": "succeeded"}, "answer_bytes_max": 4096,
        "http2": true, "labels": {"team": "money"}}"#,
    r#"{"name": "a", "endpoints": ["http://127.0.0.1:9001"], "auth": {"type": "bearer", "token": {"file": "/run/t"}}, "breaker": false}"#,
    "http://user:pass@host.example:8080/base/?q#f",
];

const WORDS: [&str; 7] = [
    "1d2h3m4s5ms",
    "2026-11-22T13:06:00.123456Z",
    "18c2f.order-1",
    "order-42",
    "sku:42/ä",
    "compensation",
    "suspended",
];

/// What comes in requests; the first byte names the route.
const BODIES: [&str; 12] = [
    r#"a{"definition": "order", "version": 1, "id": "s-1", "input": {"qty": 1}, "labels": {"a/b": "c"}, "start_at": "2026-02-01T00:00:00Z", "deadline": "5m"}"#,
    r#"a{"mode": "interactive", "id": "t-2", "name": "x", "lock_keys": ["a"], "lock_wait": "1s", "deadline": "1m", "prepared": {"participant": "p", "path": "/q"}}"#,
    r#"a{"definition": {"name": "adhoc", "steps": [{"id": "a", "participant": "p", "action": {"path": "/a"}}]}}"#,
    r#"b{"participant": "p", "compensation": {"path": "/u"}}"#,
    r#"c{"deadline": "30s", "reason": "why"}"#,
    r#"d{"outcome": "refused", "output": {"a": 1}, "detail": "x"}"#,
    r#"e{"a": 1}"#,
    r#"f{"name": "new", "steps": [{"id": "a", "participant": "p", "action": {"path": "/a"}}]}"#,
    "gname: new\nsteps:\n- {id: a, participant: p, action: {path: /a}}\n",
    r#"h{"endpoints": ["http://127.0.0.1:9"], "timeout": "1s"}"#,
    r#"i{"step": "a", "reason": "why"}"#,
    "mstatus=running,queued&label=a:b&limit=3&from=2026-01-01T00:00:00Z&cursor=18c2f.s-1&q=s",
];

/// Sound inputs of a target.
pub fn documents(target: &str) -> Vec<String> {
    let all: &[&str] = match target {
        "definition" => &[SAGA, CALLBACK, INTERACTIVE, YAML],
        "expression" => &EXPRESSIONS,
        "branch" => &BRANCHES,
        "participant" => &PARTICIPANTS,
        "request" => &BODIES,
        "word" => &WORDS,
        "journal" => {
            let golden = include_str!("../../../crates/core/tests/golden/journal.jsonl");
            return vec![format!("[{}]", golden.lines().collect::<Vec<_>>().join(","))];
        }
        _ => &[],
    };
    all.iter().map(|text| (*text).to_owned()).collect()
}

/// Definitions with every kind of step.
pub fn definitions() -> Vec<Arc<Definition>> {
    thread_local! {
        static PARSED: OnceCell<Vec<Arc<Definition>>> = const { OnceCell::new() };
    }
    let parse = |text: &&str| {
        let parsed = parse_text(text, Format::Json, &Registry::default());
        parsed.definition.unwrap_or_else(|| panic!("{:#?}", parsed.faults))
    };
    PARSED.with(|own| {
        own.get_or_init(|| [SAGA, CALLBACK, INTERACTIVE].iter().map(parse).collect()).clone()
    })
}
