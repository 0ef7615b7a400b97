//! Headers that belong to the engine or to HTTP itself.

/// Names that neither a definition nor a registration may set, in lower case.
const RESERVED: [&str; 20] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "accept-encoding",
    "http2-settings",
    "forwarded",
    "set-cookie",
];

/// Families of such names.
const RESERVED_PREFIXES: [&str; 3] = ["saga-", "webhook-", "proxy-"];

/// Whether `name` (in lower case) is a header that only the engine sets.
///
/// `authorization` is not among them: a registration sets it, through its `auth`.
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
