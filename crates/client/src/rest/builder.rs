//! Making a client: addresses, sign-in, time-outs.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::client::{Client, Inner};
use super::error::{Error, Result};
use super::retry::RetryPolicy;

/// Longest name of who asks, in bytes; the server's bound.
const ACTOR_BYTES_MAX: usize = 128;

/// A client in the making. Made by [`Client::builder`].
#[derive(Clone)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    bases: Vec<String>,
    token: Option<String>,
    actor: Option<String>,
    connect_timeout: Duration,
    answer_timeout: Duration,
    retry: RetryPolicy,
    root_certificates: Vec<u8>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("bases", &self.bases).finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(base_url: &str) -> Self {
        Self {
            bases: vec![base_url.to_owned()],
            token: None,
            actor: None,
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            root_certificates: Vec::new(),
        }
    }

    /// One more coordinator over the same store. The client stays with one that answers and goes
    /// to the next when it does not.
    pub fn base_url(mut self, url: &str) -> Self {
        self.bases.push(url.to_owned());
        self
    }

    /// Sent as `Authorization: Bearer …` with every request to a base URL, and to nobody else.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The name that journals give for who asked; at most 128 visible ASCII characters.
    pub fn actor(mut self, name: impl Into<String>) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// Longest wait for a connection. Default 3 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Longest wait for one answer, beside what the request asks the server to wait. Default 30 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// How requests are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Certificates (PEM) of authorities to trust for `https`, beside those of the system.
    pub fn root_certificates_pem(mut self, pem: &[u8]) -> Self {
        self.root_certificates.extend_from_slice(pem);
        self.root_certificates.push(b'\n');
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: a base URL, the token, the actor or a certificate is ill-formed.
    pub fn build(self) -> Result<Client> {
        let bases: Vec<Url> = self.bases.iter().map(|url| base(url)).collect::<Result<_>>()?;
        let token = self.token.as_deref().map(bearer).transpose()?;
        let actor = self.actor.as_deref().map(actor).transpose()?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .user_agent(concat!("amends-client/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls(&self.root_certificates)?)
            .build()
            .map_err(|error| Error::Invalid(format!("no HTTP client can be made: {error}")))?;
        let inner = Inner {
            http,
            bases,
            preferred: AtomicUsize::new(0),
            token,
            actor,
            answer_timeout: self.answer_timeout,
            retry: self.retry,
        };
        Ok(Client(Arc::new(inner)))
    }
}

fn base(text: &str) -> Result<Url> {
    let wrong =
        |what: &str| Error::Invalid(format!("the base URL {what}; write it as http://HOST:PORT"));
    let mut url = Url::parse(text).map_err(|error| wrong(&format!("{text:?} is none: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong(&format!("{text:?} is not one of a server")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a password; give a token by `bearer_token` instead"));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn bearer(token: &str) -> Result<HeaderValue> {
    let is_good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = is_good.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
    let mut value = value.ok_or_else(|| {
        Error::Invalid("the bearer token must be visible ASCII characters".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) fn actor(name: &str) -> Result<HeaderValue> {
    let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let is_good = (1..=ACTOR_BYTES_MAX).contains(&name.len()) && is_visible;
    is_good.then(|| HeaderValue::from_str(name).ok()).flatten().ok_or_else(|| {
        let bound = ACTOR_BYTES_MAX;
        Error::Invalid(format!("the actor {name:?} must be 1 to {bound} ASCII characters"))
    })
}

/// Trusts the system's authorities and those given. A system without any is no error here: with
/// plain HTTP they are not needed, and with `https` the handshake says what is missing.
fn tls(pem: &[u8]) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let wrong = |what: String| Error::Invalid(format!("a root certificate is no good: {what}"));
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Invalid(format!("TLS is not available: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ill_formed_settings_are_refused_with_advice() {
        for (builder, expected) in [
            (Builder::new("127.0.0.1:7411"), "http://HOST:PORT"),
            (Builder::new("ftp://h"), "not one of a server"),
            (Builder::new("http://u:secret@h"), "bearer_token"),
            (Builder::new("http://h").base_url("nonsense"), "http://HOST:PORT"),
            (Builder::new("http://h").bearer_token("a b"), "visible ASCII"),
            (Builder::new("http://h").actor("x".repeat(129)), "1 to 128"),
            (
                Builder::new("http://h").root_certificates_pem(
                    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                ),
                "root certificate",
            ),
        ] {
            let text = builder.build().unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let builder = Builder::new("http://h").bearer_token("hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
    }
}
