//! Settings of the lock service, checked before anything is dialled.

use std::fmt;
use std::time::Duration;

/// How the masters are reached and how long guards live.
#[derive(Clone)]
pub struct Config {
    /// One URL a master; an odd number. See the crate's documentation for their form.
    pub urls: Vec<String>,
    /// How long a guard lives unless it is extended: 1 second to 5 minutes. The same for all
    /// coordinators.
    pub ttl: Duration,
    /// How long one master's answer is waited for: 1 ms to a tenth of the ttl.
    pub node_timeout: Duration,
    /// How long a connection may take to make, with its greetings.
    pub connect_timeout: Duration,
    /// What stands before each lock key in Redis: 1 to 64 visible characters.
    pub prefix: String,
    /// For `rediss://`.
    pub tls: Tls,
}

impl Config {
    /// Guards of ten seconds, and 50 ms for each master.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            ttl: Duration::from_secs(10),
            node_timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            prefix: "amends:lock:".to_owned(),
            tls: Tls::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let within =
            |value: Duration, least: Duration, most: Duration| (least..=most).contains(&value);
        if !within(self.ttl, Duration::from_secs(1), Duration::from_mins(5)) {
            return Err(Error::Ttl(self.ttl));
        }
        if !within(self.node_timeout, Duration::from_millis(1), self.ttl / 10) {
            return Err(Error::NodeTimeout { given: self.node_timeout, most: self.ttl / 10 });
        }
        if !within(self.connect_timeout, self.node_timeout, Duration::from_mins(1)) {
            return Err(Error::ConnectTimeout(self.connect_timeout));
        }
        let visible = |c: char| !c.is_whitespace() && !c.is_control();
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.chars().all(visible) {
            return Err(Error::Prefix);
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs hold passwords.
        f.debug_struct("Config")
            .field("urls", &self.urls.len())
            .field("ttl", &self.ttl)
            .field("node_timeout", &self.node_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .finish()
    }
}

/// Whom to believe over TLS, and who we are.
#[derive(Clone)]
pub struct Tls {
    /// The certificate authorities of this machine.
    pub native: bool,
    /// Further ones, as PEM.
    pub ca_pem: Vec<u8>,
    /// Our certificate and its key, as PEM, for masters that ask for one.
    pub client_pem: Option<(Vec<u8>, Vec<u8>)>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { native: true, ca_pem: Vec::new(), client_pem: None }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("native", &self.native)
            .field("ca_pem", &self.ca_pem.len())
            .field("client_pem", &self.client_pem.is_some())
            .finish()
    }
}

/// Why there is no lock service with these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No URL.
    #[error("no Redis master is named; give at least one URL, better three or five")]
    NoMasters,
    /// A URL of another form.
    #[error(
        "URL {place} is no URL of a Redis master: {why}; it has to be \
         redis://[user[:password]@]host[:port][/database], rediss://… for TLS, or \
         redis+cluster://host:port,host:port for a cluster"
    )]
    Url {
        /// The URL's place in the list, from 1; the text may hold a password.
        place: usize,
        /// What is wrong.
        why: String,
    },
    /// Two URLs of one master.
    #[error(
        "{first} and {second} are the same master: its vote would count twice, and its end would \
         take two votes away; give each master once"
    )]
    SameMaster {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A life that is too short or too long.
    #[error("a guard can't live for {0:?}; 1 second to 5 minutes are possible")]
    Ttl(Duration),
    /// A time-out that leaves too little of a guard's life, or none.
    #[error("{given:?} is no time-out for one master; 1 ms to a tenth of the ttl, {most:?}, are")]
    NodeTimeout {
        /// As given.
        given: Duration,
        /// As allowed.
        most: Duration,
    },
    /// A time-out for connections that can't be.
    #[error("{0:?} is no time-out for connections; from the time-out for one master to 60 s are")]
    ConnectTimeout(Duration),
    /// A prefix that can't be.
    #[error("the prefix of keys has to have 1 to 64 bytes and no white space")]
    Prefix,
    /// Certificates that can't be read.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}
