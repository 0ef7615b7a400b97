//! The configuration in its types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use amends_core::participant::{TargetPolicy, TargetRule};
use serde::{Deserialize, Serialize};

use super::locks::Locks;

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
    /// `[locks]`.
    pub(crate) locks: Locks,
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
    /// Base URL under which participants and browsers reach it; empty: made from `listen`.
    pub(crate) public_url: String,
    /// Folder of the embedded database.
    pub(crate) data_dir: PathBuf,
    /// Longest request body, in bytes.
    pub(crate) body_bytes_max: usize,
    /// Most requests at once.
    pub(crate) requests_max: usize,
    /// Longest time for an answer.
    #[serde(with = "duration_text")]
    pub(crate) request_timeout: Duration,
    /// Most event streams at once.
    pub(crate) sse_clients_max: usize,
    /// Most connections at once.
    pub(crate) connections_max: usize,
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
    /// Partitions of a database that is made now.
    pub(crate) partitions: u16,
    /// Connections for writing and loading sagas.
    pub(crate) connections_max: u32,
    /// Connections for lists, definitions and participants.
    pub(crate) list_connections_max: u32,
    /// Longest time to open a connection, and longest wait for a free one.
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
    /// Most sagas in memory.
    pub(crate) live_sagas_max: usize,
    /// Most bytes that they take, about.
    pub(crate) live_bytes_max: usize,
    /// Most changes that wait for the journal writer.
    pub(crate) journal_queue_max: usize,
    /// Most sagas changed by one transaction.
    pub(crate) batch_sagas_max: usize,
    /// Most bytes of facts in one transaction.
    pub(crate) batch_bytes_max: usize,
    /// Time between two looks for what is due.
    #[serde(with = "duration_text")]
    pub(crate) poll_every: Duration,
    /// A saga that nothing is due for within this time leaves memory.
    #[serde(with = "duration_text")]
    pub(crate) park_after: Duration,
    /// Longest wait for a command to be carried out.
    #[serde(with = "duration_text")]
    pub(crate) command_timeout: Duration,
    /// Longest wait of a submission for the database.
    #[serde(with = "duration_text")]
    pub(crate) submit_timeout: Duration,
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
            public_url: String::new(),
            data_dir: PathBuf::from("amends-data"),
            body_bytes_max: 1024 * 1024,
            requests_max: 4_096,
            request_timeout: Duration::from_secs(30),
            sse_clients_max: 256,
            connections_max: 10_000,
            // With the rest of a drain below the 30 s that container platforms grant.
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: String::new(),
            partitions: 64,
            connections_max: 8,
            list_connections_max: 4,
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(10),
            live_sagas_max: 20_000,
            live_bytes_max: 512 * 1024 * 1024,
            journal_queue_max: 20_000,
            batch_sagas_max: 2_000,
            batch_bytes_max: 8 * 1024 * 1024,
            poll_every: Duration::from_millis(200),
            park_after: Duration::from_secs(5),
            command_timeout: Duration::from_secs(5),
            submit_timeout: Duration::from_secs(5),
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
            // A renewal that is a little late must not lose a lease.
            found.push(("engine.lease-ttl", "must be at least 1s".to_owned()));
        }
        for (key, duration) in [
            ("server.request-timeout", self.server.request_timeout),
            ("database.connect-timeout", self.database.connect_timeout),
            ("engine.poll-every", self.engine.poll_every),
            ("engine.command-timeout", self.engine.command_timeout),
            ("engine.submit-timeout", self.engine.submit_timeout),
        ] {
            if duration.is_zero() {
                found.push((key, "must be longer than nothing".to_owned()));
            }
        }
        for (key, url) in [
            ("server.public-url", &self.server.public_url),
            ("telemetry.otlp-endpoint", &self.telemetry.otlp_endpoint),
        ] {
            if !url.is_empty() && !is_http(url) {
                found.push((key, "must start with http:// or https://".to_owned()));
            }
        }
        let files = [&self.locks.tls_cert_file, &self.locks.tls_key_file];
        if files.map(|file| file.as_os_str().is_empty()) == [false, true] {
            let advice = "must be named too where locks.tls-cert-file is".to_owned();
            found.push(("locks.tls-key-file", advice));
        }
        let rules = self.targets.allow.iter().map(|text| text.parse::<TargetRule>());
        found.extend(rules.filter_map(Result::err).map(|fault| ("targets.allow", fault)));
        found
    }

    /// Whom the server may call.
    ///
    /// A server that others reach must not be a way into its own network unless its operator has
    /// said so, by `allow-private` or by naming the targets.
    pub(crate) fn target_policy(&self) -> TargetPolicy {
        let allow_private = match self.targets.allow_private {
            AllowPrivate::Yes => true,
            AllowPrivate::No => false,
            AllowPrivate::Auto => self.server.listen.ip().is_loopback(),
        };
        let rules = self.targets.allow.iter().filter_map(|text| text.parse().ok());
        TargetPolicy { allow_private, allow: rules.collect() }
    }

    /// The base URL that others use, given the address that was bound; without a trailing slash.
    pub(crate) fn public_url(&self, bound: SocketAddr) -> String {
        if self.server.public_url.is_empty() {
            return browsable(bound);
        }
        self.server.public_url.trim_end_matches('/').to_owned()
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
pub(super) mod duration_text {
    use std::time::Duration;

    use amends_core::{format_duration, parse_duration};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Duration,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format_duration(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(input)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_others_reach_refuses_private_targets_unless_told() {
        let mut settings = Settings::default();
        let is_allowed = |settings: &Settings| {
            settings.target_policy().judge("10.1.2.3", "10.1.2.3".parse().unwrap()).is_ok()
        };
        assert!(is_allowed(&settings));
        settings.server.listen = "0.0.0.0:7411".parse().unwrap();
        assert!(!is_allowed(&settings));
        settings.targets.allow = vec!["10.0.0.0/8".to_owned()];
        assert!(is_allowed(&settings));
        settings.targets.allow = vec!["*.example.org".to_owned()];
        assert!(!is_allowed(&settings));
    }

    #[test]
    fn what_the_types_cannot_check_is_named_by_its_key() {
        let mut settings = Settings::default();
        settings.derive();
        assert_eq!(settings.contradictions(), []);
        settings.database.url = "mysql://x".to_owned();
        settings.engine.lease_ttl = Duration::from_millis(999);
        settings.engine.poll_every = Duration::ZERO;
        settings.server.public_url = "amends.example.org".to_owned();
        settings.targets.allow = vec!["not a host".to_owned()];
        let keys: Vec<&str> = settings.contradictions().into_iter().map(|(key, _)| key).collect();
        let expected = [
            "database.url",
            "engine.lease-ttl",
            "engine.poll-every",
            "server.public-url",
            "targets.allow",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn all_addresses_are_browsed_at_loopback() {
        assert_eq!(browsable("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(browsable("[::]:80".parse().unwrap()), "http://[::1]:80");
    }
}
