//! The configuration in its types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// `[server]`.
    pub(crate) server: Server,
    /// `[database]`.
    pub(crate) database: Database,
    /// `[engine]`.
    pub(crate) engine: Engine,
    /// `[targets]`.
    pub(crate) targets: Targets,
    /// `[telemetry]`.
    pub(crate) telemetry: Telemetry,
}

/// Where the server listens and how it stops. Table `[server]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Server {
    /// Address and port of the API and the console.
    pub(crate) listen: SocketAddr,
    /// Base URL under which others reach this coordinator; empty: made from `listen`.
    pub(crate) advertise_url: String,
    /// Folder of the embedded database.
    pub(crate) data_dir: PathBuf,
    /// Time between "not ready" and the first refusal of a stopping server.
    #[serde(with = "duration_text")]
    pub(crate) drain_delay: Duration,
    /// Longest wait for calls in flight of a stopping server.
    #[serde(with = "duration_text")]
    pub(crate) drain_timeout: Duration,
}

/// The store. Table `[database]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Database {
    /// `sqlite://…` or `postgres://…`; never empty once loaded.
    pub(crate) url: String,
    /// Connections to PostgreSQL.
    pub(crate) connections_max: u32,
    /// Longest wait for a connection.
    #[serde(with = "duration_text")]
    pub(crate) connect_timeout: Duration,
}

/// How sagas are driven. Table `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Engine {
    /// Life of a lease without renewal; renewed at a third of it.
    #[serde(with = "duration_text")]
    pub(crate) lease_ttl: Duration,
    /// Most sagas in memory at once.
    pub(crate) in_flight_max: usize,
    /// Most changes that wait for the journal writer.
    pub(crate) queue_max: usize,
    /// Most calls in flight at once.
    pub(crate) calls_max: usize,
    /// How long ended sagas are kept; zero: for ever.
    #[serde(with = "duration_text")]
    pub(crate) retention: Duration,
}

/// Whom the server may call. Table `[targets]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Targets {
    /// Whether loopback and private addresses may be called.
    pub(crate) allow_private: AllowPrivate,
    /// Hosts, patterns and networks that may be called; empty: no list.
    pub(crate) allow: Vec<String>,
}

/// Whether loopback and private addresses may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AllowPrivate {
    /// Only while the server itself listens on a loopback address.
    #[default]
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// Logs and traces. Table `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Telemetry {
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which log lines are written, in the words of tracing-subscriber's `EnvFilter`.
    pub(crate) log_filter: String,
    /// Collector for traces; empty: none.
    pub(crate) otlp_endpoint: String,
    /// Name of this service in traces.
    pub(crate) service_name: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7411),
            advertise_url: String::new(),
            data_dir: PathBuf::from("amends-data"),
            drain_delay: Duration::ZERO,
            // Below the 30 s that container platforms grant before they kill.
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: String::new(), connections_max: 16, connect_timeout: Duration::from_secs(5) }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(10),
            in_flight_max: 10_000,
            queue_max: 10_000,
            calls_max: 4_096,
            retention: Duration::from_hours(30 * 24),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            otlp_endpoint: String::new(),
            service_name: "amends".to_owned(),
        }
    }
}

impl Settings {
    /// Fills in what follows from other keys.
    pub(super) fn derive(&mut self) {
        if self.database.url.is_empty() {
            let file = self.server.data_dir.join("amends.db");
            self.database.url = format!("sqlite://{}", file.display());
        }
    }

    /// What the types cannot check: the key as the file spells it, and what is wrong.
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if !self.database.url.starts_with("sqlite:") && !is_postgres(&self.database.url) {
            let advice = "must start with sqlite:// or postgres://".to_owned();
            found.push(("database.url", advice));
        }
        if self.engine.lease_ttl < Duration::from_secs(1) {
            // The store's clock and a slow renewal need some room.
            found.push(("engine.lease-ttl", "must be at least 1s".to_owned()));
        }
        let advertised = &self.server.advertise_url;
        if !advertised.is_empty() && !is_http(advertised) {
            let advice = "must start with http:// or https://".to_owned();
            found.push(("server.advertise-url", advice));
        }
        let collector = &self.telemetry.otlp_endpoint;
        if !collector.is_empty() && !is_http(collector) {
            let advice = "must start with http:// or https://".to_owned();
            found.push(("telemetry.otlp-endpoint", advice));
        }
        found
    }

    /// Whether participants may have loopback and private addresses.
    ///
    /// A server that others reach must not be a way into its own network unless its operator has
    /// said so, by `allow-private` or by naming the targets.
    pub(crate) fn allows_private_targets(&self) -> bool {
        match self.targets.allow_private {
            AllowPrivate::Yes => true,
            AllowPrivate::No => false,
            AllowPrivate::Auto => {
                self.server.listen.ip().is_loopback() || !self.targets.allow.is_empty()
            }
        }
    }

    /// The base URL that others use, given the address that was bound; without a trailing slash.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> String {
        if self.server.advertise_url.is_empty() {
            return browsable(bound);
        }
        self.server.advertise_url.trim_end_matches('/').to_owned()
    }
}

/// A URL for `bound` that works on this machine: "all addresses" is no address to go to.
pub(crate) fn browsable(bound: SocketAddr) -> String {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Durations as people write them.
mod duration_text {
    use std::time::Duration;

    use amends_core::{format_duration, parse_duration};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(input)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_others_reach_refuses_private_targets_unless_told() {
        let mut settings = Settings::default();
        assert!(settings.allows_private_targets());
        settings.server.listen = "0.0.0.0:7411".parse().unwrap();
        assert!(!settings.allows_private_targets());
        settings.targets.allow = vec!["10.0.0.0/8".to_owned()];
        assert!(settings.allows_private_targets());
        settings.targets.allow_private = AllowPrivate::No;
        assert!(!settings.allows_private_targets());
    }

    #[test]
    fn all_addresses_are_browsed_at_loopback() {
        assert_eq!(browsable("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(browsable("[::]:80".parse().unwrap()), "http://[::1]:80");
    }
}
