//! Every key there is: its kind and one sentence about it.
//!
//! `config print` and the reference in the docs take their words from here. A test holds this
//! table and [`super::Settings`] together.

use std::net::SocketAddr;

use toml::Value;

use super::origin::Raw;

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// `section.key`, in kebab-case.
    pub(super) path: &'static str,
    /// What its value must be.
    pub(super) kind: Kind,
    /// What it does.
    pub(super) about: &'static str,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A URL; a password in it is never shown. May be empty.
    Url,
    /// An IP address with a port.
    Address,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// A duration such as `250ms`, `2s`, `5m`, `1h30m`, `7d`.
    Duration,
    /// A list of texts; separated by commas outside the file.
    List,
    /// A list of URLs of Redis masters; passwords in them are never shown. Separated by commas
    /// outside the file.
    Masters,
}

use Kind::{Address, Choice, Duration, Integer, List, Masters, Text, Url};

/// Largest number that a count may have.
const COUNT_MAX: i64 = 1_000_000;

const fn key(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { path, kind, about }
}

/// All keys, in the order in which they are printed; a section's keys stand together.
pub(super) const KEYS: &[Key] = &[
    key(
        "server.listen",
        Address,
        "Address and port of the API and the console; port 0 takes a free one.",
    ),
    key(
        "server.public-url",
        Url,
        "Base URL under which participants and browsers reach this coordinator; empty: made from `listen`.",
    ),
    key("server.data-dir", Text, "Folder of the embedded database."),
    key(
        "server.body-bytes-max",
        Integer(1_024, 1 << 30),
        "Longest request body, in bytes; longer ones are answered 413.",
    ),
    key(
        "server.requests-max",
        Integer(1, COUNT_MAX),
        "Most requests at once; more are answered 503.",
    ),
    key(
        "server.request-timeout",
        Duration,
        "Longest time for an answer, besides what `Prefer: wait` asks for.",
    ),
    key(
        "server.sse-clients-max",
        Integer(1, COUNT_MAX),
        "Most event streams at once; more are answered 503.",
    ),
    key(
        "server.connections-max",
        Integer(1, COUNT_MAX),
        "Most connections at once; further ones wait to be taken.",
    ),
    key(
        "server.drain-timeout",
        Duration,
        "How long a stopping server waits for calls in flight; what is still open then counts as unknown and is repeated by the next owner.",
    ),
    key(
        "database.url",
        Url,
        "sqlite://FILE or postgres://USER@HOST/NAME; empty: amends.db in the data folder.",
    ),
    key(
        "database.partitions",
        Integer(1, 1_024),
        "Partitions of a database that is made now; one that exists keeps what it has.",
    ),
    key(
        "database.connections-max",
        Integer(1, 1_000),
        "Connections to PostgreSQL for writing and loading sagas.",
    ),
    key(
        "database.list-connections-max",
        Integer(1, 1_000),
        "Connections to PostgreSQL for lists, definitions and participants.",
    ),
    key(
        "database.connect-timeout",
        Duration,
        "Longest time to open a connection, and longest wait for a free one.",
    ),
    key(
        "engine.lease-ttl",
        Duration,
        "Life of a lease without renewal; a dead coordinator's sagas go on elsewhere after it.",
    ),
    key(
        "engine.live-sagas-max",
        Integer(1, COUNT_MAX),
        "Most sagas in memory; more are answered 503 with Retry-After.",
    ),
    key(
        "engine.live-bytes-max",
        Integer(1 << 20, 1 << 40),
        "Most bytes that sagas take in memory, about; more are answered 503 with Retry-After.",
    ),
    key(
        "engine.journal-queue-max",
        Integer(1, COUNT_MAX),
        "Most changes that wait for the journal writer.",
    ),
    key("engine.batch-sagas-max", Integer(1, COUNT_MAX), "Most sagas changed by one transaction."),
    key(
        "engine.batch-bytes-max",
        Integer(1_024, 1 << 30),
        "Most bytes of facts in one transaction, unless one change alone has more.",
    ),
    key(
        "engine.poll-every",
        Duration,
        "Time between two looks for sagas that are due and for commands of other coordinators.",
    ),
    key(
        "engine.park-after",
        Duration,
        "A saga that nothing is due for within this time leaves memory.",
    ),
    key(
        "engine.command-timeout",
        Duration,
        "Longest wait for the owner of a saga to carry a command out.",
    ),
    key("engine.submit-timeout", Duration, "Longest wait of a submission for the database."),
    key("engine.retention", Duration, "How long ended sagas are kept; 0ms keeps them for ever."),
    key(
        "locks.redis",
        Masters,
        "Redis masters that guard lock keys towards writers that are not sagas, one URL each: redis://, rediss:// or redis+cluster://; empty: no guards.",
    ),
    key(
        "locks.ttl",
        Duration,
        "Life of a guard without renewal, 1s to 5m; the same for all coordinators.",
    ),
    key(
        "locks.node-timeout",
        Duration,
        "Longest wait for one master's answer, 1ms to a tenth of the ttl.",
    ),
    key(
        "locks.connect-timeout",
        Duration,
        "Longest time to open a connection to a master, up to 1m.",
    ),
    key(
        "locks.prefix",
        Text,
        "What stands before each lock key in Redis; the same for all coordinators and outside writers.",
    ),
    key(
        "locks.tls-ca-file",
        Text,
        "PEM file with certificate authorities to trust besides the machine's, for rediss://; empty: none.",
    ),
    key(
        "locks.tls-cert-file",
        Text,
        "PEM file with the certificate that masters are shown, for rediss://; empty: none.",
    ),
    key("locks.tls-key-file", Text, "PEM file with that certificate's key."),
    key(
        "targets.allow-private",
        Choice(&["auto", "yes", "no"]),
        "Whether participants may have loopback and private addresses that no entry of `allow` names; auto: only while `listen` is a loopback address.",
    ),
    key(
        "targets.allow",
        List,
        "Hosts, patterns such as *.example.org and networks such as 10.0.0.0/8 that may be called; empty: all that allow-private leaves.",
    ),
    key("telemetry.log-format", Choice(&["text", "json"]), "How log lines look."),
    key(
        "telemetry.log-filter",
        Text,
        "Which log lines are written, such as info,amends_engine=debug.",
    ),
    key(
        "telemetry.otlp-endpoint",
        Url,
        "Collector for traces (OTLP over gRPC), such as http://127.0.0.1:4317; empty: none.",
    ),
    key("telemetry.service-name", Text, "Name of this service in traces."),
];

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The key whose section and name are these words, such as `SERVER_DATA_DIR`.
pub(super) fn of_words(words: &str) -> Option<&'static str> {
    let spelled = |key: &&Key| key.path.replace(['.', '-'], "_").eq_ignore_ascii_case(words);
    KEYS.iter().find(spelled).map(|key| key.path)
}

/// What may have been meant by a path that does not exist.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    KEYS.iter()
        .map(|key| {
            let (its_section, its_name) = key.path.split_once('.').unwrap_or(("", key.path));
            let likeness = strsim::normalized_damerau_levenshtein(name, its_name);
            // The right name in the wrong section is a common slip, the right section likelier.
            (key.path, if section == its_section { likeness } else { likeness * 0.9 })
        })
        .filter(|(_, likeness)| *likeness >= 0.65)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(path, _)| path)
}

impl Kind {
    /// The value in its type, or what is wrong with it.
    pub(super) fn read(self, raw: &Raw) -> Result<Value, String> {
        let value = match raw {
            Raw::Typed(value) => value.clone(),
            Raw::Text(text) => self.parse(text),
        };
        match (self, &value) {
            (Text | Url, Value::String(_)) => Ok(value),
            (Text | Url, _) => Err(format!("must be a text, not {value}")),
            (Address, _) => {
                checked(value, "an address with a port, such as 127.0.0.1:7411", |text| {
                    text.parse::<SocketAddr>().is_ok()
                })
            }
            (Duration, _) => {
                checked(value, "a duration, such as 250ms, 2s, 5m, 1h30m or 7d", |text| {
                    amends_core::parse_duration(text).is_ok()
                })
            }
            (Choice(words), _) => checked(value, &format!("one of {}", words.join(", ")), |text| {
                words.contains(&text)
            }),
            (Integer(min, max), Value::Integer(number)) if (min..=max).contains(number) => {
                Ok(value)
            }
            (Integer(min, max), _) => {
                Err(format!("must be a whole number from {min} to {max}, not {value}"))
            }
            (List, Value::Array(items)) if items.iter().all(Value::is_str) => Ok(value),
            (Masters, Value::Array(items)) if matches!(raw, Raw::Text(_)) && items.is_empty() => {
                Err("names no Redis master; leave it out to run without guards".to_owned())
            }
            (Masters, Value::Array(items)) if items.iter().all(Value::is_str) => Ok(value),
            // The value is not repeated: it may hold a password.
            (Masters, _) => {
                Err("must be a list of URLs, such as [\"redis://10.0.0.1\"]".to_owned())
            }
            (List, _) => {
                Err(format!("must be a list of texts, such as [\"10.0.0.0/8\"], not {value}"))
            }
        }
    }

    /// Text of the environment or a flag, in the type that the key has.
    fn parse(self, text: &str) -> Value {
        match self {
            Text | Url | Address | Choice(_) | Duration => Value::String(text.to_owned()),
            Integer(..) => {
                text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
            }
            List => array(items(text)),
            Masters => {
                let mut urls: Vec<String> = Vec::new();
                for item in items(text) {
                    match urls.last_mut() {
                        // A cluster's URL has commas of its own.
                        Some(last) if last.contains("+cluster://") && !item.contains("://") => {
                            last.push(',');
                            last.push_str(item);
                        }
                        Some(_) | None => urls.push(item.to_owned()),
                    }
                }
                array(urls.iter().map(String::as_str))
            }
        }
    }
}

/// What stands between commas.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn array<'a>(items: impl Iterator<Item = &'a str>) -> Value {
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

/// A text that `is_right`, or a sentence saying that it must be `what`.
fn checked(value: Value, what: &str, is_right: impl Fn(&str) -> bool) -> Result<Value, String> {
    match value.as_str() {
        Some(text) if is_right(text) => Ok(value),
        Some(_) | None => Err(format!("must be {what}, not {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key() {
        assert_eq!(nearest("server.lissten"), Some("server.listen"));
        assert_eq!(nearest("engine.log-format"), Some("telemetry.log-format"));
        assert_eq!(nearest("server.database-url"), None);
    }

    #[test]
    fn values_out_of_kind_say_what_is_right() {
        let read = |path: &str, text: &str| find(path).unwrap().kind.read(&Raw::Text(text.into()));
        assert!(read("server.listen", "nowhere").unwrap_err().contains("127.0.0.1:7411"));
        assert!(read("engine.lease-ttl", "10").unwrap_err().contains("250ms"));
        assert!(read("telemetry.log-format", "xml").unwrap_err().contains("text, json"));
        assert!(read("database.connections-max", "0").unwrap_err().contains("from 1 to"));
        assert_eq!(read("targets.allow", "a, b").unwrap().as_array().unwrap().len(), 2);
        assert!(read("locks.redis", " , ").unwrap_err().contains("no Redis master"));
    }

    #[test]
    fn masters_are_told_apart_from_the_nodes_of_a_cluster() {
        let text = "redis://a,redis+cluster://b:1,c:2, rediss://d";
        let read = find("locks.redis").unwrap().kind.read(&Raw::Text(text.into())).unwrap();
        let urls: Vec<_> =
            read.as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
        assert_eq!(urls, ["redis://a", "redis+cluster://b:1,c:2", "rediss://d"]);
    }

    #[test]
    fn a_fault_of_masters_never_repeats_what_was_given() {
        let value = Value::String("redis://:secret@a".into());
        let fault = find("locks.redis").unwrap().kind.read(&Raw::Typed(value)).unwrap_err();
        assert!(fault.contains("list of URLs") && !fault.contains("secret"), "{fault}");
    }
}
