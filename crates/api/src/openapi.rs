//! The OpenAPI document: what the handlers say of themselves, what requests may hold, and what holds
//! for all operations.

use serde_json::{Value, json};
use utoipa::openapi::{InfoBuilder, License, Server, Tag};

use crate::problem::MEDIA_TYPE;
use crate::requests;
use crate::router::documented;

/// What each group of routes is about.
const TAGS: [(&str, &str); 8] = [
    ("sagas", "Start sagas and look at them."),
    ("commands", "What clients and operators may ask of a live saga."),
    ("transactions", "Interactive ones, whose client brings the branches and decides."),
    ("locks", "Who holds lock keys, and who waits for them."),
    ("definitions", "What sagas run: named, versioned, immutable."),
    ("participants", "The services that take part."),
    ("callbacks", "For participants that answer later."),
    ("process", "The coordinator itself."),
];

const DESCRIPTION: &str = "Coordinates distributed transactions: sagas and TCC. Every error is a \
    problem document (RFC 9457) with a stable `code`; see `/docs/errors`. Answers 503 carry \
    `Retry-After`.";

/// The whole document.
pub fn document() -> Value {
    let mut document = documented().into_openapi();
    document.info = InfoBuilder::new()
        .title("amends")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(License::new("Apache-2.0")))
        .build();
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(TAGS.iter().map(|(name, about)| tag(name, about)).collect());
    // Texts, numbers and maps by text always have a JSON form.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    requests::lay_over(&mut document);
    for (path, method, operation) in operations(&mut document) {
        complete(path, method, operation);
    }
    document
}

fn tag(name: &str, about: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(about.to_owned());
    tag
}

/// Every operation with its path and method.
pub(crate) fn operations(document: &mut Value) -> impl Iterator<Item = (&str, &str, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let own = item.as_object_mut().into_iter().flatten();
        own.map(|(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Adds the problems that layers and extractors answer with.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let (is_api, has_ids) = (path.starts_with("/v1/"), path.contains('{'));
    let (is_change, has_body) = (method != "get", operation.get("requestBody").is_some());
    let common = [
        (true, "414", "`uri-too-long`"),
        (is_api, "400", "The body is no JSON, or a parameter or header cannot be used"),
        (is_change, "403", "`cross-site-request`"),
        (has_body, "408", "`body-timeout`"),
        (has_body, "413", "`body-too-large`"),
        (is_api, "414", "`uri-too-long`"),
        (has_body, "415", "`unsupported-media-type`"),
        (has_body || (is_api && has_ids), "422", "The body, or an id in the path, has faults"),
        (true, "500", "`internal`"),
        (
            true,
            "503",
            "`overloaded`, `draining`, `timed-out`, `store-unavailable`, `outcome-unknown` or `owner-unreachable`: repeat it after `Retry-After`",
        ),
    ];
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let content = responses.get_mut("200").and_then(|own| own.get_mut("content"));
    if let Some(stream) = content.and_then(|own| own.get_mut("text/event-stream")) {
        stream["schema"] = event();
    }
    for (_, status, about) in common.into_iter().filter(|(applies, ..)| *applies) {
        responses.entry(status).or_insert_with(|| problem(about));
    }
}

/// One event of a stream, with its fields as members (OpenAPI 3.2, section 4.14.4).
fn event() -> Value {
    json!({
        "type": "object",
        "description": "`lagged`: some events were missed, read the list again.",
        "properties": {
            "event": { "type": "string", "enum": ["saga", "lagged"] },
            "id": { "type": "string", "description": "For `Last-Event-ID`." },
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": { "$ref": "#/components/schemas/Hint" },
            },
        },
    })
}

fn problem(about: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": about, "content": { MEDIA_TYPE: { "schema": schema } } })
}
