//! Where one master is, from its URL.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    ProtocolVersion, TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::config::{Config, Error, Tls};

/// One master: a server, or a cluster that counts as one.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// The server, or those nodes of the cluster that are named.
    pub(crate) seeds: Vec<ConnectionInfo>,
    /// Whether it is a cluster.
    pub(crate) cluster: bool,
    /// Without credentials.
    pub(crate) address: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// All masters of a configuration, each given once.
pub(crate) fn all(config: &Config) -> Result<Vec<Endpoint>, Error> {
    if config.urls.is_empty() {
        return Err(Error::NoMasters);
    }
    let tls = needs_tls(config).then(|| certificates(&config.tls)).transpose()?;
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (index, url) in config.urls.iter().enumerate() {
        let refused = |why: String| Error::Url { place: index + 1, why };
        let endpoint = parse(url.trim(), tls.as_ref()).map_err(refused)?;
        if let Some(first) = endpoints.iter().find(|other| other.shares_a_seed_with(&endpoint)) {
            let (first, second) = (first.address.clone(), endpoint.address);
            return Err(Error::SameMaster { first, second });
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

impl Endpoint {
    fn shares_a_seed_with(&self, other: &Self) -> bool {
        // Databases and TLS aside: it would be the same server.
        let names = |endpoint: &Self| -> Vec<String> {
            endpoint.seeds.iter().map(|seed| seed.addr().to_string()).collect()
        };
        let theirs = names(other);
        names(self).iter().any(|name| theirs.contains(name))
    }
}

fn needs_tls(config: &Config) -> bool {
    config.urls.iter().any(|url| url.trim().starts_with("rediss"))
}

/// The words of its errors never repeat the URL, which may hold a password.
fn parse(url: &str, tls: Option<&TlsCertificates>) -> Result<Endpoint, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme, such as redis://")?;
    let (plain, cluster) = match scheme {
        "redis" | "rediss" => (scheme, false),
        "redis+cluster" => ("redis", true),
        "rediss+cluster" => ("rediss", true),
        _ => return Err("its scheme is unknown".to_owned()),
    };
    if rest.contains('#') || rest.contains('?') {
        return Err("it has a query or a fragment".to_owned());
    }
    let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    if cluster && !matches!(database, "" | "0") {
        return Err("a cluster has no databases".to_owned());
    }
    let hosts: Vec<&str> = if cluster { hosts.split(',').collect() } else { vec![hosts] };
    let at = if login.is_empty() { "" } else { "@" };
    let seed = |host: &&str| server(&format!("{plain}://{login}{at}{host}/{database}"), tls);
    let seeds = hosts.iter().map(seed).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = seeds.iter().map(|seed| seed.addr().to_string()).collect();
    let database =
        if matches!(database, "" | "0") { String::new() } else { format!("/{database}") };
    let address = format!("{scheme}://{}{database}", names.join(","));
    Ok(Endpoint { seeds, cluster, address })
}

fn server(url: &str, tls: Option<&TlsCertificates>) -> Result<ConnectionInfo, String> {
    let parsed = url::Url::parse(url).map_err(|error| error.to_string())?;
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".to_owned());
    }
    let mut info = parsed.into_connection_info().map_err(|error| error.category().to_owned())?;
    if let (ConnectionAddr::TcpTls { .. }, Some(tls)) = (info.addr(), tls) {
        let client = Client::build_with_tls(info, tls.clone());
        info = client.map_err(|error| error.to_string())?.get_connection_info().clone();
    }
    let settings = info.redis_settings().clone();
    Ok(info
        .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name())
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// The same server's settings for another node of its cluster.
pub(crate) fn sibling(seed: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let addr = match seed.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        // A URL of ours is never a path.
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) | _ => ConnectionAddr::Tcp(host, port),
    };
    seed.clone().set_addr(addr)
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, Error> {
    // An error says that there is one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let extra = CertificateDer::pem_slice_iter(&tls.ca_pem).collect::<Result<Vec<_>, _>>();
    let extra = extra.map_err(|error| Error::Tls(format!("the authorities' PEM: {error}")))?;
    let native = tls.native.then(|| rustls_native_certs::load_native_certs().certs);
    let mut roots = rustls::RootCertStore::empty();
    let mut pem = String::new();
    for root in native.into_iter().flatten().chain(extra) {
        // One that is not understood would make the whole list useless.
        if roots.add(root.clone()).is_ok() {
            pem += "-----BEGIN CERTIFICATE-----\n";
            pem += &STANDARD.encode(&root);
            pem += "\n-----END CERTIFICATE-----\n";
        }
    }
    if roots.is_empty() {
        return Err(Error::Tls(
            "there are no certificate authorities; install this machine's (Debian: \
             ca-certificates) or name a file of them"
                .to_owned(),
        ));
    }
    let client_tls = tls
        .client_pem
        .clone()
        .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    Ok(TlsCertificates { client_tls, root_cert: Some(pem.into_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(urls: &[&str]) -> Result<Vec<Endpoint>, Error> {
        all(&Config::new(urls.iter().copied()))
    }

    fn why(url: &str) -> String {
        endpoints(&[url]).unwrap_err().to_string()
    }

    #[test]
    fn addresses_are_shown_without_credentials() {
        let urls = [
            "redis://user:se%40cret@[::1]:7000/3",
            "rediss://:secret@redis.example",
            "redis+cluster://user:secret@a:1,b:2",
        ];
        let found = endpoints(&urls).unwrap();
        let addresses: Vec<&str> = found.iter().map(|found| found.address.as_str()).collect();
        assert_eq!(
            addresses,
            ["redis://::1:7000/3", "rediss://redis.example:6379", "redis+cluster://a:1,b:2"]
        );
        assert_eq!(found[0].seeds[0].redis_settings().password(), Some("se@cret"));
        assert_eq!(found[2].seeds[1].redis_settings().username(), Some("user"));
        assert!(!format!("{found:?}").contains("cret"));
    }

    #[test]
    fn other_urls_are_refused_without_repeating_them() {
        for url in [
            "secret",
            "http://:secret@host",
            "redis://",
            "redis://:secret@host:port",
            "redis://:secret@host/#insecure",
            "redis://:secret@host/x",
            "redis+cluster://:secret@a:1,b:2/1",
            "redis+cluster://a:1,",
        ] {
            let why = why(url);
            assert!(why.starts_with("URL 1 is no URL of a Redis master"), "{url}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn one_server_by_two_urls_is_refused() {
        let error = endpoints(&["redis://a:1/0", "redis://b:1", "redis://u:p@a:1/2"]).unwrap_err();
        let same = Error::SameMaster {
            first: "redis://a:1".to_owned(),
            second: "redis://a:1/2".to_owned(),
        };
        assert_eq!(error, same);
        assert!(endpoints(&["redis+cluster://a:1,b:1", "redis://b:1"]).is_err());
        assert_eq!(endpoints(&[]).unwrap_err(), Error::NoMasters);
    }
}
