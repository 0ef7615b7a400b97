//! The OpenAPI document: what the handlers say of themselves, and what holds for all of them.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{
    Content, InfoBuilder, License, OpenApi, Ref, RefOr, Response, ResponseBuilder, Server, Tag,
};

use crate::problem::MEDIA_TYPE;
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
pub fn document() -> OpenApi {
    let mut document = documented().into_openapi();
    document.info = InfoBuilder::new()
        .title("amends")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(License::new("Apache-2.0")))
        .build();
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(TAGS.iter().map(|(name, about)| tag(name, about)).collect());
    for (path, item) in &mut document.paths.paths {
        complete(path, item);
    }
    document
}

fn tag(name: &str, about: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(about.to_owned());
    tag
}

/// Adds the problems that layers and extractors answer with.
fn complete(path: &str, item: &mut PathItem) {
    let (is_api, has_ids) = (path.starts_with("/v1/"), path.contains('{'));
    let PathItem { get, put, post, delete, .. } = item;
    let changes = [put, post, delete].into_iter().flatten();
    for (operation, is_change) in
        get.iter_mut().map(|get| (get, false)).chain(changes.map(|own| (own, true)))
    {
        let has_body = operation.request_body.is_some();
        let common = [
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
        for (applies, status, about) in common {
            if applies {
                add(operation, status, about);
            }
        }
    }
}

fn add(operation: &mut Operation, status: &str, about: &str) {
    let responses = &mut operation.responses.responses;
    responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(about)));
}

fn problem(about: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(about)
        .content(MEDIA_TYPE, Content::new(Some(schema)))
        .build()
}
