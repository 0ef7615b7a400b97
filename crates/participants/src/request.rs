//! Turns a call into a request that any endpoint of its participant can be sent.

use std::time::Duration;

use amends_core::saga::AttemptFailure;
use amends_ports::OutgoingCall;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request};
use http_body_util::Full;

use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::headers::headers;
use crate::origin::Outgoing;

/// What a request asks for, besides what every request of a call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// The call itself.
    Call,
    /// Whether it has ended: a GET of this path.
    Poll(&'a str),
}

/// The request of `call`, or of a question about it.
///
/// # Errors
///
/// A method, path or header that HTTP cannot carry: the definition must be changed.
pub(crate) fn request(
    call: &OutgoingCall,
    ask: Ask<'_>,
    timeout: Duration,
    credentials: &Credentials,
) -> Result<Outgoing, Failure> {
    let wrong = |detail: String| Failure::unsent(AttemptFailure::Expression, detail);
    let (method, path, body) = match ask {
        Ask::Call => {
            let body = call.request.body.as_ref().map(amends_core::Json::as_str);
            (method(&call.request.method)?, call.request.path.as_str(), body)
        }
        Ask::Poll(path) => (Method::GET, path, None),
    };
    let parsed = PathAndQuery::try_from(path).ok().filter(|_| path.starts_with('/'));
    let path = parsed.ok_or_else(|| {
        wrong(format!(
            "the path {path:?} must start with '/' and be percent-encoded; nothing was sent"
        ))
    })?;
    let headers = headers(call, body, timeout, credentials)?;
    let bytes = body.map_or_else(Bytes::new, |text| Bytes::copy_from_slice(text.as_bytes()));
    let mut request = Request::new(Full::new(bytes));
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    Ok(Outgoing { path, below_base: matches!(ask, Ask::Call), request })
}

fn method(text: &str) -> Result<Method, Failure> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => {
            let detail = format!("{text:?} is no method that can be called; nothing was sent");
            Err(Failure::unsent(AttemptFailure::Expression, detail))
        }
    }
}
