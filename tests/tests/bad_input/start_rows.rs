//! Lines 41 to 48: starts.

use crate::row::{Row, row, start, start_with};

pub(crate) fn rows() -> Vec<Row> {
    let good = || start(r#"{"definition":"good"}"#);
    let keyed = |key: String| good().with("idempotency-key", key);
    let mut rows = vec![
        row(41, "a key of 300 bytes", keyed("k".repeat(300)), 400, "bad-header"),
        row(41, "a key with a tabulator", keyed("a\tb".to_owned()), 400, "bad-header"),
        row(41, "a key with a space", keyed("a b".to_owned()), 400, "bad-header"),
        row(41, "a key with an umlaut", keyed("schl\u{fc}ssel".to_owned()), 400, "bad-header"),
        row(41, "a key without anything", keyed("\"\"".to_owned()), 400, "bad-header"),
        row(41, "a key with U+0001", keyed("a\u{1}b".to_owned()), 400, "").closes(),
        row(
            47,
            "no such definition",
            start(r#"{"definition":"other"}"#),
            404,
            "definition-not-found",
        ),
        row(
            47,
            "no such version",
            start(r#"{"definition":"good","version":9}"#),
            404,
            "definition-not-found",
        ),
        row(47, "version 0", start(r#"{"definition":"good","version":0}"#), 422, "out-of-range")
            .at("/version"),
        row(47, "no definition", start(r#"{"input":1}"#), 422, "missing-field").at("/definition"),
        row(48, "a text for an object", start_with("\"text\""), 422, "input-invalid")
            .at("/input")
            .fault("input-invalid"),
        row(48, "a list for an object", start_with("[1]"), 422, "input-invalid").at("/input"),
    ];
    for (input, field, code, pointer) in [
        ("a number for a name", r#""definition":7"#, "wrong-type", "/definition"),
        ("a list for labels", r#""labels":[1]"#, "wrong-type", "/labels"),
        ("a number for a label", r#""labels":{"a":1}"#, "wrong-type", "/labels/a"),
        ("no time", r#""start_at":"soon""#, "wrong-type", "/start_at"),
        (
            "a date of no calendar",
            r#""start_at":"2026-02-30T00:00:00Z""#,
            "wrong-type",
            "/start_at",
        ),
        ("no duration", r#""deadline":"soon""#, "wrong-type", "/deadline"),
        ("no time at all", r#""deadline":"0s""#, "out-of-range", "/deadline"),
        ("no such mode", r#""mode":"magic""#, "wrong-type", "/mode"),
    ] {
        let definition =
            if field.starts_with("\"definition") { "" } else { r#""definition":"good","# };
        let body = format!("{{{definition}{field}}}");
        rows.push(row(48, input, start(body), 422, code).at(pointer));
    }
    let labels: Vec<String> = (0..33).map(|index| format!("\"l{index}\":\"\"")).collect();
    let many = format!(r#"{{"definition":"good","labels":{{{}}}}}"#, labels.join(","));
    let long = format!(r#"{{"definition":"good","labels":{{"a":"{}"}}}}"#, "x".repeat(257));
    rows.push(
        row(48, "33 labels", start(many), 422, "out-of-range").at("/labels").fault("too-large"),
    );
    rows.push(row(48, "a label of 257 bytes", start(long), 422, "out-of-range").at("/labels/a"));
    rows
}
