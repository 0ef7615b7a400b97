//! Which host a request is for. Where only this machine can reach the server, requests for
//! another host's name are refused: see [`ApiConfig::host_names`](crate::ApiConfig::host_names).

use std::net::IpAddr;

use axum::extract::Request;
use http::header::HOST;
use http::uri::Authority;

use crate::{ErrorCode, Problem};

/// Refuses a request for a host that is neither an address nor `localhost` nor among `names`.
pub(crate) fn check(request: &Request, names: Option<&[String]>) -> Result<(), Problem> {
    let Some(host) = names.and_then(|names| other_host(request, names)) else { return Ok(()) };
    let detail = format!(
        "the request is for the host {host}, but this server listens on a loopback address and \
         knows no such name; if it is a proxy's name for it, set server.public-url"
    );
    Err(Problem::new(ErrorCode::CrossSiteRequest, detail))
}

/// The host that is asked for, if it is none of this server's.
fn other_host(request: &Request, names: &[String]) -> Option<String> {
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
    (!is_address && !is_local && !names.contains(&host)).then_some(host)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_refused(uri: &str, hosts: &[&str]) -> bool {
        let request = hosts.iter().fold(Request::get(uri), |own, host| own.header(HOST, *host));
        let request = request.body(Body::empty()).unwrap();
        assert!(check(&request, None).is_ok(), "others may have any name");
        check(&request, Some(&["amends.example".to_owned()])).is_err()
    }

    #[test]
    fn only_names_of_this_machine_are_served() {
        for host in [
            "localhost:7411",
            "api.localhost",
            "127.0.0.1:7411",
            "[::1]:7411",
            "amends.example",
            "AMENDS.example.:443",
        ] {
            assert!(!is_refused("/", &[host]), "{host}");
        }
        for host in ["evil.example:7411", "127.0.0.1.evil.example", "localhost.evil.example", "a b"]
        {
            assert!(is_refused("/", &[host]), "{host}");
        }
        assert!(is_refused("/", &["localhost", "evil.example"]));
        assert!(!is_refused("/", &[]));
        assert!(is_refused("http://evil.example/", &[]));
    }
}
