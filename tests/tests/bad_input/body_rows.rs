//! Lines 1 to 17: bodies.

use serde_json::json;

use crate::row::{Row, define, raw, row, send, start, start_with};
use crate::stage::{definition, step};

const MIB: usize = 1024 * 1024;

const HEAD: &str =
    "POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

pub(crate) fn rows() -> Vec<Row> {
    [form(), size(), content(), texts()].into_iter().flatten().collect()
}

fn form() -> Vec<Row> {
    vec![
        row(1, "one brace", start("{"), 400, "json-syntax"),
        row(1, "cut off", start(r#"{"definition":"good""#), 400, "json-syntax"),
        row(1, "YAML", start("definition: good"), 400, "json-syntax"),
        row(1, "two values", start("{} {}"), 400, "json-syntax"),
        row(1, "a list", start("[]"), 422, "wrong-type"),
        row(2, "no body", start(""), 400, "json-syntax"),
        row(2, "white space", start(" \r\n\t"), 400, "json-syntax"),
        row(
            3,
            "Content-Type: text/plain",
            start("{}").with("content-type", "text/plain"),
            415,
            "unsupported-media-type",
        ),
        row(
            3,
            "no Content-Type",
            start("{}").with("content-type", ""),
            415,
            "unsupported-media-type",
        ),
        row(
            3,
            "a form",
            start("definition=good").with("content-type", "application/x-www-form-urlencoded"),
            415,
            "unsupported-media-type",
        ),
        row(
            6,
            "Content-Encoding: gzip",
            start(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()).with("content-encoding", "gzip"),
            415,
            "unsupported-media-type",
        ),
        row(
            6,
            "Content-Encoding: identity, gzip",
            start("{}").with("content-encoding", "identity, gzip"),
            415,
            "unsupported-media-type",
        ),
    ]
}

fn size() -> Vec<Row> {
    let announced = format!("{HEAD}content-length: {}\r\n\r\n", MIB + 1);
    let absurd = format!("{HEAD}content-length: 18446744073709551615\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let chunks = chunk.repeat(MIB / 0x1_0000 + 1);
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{chunks}");
    let just_fits = format!("{}{{}}", " ".repeat(MIB - 2));
    let huge_chunk = format!("{HEAD}transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n");
    vec![
        row(4, "a length of 1 MiB + 1, and no body", raw(announced), 413, "body-too-large")
            .closes(),
        row(4, "a length of 2^64 - 1", raw(absurd), 431, "").closes(),
        row(4, "1 MiB, which is allowed", start(just_fits), 422, "missing-field").at("/definition"),
        row(5, "chunks that go on past 1 MiB", raw(chunked), 413, "body-too-large").closes(),
        row(5, "a chunk of 2^68 bytes", raw(huge_chunk), 400, "json-syntax").closes(),
    ]
}

fn content() -> Vec<Row> {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let keys: Vec<String> = (0..10_001).map(|index| format!("\"k{index}\":0")).collect();
    let in_definition = |levels: usize| {
        let name = r#"{"name":"deep","steps":"#;
        send("POST", "/v1/definitions", format!("{name}{}}}", nested(levels)))
    };
    vec![
        row(7, "65 levels", start(nested(65)), 400, "too-deep"),
        row(7, "65 levels in a definition", in_definition(65), 400, "too-deep"),
        row(8, "100,000 levels", start("[".repeat(100_000)), 400, "too-deep"),
        row(8, "100,000 objects", start(r#"{"a":"#.repeat(100_000)), 400, "too-deep"),
        row(
            8,
            "100,000 levels of YAML",
            send("POST", "/v1/definitions", "[".repeat(100_000))
                .with("content-type", "application/yaml"),
            400,
            "yaml-syntax",
        ),
        row(9, "10,001 keys", start_with(&format!("{{{}}}", keys.join(","))), 422, "out-of-range"),
        row(
            10,
            "a field twice",
            start(r#"{"definition":"good","definition":"good"}"#),
            400,
            "duplicate-name",
        )
        .at("/definition"),
        row(10, "a name twice inside", start_with(r#"{"a":1,"a":2}"#), 400, "duplicate-name")
            .at("/input/a"),
        row(
            10,
            "a name twice, once escaped",
            start_with(r#"{"a":1,"\u0061":2}"#),
            400,
            "duplicate-name",
        )
        .at("/input/a"),
        row(
            11,
            "an unknown field",
            start(r#"{"definition":"good","inptu":1}"#),
            422,
            "unknown-field",
        )
        .at("/inptu"),
        row(
            11,
            "an unknown field of a definition",
            define(&json!({ "name": "a", "steps": [step("only")], "stpes": [] })),
            422,
            "definition-invalid",
        )
        .at("/stpes")
        .fault("unknown-field"),
        row(
            11,
            "an unknown field of a participant",
            send("PUT", "/v1/participants/a", r#"{"endpoints":["http://h"],"retires":3}"#),
            422,
            "participant-invalid",
        )
        .at("/retires")
        .fault("unknown-field"),
        row(12, "1e400", start_with("1e400"), 400, "json-syntax"),
        row(12, "NaN", start_with("NaN"), 400, "json-syntax"),
        row(12, "Infinity", start_with("-Infinity"), 400, "json-syntax"),
        row(12, "+1", start_with("+1"), 400, "json-syntax"),
        row(12, "01", start_with("01"), 400, "json-syntax"),
        row(12, "0x10", start_with("0x10"), 400, "json-syntax"),
    ]
}

fn texts() -> Vec<Row> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let marked = [b"\xff\xfe".to_vec(), wide("{}")].concat();
    vec![
        row(13, r"a lone surrogate \ud800", start_with(r#""\ud800""#), 400, "json-syntax"),
        row(14, r"\u0000 in a value", start_with(r#""a\u0000b""#), 400, "nul-character")
            .at("/input"),
        row(14, r"\u0000 in a name", start_with(r#"{"\u0000":1}"#), 400, "nul-character"),
        row(14, "a raw NUL", start_with("\"\0\""), 400, "json-syntax"),
        row(
            14,
            r"\u0000 in a definition",
            send("POST", "/v1/definitions", r#"{"name":"a\u0000"}"#),
            400,
            "nul-character",
        )
        .at("/name"),
        row(
            14,
            r"\0 in a definition in YAML",
            send("POST", "/v1/definitions", "name: a\ndescription: \"a\\0b\"\nsteps: []\n")
                .with("content-type", "application/yaml"),
            400,
            "yaml-syntax",
        ),
        row(15, "Latin-1", start(b"{\"definition\":\"g\xf6\xf6d\"}".to_vec()), 400, "not-utf8"),
        row(15, "an overlong slash", start(b"\"\xc0\xaf\"".to_vec()), 400, "not-utf8"),
        row(15, "a surrogate as UTF-8", start(b"\"\xed\xa0\x80\"".to_vec()), 400, "not-utf8"),
        row(16, "UTF-8 with a byte order mark", start("\u{feff}{}"), 400, "json-syntax"),
        row(16, "UTF-16 with a byte order mark", start(marked), 400, "not-utf8"),
        row(16, "UTF-16 without one", start(wide("{}")), 400, "json-syntax"),
        row(
            17,
            "right-to-left override in an id",
            start("{\"definition\":\"good\",\"id\":\"a\u{202e}b\"}"),
            422,
            "bad-id",
        )
        .at("/id"),
        row(
            17,
            "zero-width space in a definition's name",
            define(&definition("a\u{200b}b", json!([step("only")]))),
            422,
            "definition-invalid",
        )
        .at("/name")
        .fault("bad-id"),
        row(
            17,
            "zero-width joiner in a step's id",
            define(&definition("a", json!([step("a\u{200d}b")]))),
            422,
            "definition-invalid",
        )
        .at("/steps/0/id")
        .fault("bad-id"),
        row(
            17,
            "right-to-left mark in a label's name",
            start("{\"definition\":\"good\",\"labels\":{\"a\u{200f}\":\"b\"}}"),
            422,
            "bad-id",
        ),
    ]
}
