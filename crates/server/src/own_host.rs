//! Refuses requests for another host's name, where only this machine can reach the server.
//!
//! A page on the web may have its own name resolve to a loopback address. To the browser, this
//! server is then the page's own site, so that it may read and command everything here.

use std::net::IpAddr;
use std::sync::Arc;

use amends_api::{ErrorCode, Problem};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::header::HOST;
use hyper::http::uri::Authority;

/// Lets in requests to `localhost`, to addresses, and to the host of `public_url`.
pub(crate) fn guard(router: Router, public_url: &str) -> Router {
    let own = url::Url::parse(public_url).ok();
    let own: Option<Arc<str>> = own.and_then(|url| url.host_str().map(Arc::from));
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let refused = other_host(&request, own.as_deref());
        async move {
            match refused {
                None => next.run(request).await,
                Some(host) => refusal(&host),
            }
        }
    }))
}

/// The host that is asked for, if it is none of this server's.
fn other_host(request: &Request, own: Option<&str>) -> Option<String> {
    // Two of them say nothing (RFC 9112, section 3.2): whoever stands in between may read either.
    if request.headers().get_all(HOST).iter().nth(1).is_some() {
        return Some("that is named twice".to_owned());
    }
    // HTTP/2 has it in the URI; a program that speaks HTTP/1.0 may name none.
    let authority = match (request.uri().authority(), request.headers().get(HOST)) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).ok(),
        (None, None) => return None,
    };
    let Some(authority) = authority else { return Some("that is none".to_owned()) };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_local = host == "localhost" || host.ends_with(".localhost");
    (!is_address && !is_local && own != Some(host.as_str())).then_some(host)
}

fn refusal(host: &str) -> Response {
    let detail = format!(
        "the request is for the host {host}, but this server listens on a loopback address and \
         knows no such name; if it is a proxy's name for it, set server.public-url"
    );
    Problem::new(ErrorCode::CrossSiteRequest, detail).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use hyper::StatusCode;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn only_names_of_this_machine_are_served() {
        let router = Router::new().route("/", get(|| async { "in" }));
        let router = guard(router, "https://Amends.example");
        for (host, status) in [
            ("localhost:7411", StatusCode::OK),
            ("api.localhost", StatusCode::OK),
            ("127.0.0.1:7411", StatusCode::OK),
            ("[::1]:7411", StatusCode::OK),
            ("amends.example", StatusCode::OK),
            ("AMENDS.example.:443", StatusCode::OK),
            ("evil.example:7411", StatusCode::FORBIDDEN),
            ("127.0.0.1.evil.example", StatusCode::FORBIDDEN),
            ("localhost.evil.example", StatusCode::FORBIDDEN),
            ("a b", StatusCode::FORBIDDEN),
        ] {
            let request = Request::get("/").header(HOST, host).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{host}");
        }
        let twice = Request::get("/").header(HOST, "localhost").header(HOST, "evil.example");
        let response = router.clone().oneshot(twice.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let request = Request::get("/").body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
        let request = Request::get("http://evil.example/").body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::FORBIDDEN);
    }
}
