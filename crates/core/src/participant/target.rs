//! Which targets may be called: decides about names and addresses, resolves nothing.
//!
//! # Invariants
//!
//! * Link-local, metadata, multicast and unspecified addresses are never allowed, by no rule, in
//!   none of the forms in which IPv6 embeds IPv4.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address_class::Class;
use super::{Endpoint, ParticipantSpec};
use crate::definition::{Fault, FaultCode};

/// Which targets a coordinator may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPolicy {
    /// Whether loopback and private addresses may be called without a rule that names them.
    pub allow_private: bool,
    /// Without rules: everything. With rules: only names and addresses that one of them matches.
    /// A network, and a name without a star, also allow the private addresses that they name.
    pub allow: Vec<TargetRule>,
}

/// One allowed target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetRule {
    /// Exactly this name, in lower case.
    Host(String),
    /// Every name under this one; kept with the dot in front.
    Under(String),
    /// Addresses.
    Net(IpNet),
}

/// The target may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Link-local, metadata service, multicast, unspecified or reserved: no rule allows it.
    #[error(
        "the target is a link-local, metadata, multicast or reserved address, which is never called"
    )]
    Never,
    /// A private or loopback address.
    #[error(
        "the target is a private or loopback address; to call it, name its host or network in the \
         server's list of allowed targets"
    )]
    Private,
    /// No rule names it.
    #[error("the target is not in the server's list of allowed targets")]
    NotListed,
}

/// Names under which clouds serve credentials.
const METADATA_NAMES: [&str; 4] =
    ["metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Names that only ever lead to private addresses.
const PRIVATE_SUFFIXES: [&str; 5] = [".localhost", ".local", ".internal", ".svc", ".cluster.local"];

impl TargetPolicy {
    /// Everything but what is never allowed.
    pub const fn permissive() -> Self {
        Self { allow_private: true, allow: Vec::new() }
    }

    /// Judges one address of `host` (in lower case; a literal address may stand there too).
    ///
    /// # Errors
    ///
    /// [`Blocked`] says why it may not be called.
    pub fn judge(&self, host: &str, address: IpAddr) -> Result<(), Blocked> {
        let address = address.to_canonical();
        let class = Class::of(address);
        if class == Class::Never || is_metadata_name(host) {
            return Err(Blocked::Never);
        }
        let in_net = self.allow.iter().any(|rule| rule.holds(address));
        let by_name = self.allow.iter().any(|rule| rule.names(host));
        if !self.allow.is_empty() && !in_net && !by_name {
            return Err(Blocked::NotListed);
        }
        let exact =
            self.allow.iter().any(|rule| matches!(rule, TargetRule::Host(own) if own == host));
        if class == Class::Private && !self.allow_private && !in_net && !exact {
            return Err(Blocked::Private);
        }
        Ok(())
    }

    /// What can be said of a registration before any name is resolved.
    pub fn check(&self, spec: &ParticipantSpec) -> Vec<Fault> {
        let endpoints = spec.endpoints.iter().enumerate();
        endpoints
            .filter_map(|(index, endpoint)| {
                let blocked = self.judge_endpoint(endpoint).err()?;
                let at = format!("/endpoints/{index}");
                Some(Fault::new(at, FaultCode::TargetNotAllowed, blocked.to_string()))
            })
            .collect()
    }

    fn judge_endpoint(&self, endpoint: &Endpoint) -> Result<(), Blocked> {
        let host = endpoint.host();
        if let Some(address) = endpoint.address() {
            return self.judge(host, address);
        }
        if is_metadata_name(host) {
            return Err(Blocked::Never);
        }
        let by_name = self.allow.iter().any(|rule| rule.names(host));
        let has_net = self.allow.iter().any(|rule| matches!(rule, TargetRule::Net(_)));
        if by_name || has_net {
            // Its addresses decide, when it is called.
            return Ok(());
        }
        if !self.allow.is_empty() {
            return Err(Blocked::NotListed);
        }
        let private =
            host == "localhost" || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix));
        if private && !self.allow_private { Err(Blocked::Private) } else { Ok(()) }
    }
}

fn is_metadata_name(host: &str) -> bool {
    METADATA_NAMES.contains(&host)
}

impl TargetRule {
    fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&address),
            Self::Host(_) | Self::Under(_) => false,
        }
    }

    fn names(&self, host: &str) -> bool {
        match self {
            Self::Host(own) => own == host,
            Self::Under(suffix) => host.ends_with(suffix.as_str()),
            Self::Net(_) => false,
        }
    }
}

/// Reads `10.0.0.0/8`, `10.0.0.7`, `fd00::/8`, `pay.example.com` or `*.example.com`.
impl std::str::FromStr for TargetRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('.').to_ascii_lowercase();
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(address.to_canonical())));
        }
        let (name, under) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(plain) {
            return Err(format!(
                "{text:?} is no target; write a host name (pay.example.com), all names under one \
                 (*.example.com), an address or a network (10.0.0.0/8)"
            ));
        }
        Ok(if under { Self::Under(format!(".{name}")) } else { Self::Host(name.to_owned()) })
    }
}

impl std::fmt::Display for TargetRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Under(suffix) => write!(f, "*{suffix}"),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParticipantName;

    fn policy(allow_private: bool, rules: &[&str]) -> TargetPolicy {
        TargetPolicy { allow_private, allow: rules.iter().map(|r| r.parse().unwrap()).collect() }
    }

    fn judge(policy: &TargetPolicy, host: &str, address: &str) -> Result<(), Blocked> {
        policy.judge(host, address.parse().unwrap())
    }

    #[test]
    fn some_addresses_are_never_called() {
        let open = policy(true, &["0.0.0.0/0", "::/0", "metadata.google.internal"]);
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert_eq!(judge(&open, "h", address), Err(Blocked::Never), "{address}");
        }
        assert_eq!(judge(&open, "metadata.google.internal", "8.8.8.8"), Err(Blocked::Never));
    }

    #[test]
    fn private_addresses_need_a_rule_that_names_them() {
        let strict = policy(false, &[]);
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "2001::1",
            "2001:db8::1",
        ] {
            assert_eq!(judge(&strict, "h", address), Err(Blocked::Private), "{address}");
            assert_eq!(judge(&TargetPolicy::permissive(), "h", address), Ok(()), "{address}");
        }
        for address in ["8.8.8.8", "2606:4700::1111"] {
            assert_eq!(judge(&strict, "h", address), Ok(()), "{address}");
        }
    }

    #[test]
    fn rules_narrow_by_name_and_widen_by_network_or_exact_name() {
        let listed = policy(false, &["*.example.com", "inventory", "10.1.0.0/16"]);
        assert_eq!(judge(&listed, "a.example.com", "8.8.8.8"), Ok(()));
        assert_eq!(judge(&listed, "a.example.com", "127.0.0.1"), Err(Blocked::Private));
        assert_eq!(judge(&listed, "example.com", "8.8.8.8"), Err(Blocked::NotListed));
        assert_eq!(judge(&listed, "badexample.com", "8.8.8.8"), Err(Blocked::NotListed));
        assert_eq!(judge(&listed, "inventory", "172.18.0.3"), Ok(()));
        assert_eq!(judge(&listed, "anything", "10.1.2.3"), Ok(()));
        assert_eq!(judge(&listed, "anything", "::ffff:10.1.2.3"), Ok(()));
        assert_eq!(judge(&listed, "anything", "10.2.2.3"), Err(Blocked::NotListed));
        assert!("http://x".parse::<TargetRule>().is_err());
    }

    #[test]
    fn a_registration_is_judged_as_far_as_its_urls_tell() {
        let check = |policy: &TargetPolicy, url: &str| {
            let name = ParticipantName::new("p").unwrap();
            let spec = ParticipantSpec::new(name, Endpoint::new(url).unwrap());
            policy.check(&spec).into_iter().map(|fault| fault.code).collect::<Vec<_>>()
        };
        let strict = policy(false, &[]);
        for url in [
            "http://2130706433",
            "http://0x7f000001",
            "http://0177.0.0.1",
            "http://127.1",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
            "http://LOCALHOST.",
            "http://a.localhost",
            "http://ok.example。local",
            "http://x.svc",
            "http://metadata.google.internal",
            "http://169.254.169.254",
        ] {
            assert_eq!(check(&strict, url), [FaultCode::TargetNotAllowed], "{url}");
        }
        assert!(check(&strict, "https://pay.example.com").is_empty());
        assert!(check(&TargetPolicy::permissive(), "http://localhost:8080").is_empty());
    }
}
