//! A base URL that may be called, by its form. Whether its address may be is for
//! [`super::TargetPolicy`].

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// A checked base URL: http or https, a host, no user, query or fragment, a port of the web.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    url: Url,
}

/// Why a text is not an endpoint. None of them holds the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Longer than [`Endpoint::BYTES_MAX`].
    #[error("is longer than {} bytes", Endpoint::BYTES_MAX)]
    TooLong,
    /// No URL.
    #[error("is no URL ({0}); write for example https://payments.example.com")]
    Syntax(String),
    /// Another scheme.
    #[error("has the scheme {0:?}; only http and https can be called")]
    Scheme(String),
    /// A user name or a password.
    #[error("holds a user name or password; give it as \"auth\" instead, where it is kept secret")]
    Userinfo,
    /// A query.
    #[error("holds a query; give it in the paths of the definition instead")]
    Query,
    /// A fragment.
    #[error("holds a fragment (#…), which is never sent; remove it")]
    Fragment,
    /// No host, or one longer than a name can be.
    #[error("has no host name of 1 to 253 bytes")]
    Host,
    /// A port where no web server stands.
    #[error(
        "has port {0}, which belongs to another protocol; allowed are 80, 443 and ports from 1024 \
         that are not known to be another's"
    )]
    Port(u16),
}

/// Ports from 1024 where databases, caches, brokers and remote shells listen: what reaches them
/// by HTTP is an attack or a mistake.
const FORBIDDEN_PORTS: [u16; 20] = [
    1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 6000, 6379, 6380, 9042,
    9092, 10250, 11211, 27017,
];

impl Endpoint {
    /// Longest URL, in bytes.
    pub const BYTES_MAX: usize = 2048;

    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// The first [`EndpointError`].
    pub fn new(text: &str) -> Result<Self, EndpointError> {
        if text.len() > Self::BYTES_MAX {
            return Err(EndpointError::TooLong);
        }
        let url = Url::parse(text).map_err(|error| EndpointError::Syntax(error.to_string()))?;
        // Encoding makes it longer, and it is stored and read back encoded.
        if url.as_str().len() > Self::BYTES_MAX {
            return Err(EndpointError::TooLong);
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Userinfo);
        }
        if url.query().is_some() {
            return Err(EndpointError::Query);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        if !(1..=253).contains(&url.host_str().unwrap_or_default().len()) {
            return Err(EndpointError::Host);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !(port == 80 || port == 443 || port >= 1024) || FORBIDDEN_PORTS.contains(&port) {
            return Err(EndpointError::Port(port));
        }
        Ok(Self { url })
    }

    /// The URL, normalised.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Whether it is called over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host in lower case and ASCII, without a trailing dot; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host)
    }

    /// The host as an address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        }
    }

    /// The port, also where the URL leaves it out.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Host and, where it is not the scheme's own, port, as `Host` and `:authority` write them.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The path that every request's path follows: empty, or with a slash in front and none at
    /// the end.
    pub fn base_path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_a_request_needs() {
        let endpoint = Endpoint::new("HTTPS://Pay.Example.com.:8443/api/v1/").unwrap();
        assert_eq!(endpoint.authority(), "pay.example.com.:8443");
        assert_eq!(endpoint.host(), "pay.example.com");
        assert_eq!((endpoint.base_path(), endpoint.port()), ("/api/v1", 8443));
        let plain = Endpoint::new("http://127.1").unwrap();
        assert_eq!((plain.host(), plain.port(), plain.base_path()), ("127.0.0.1", 80, ""));
        assert_eq!(plain.address(), Some(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_its_reason() {
        let grows = format!("http://h/{}", "ä".repeat(400));
        for (text, part) in [
            (grows.as_str(), "longer"),
            ("ftp://h/", "scheme \"ftp\""),
            ("file:///etc/passwd", "scheme"),
            ("gopher://h", "scheme"),
            ("http://user:pw@host/", "user name"),
            ("http://h/?a=1", "query"),
            ("http://h/#a", "fragment"),
            ("https://host:6379/", "port 6379"),
            ("https://host:22", "port 22"),
            ("http://host:25", "port 25"),
            ("http://host:5432", "port 5432"),
            ("not a url", "no URL"),
            ("http://", "no URL"),
        ] {
            let error = Endpoint::new(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
