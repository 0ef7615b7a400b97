//! TLS towards participants: rustls with aws-lc-rs, and certificate authorities read when they
//! are first needed, so that a machine without any can still call over plain HTTP.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use crate::config::Roots;

#[derive(Debug)]
pub(crate) struct Tls {
    roots: Roots,
    http1: OnceLock<Result<Arc<ClientConfig>, String>>,
    http2: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots, http1: OnceLock::new(), http2: OnceLock::new() }
    }

    /// The client's side of TLS; with `http2` it is offered besides HTTP/1.1.
    ///
    /// # Errors
    ///
    /// A sentence: nobody to trust was found.
    pub(crate) fn client(&self, http2: bool) -> Result<Arc<ClientConfig>, String> {
        let (place, protocols) = if http2 {
            (&self.http2, &[&b"h2"[..], b"http/1.1"] as &[_])
        } else {
            (&self.http1, &[&b"http/1.1"[..]] as &[_])
        };
        place.get_or_init(|| build(&self.roots, protocols)).clone()
    }
}

fn build(roots: &Roots, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, String> {
    let mut store = RootCertStore::empty();
    if roots.native {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
    }
    store.add_parsable_certificates(roots.extra.iter().cloned());
    if store.is_empty() {
        return Err("this machine has no certificate authorities; install its CA certificates \
                    (Debian: ca-certificates) or name a file of them in the server's settings"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
