//! Lines 79 to 87: what a participant answers to both attempts of a step's forward call, what the
//! coordinator makes of it, and how the saga ends. Line 84 and the rest of 83 and 88 are in
//! [`crate::names`] and [`crate::expressions`].

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::raw_participant::{RawParticipant, Script};
use crate::stage::{MEANT, Stage};

/// What may have left a participant that sends without end, before nobody reads any more: what
/// the sockets' buffers of two attempts hold, and some.
const SENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An answer that is not as it should be.
pub(crate) struct Case {
    /// Its number on the list.
    pub(crate) line: u8,
    /// What is bad.
    pub(crate) input: &'static str,
    script: Script,
    /// `kind` of the call's problem.
    kind: &'static str,
    /// State of the call at the end.
    state: &'static str,
    /// A part of what is said about it.
    says: &'static str,
}

fn case(
    line: u8,
    input: &'static str,
    script: Script,
    kind: &'static str,
    says: &'static str,
) -> Case {
    // Whatever cannot be read may have been done: it is repeated, and then undone.
    Case { line, input, script, kind, state: "unknown", says }
}

fn bytes(head: &str, body: impl AsRef<[u8]>) -> Script {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    Script::Bytes([head.as_bytes(), body].concat())
}

fn json_bytes(body: impl AsRef<[u8]>) -> Script {
    bytes("200 OK\r\ncontent-type: application/json", body)
}

pub(crate) fn cases() -> Vec<Case> {
    let redirect = |to: &str| bytes(&format!("302 Found\r\nlocation: {to}"), "");
    let zipped = "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip";
    let large =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000)).into_bytes();
    let spaces = vec![b' '; 0x1_0000];
    let long = format!("200 OK\r\nx: {}", "y".repeat(1024 * 1024));
    let many = format!("200 OK\r\n{}x: y", "x: y\r\n".repeat(200));
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec();
    let endless = |head: &str, again: Vec<u8>| Script::Endless(head.as_bytes().to_vec(), again);
    let (too_large, bad) = ("answer_too_large", "bad_answer");
    vec![
        case(
            79,
            "302 to a metadata service",
            redirect("http://169.254.169.254/"),
            "redirect",
            "never followed",
        ),
        case(
            79,
            "301 to a file",
            bytes("301 Moved\r\nlocation: file:///etc/passwd", ""),
            "redirect",
            "never followed",
        ),
        case(79, "302 to nowhere", bytes("302 Found", ""), "redirect", "never followed"),
        case(
            80,
            "307 to itself, for ever",
            bytes("307 Temporary Redirect\r\nlocation: /do", ""),
            "redirect",
            "never followed",
        ),
        case(81, "a length of 1 GiB", endless(large, spaces), too_large, "answer_bytes_max"),
        case(81, "chunks without end", endless(chunked, chunk), too_large, "answer_bytes_max"),
        case(
            82,
            "gzip",
            bytes(zipped, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\0\0\xff\xff"),
            bad,
            "encoded",
        ),
        case(85, "JSON of 10,000 levels", json_bytes(&deep), bad, "deeper than 64"),
        case(85, "no JSON", json_bytes("{"), bad, "JSON"),
        case(85, "a NUL", json_bytes(r#"{"a":"\u0000"}"#), bad, "NUL"),
        case(85, "Latin-1", json_bytes(b"\"\xf6\""), bad, "UTF-8"),
        case(86, "a header of 1 MiB", bytes(&long, ""), bad, "not HTTP"),
        case(86, "200 headers", bytes(&many, ""), bad, "not HTTP"),
        case(
            87,
            "101",
            bytes("101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade", ""),
            "status",
            "101",
        ),
        case(87, "103 again and again", endless("", interim), bad, "before the head"),
        case(87, "not HTTP", Script::Bytes(b"+OK ready\r\n\r\n".to_vec()), bad, "not HTTP"),
        case(
            87,
            "two different lengths",
            Script::Bytes(
                b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(),
            ),
            bad,
            "not HTTP",
        ),
    ]
}

impl Case {
    /// Runs a saga of one step against it.
    pub(crate) fn run(self, stage: Arc<Stage>) -> LocalBoxFuture<'static, anyhow::Result<()>> {
        Box::pin(async move {
            let participant = RawParticipant::start(self.script.clone()).await?;
            let words: String = self.input.chars().filter(char::is_ascii_alphanumeric).collect();
            let name = format!("{MEANT}{}-{words}", self.line);
            let spec = json!({ "endpoints": [participant.url()] });
            stage.client.register(&name, &spec).await?;
            let saga = stage.start_one(&format!("{}-{words}", self.line), &name).await?;
            let what = format!("{saga:#}");
            self.check(&saga, &participant).context(what)
        })
    }

    fn check(&self, saga: &Value, participant: &RawParticipant) -> anyhow::Result<()> {
        let call = &saga["steps"][0]["calls"][0];
        let found = (&saga["status"], &call["state"], &call["problem"]["kind"]);
        let expected = (&json!("compensated"), &json!(self.state), &json!(self.kind));
        ensure!(found == expected, "{found:?} instead of {expected:?}");
        let detail = call["problem"]["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(self.says), "it says {detail:?}, not {:?}", self.says);
        let seen = participant.seen();
        ensure!(seen.forward() == 2, "{} attempts instead of 2", seen.forward());
        ensure!(seen.bytes < SENT_BYTES_MAX, "{} bytes were read", seen.bytes);
        let undone = saga["steps"][0]["calls"][1]["state"] == "succeeded";
        ensure!(undone, "it was not undone");
        Ok(())
    }
}
