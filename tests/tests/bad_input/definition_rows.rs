//! Lines 53 to 64: definitions.

use serde_json::{Value, json};

use crate::row::{Ask, Row, define, row, send, start};
use crate::stage::{definition, step};

pub(crate) fn rows() -> Vec<Row> {
    [graphs(), numbers(), expressions()].into_iter().flatten().collect()
}

/// The step `only`, with another value for a field.
fn with(field: &str, value: Value) -> Value {
    let mut own = step("only");
    own[field] = value;
    own
}

/// A definition of these steps.
fn of(steps: Value) -> Ask {
    define(&definition("bad", steps))
}

/// A definition that is refused for one fault.
fn refused(
    line: u8,
    input: &'static str,
    steps: Value,
    fault: &'static str,
    at: &'static str,
) -> Row {
    row(line, input, of(steps), 422, "definition-invalid").at(at).fault(fault)
}

fn after(id: &str, after: &[&str]) -> Value {
    let mut own = step(id);
    own["after"] = json!(after);
    own
}

fn without_undo(id: &str) -> Value {
    json!({ "id": id, "participant": "worker", "action": { "path": "/do" } })
}

fn graphs() -> Vec<Row> {
    let mut pivot = without_undo("pivot");
    pivot["pivot"] = json!(true);
    let many = |count: usize| (0..count).map(|index| without_undo(&format!("s{index}")));
    let (hundred_one, thousands): (Vec<Value>, Vec<Value>) =
        (many(101).collect(), many(10_001).collect());
    let cyclic = definition("bad", json!([after("a", &["b"]), after("b", &["a"])]));
    let ad_hoc = start(json!({ "definition": cyclic }).to_string());
    let useless = definition("bad", json!([step("a"), pivot, step("late")]));
    let validated = send("POST", "/v1/definitions/validate", useless.to_string());
    vec![
        refused(
            53,
            "a cycle of two",
            json!([after("a", &["b"]), after("b", &["a"])]),
            "cycle",
            "/steps/1/after",
        ),
        refused(53, "a step after itself", json!([after("a", &["a"])]), "cycle", "/steps/0/after"),
        row(53, "a cycle in a start", ad_hoc, 422, "definition-invalid")
            .at("/definition/steps/1/after")
            .fault("cycle"),
        refused(
            53,
            "after nobody",
            json!([after("a", &["ghost"])]),
            "unknown-step",
            "/steps/0/after/0",
        ),
        refused(
            54,
            "two steps of one name",
            json!([step("a"), step("a")]),
            "duplicate-id",
            "/steps/1/id",
        ),
        refused(
            55,
            "no undo before the pivot",
            json!([without_undo("a"), pivot]),
            "missing-undo",
            "/steps/0",
        ),
        refused(
            55,
            "two pivots on a path",
            json!([pivot, {"id": "again", "participant": "worker", "action": {"path": "/do"}, "pivot": true}]),
            "two-pivots",
            "/steps/1/pivot",
        ),
        row(55, "an undo after the pivot, which never runs", validated, 200, "")
            .at("/steps/2/compensation")
            .fault("useless-undo"),
        refused(56, "101 steps", json!(hundred_one), "too-large", "/steps"),
        row(56, "10,001 steps", of(json!(thousands)), 422, "out-of-range"),
        refused(56, "no steps", json!([]), "missing-field", "/steps"),
        refused(
            57,
            "a step that is a saga",
            json!([{ "id": "a", "saga": { "definition": "bad" } }]),
            "unknown-field",
            "/steps/0/saga",
        ),
    ]
}

fn numbers() -> Vec<Row> {
    let timeout = |value: &str| json!([with("timeout", json!(value))]);
    let retry = |value: Value| json!([with("retry", value)]);
    vec![
        refused(58, "no time at all", timeout("0s"), "out-of-range", "/steps/0/timeout"),
        refused(58, "negative", timeout("-1s"), "wrong-type", "/steps/0/timeout"),
        refused(58, "10^12 s", timeout("1000000000000s"), "out-of-range", "/steps/0/timeout"),
        refused(
            58,
            "10^30 s",
            timeout("1000000000000000000000000000000s"),
            "out-of-range",
            "/steps/0/timeout",
        ),
        refused(
            58,
            "a number",
            json!([with("timeout", json!(5))]),
            "wrong-type",
            "/steps/0/timeout",
        ),
        refused(
            59,
            "no attempts",
            retry(json!({ "max_attempts": 0 })),
            "out-of-range",
            "/steps/0/retry/max_attempts",
        ),
        refused(
            59,
            "half an attempt",
            retry(json!({ "max_attempts": 1.5 })),
            "wrong-type",
            "/steps/0/retry/max_attempts",
        ),
        refused(
            59,
            "2^64 attempts",
            retry(json!({ "max_attempts": 1.8e19 })),
            "out-of-range",
            "/steps/0/retry/max_attempts",
        ),
        refused(
            59,
            "a factor of 10^300",
            retry(json!({ "factor": 1e300 })),
            "out-of-range",
            "/steps/0/retry/factor",
        ),
        refused(
            59,
            "a longest delay below the first",
            retry(json!({ "initial": "10s", "max": "1s" })),
            "out-of-range",
            "/steps/0/retry/max",
        ),
        refused(
            59,
            "a delay of 10^12 s",
            retry(json!({ "max": "1000000000000s" })),
            "out-of-range",
            "/steps/0/retry/max",
        ),
    ]
}

fn expressions() -> Vec<Row> {
    let body = |text: &str| json!([with("action", json!({ "path": "/do", "body": text }))]);
    let header =
        |name: &str| json!([with("action", json!({ "path": "/do", "headers": { name: "x" } }))]);
    let at = "/steps/0/action/body";
    let mut rows = vec![
        refused(60, "a call", body("${range(1000000000)}"), "bad-expression", at),
        refused(60, "a comprehension", body("${[x for x in input]}"), "bad-expression", at),
        refused(60, "a block", body("${{% for x in input %}}"), "bad-expression", at),
        refused(
            60,
            "10,000 brackets",
            body(&format!("${{{}1{}}}", "(".repeat(2_000), ")".repeat(2_000))),
            "bad-expression",
            at,
        ),
        refused(
            60,
            "5,000 bytes",
            body(&format!("${{{}1}}", "1+".repeat(2_500))),
            "bad-expression",
            at,
        ),
        refused(60, "an import", body("${input.__class__.__mro__()}"), "bad-expression", at),
    ];
    for (name, pointer) in [
        ("Host", "/steps/0/action/headers/Host"),
        ("Transfer-Encoding", "/steps/0/action/headers/Transfer-Encoding"),
        ("Content-Length", "/steps/0/action/headers/Content-Length"),
        ("Connection", "/steps/0/action/headers/Connection"),
        ("Idempotency-Key", "/steps/0/action/headers/Idempotency-Key"),
        ("webhook-signature", "/steps/0/action/headers/webhook-signature"),
        ("Proxy-Authorization", "/steps/0/action/headers/Proxy-Authorization"),
        ("Cookie", "/steps/0/action/headers/Cookie"),
    ] {
        rows.push(refused(64, "a header of others", header(name), "forbidden-header", pointer));
    }
    rows.push(refused(
        63,
        "CR and LF in a header",
        json!([with("action", json!({ "path": "/do", "headers": { "x": "a\r\ny: b" } }))]),
        "forbidden-header",
        "/steps/0/action/headers/x",
    ));
    rows
}
