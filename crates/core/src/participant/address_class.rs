//! Classes of addresses: which networks are public, which private, which never called.
//!
//! The list of public addresses is positive: what is not known to be public is private.
//!
//! Source: IANA's special-purpose address registries (RFC 6890), read in November 2026.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What kind of place an address leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Known to be reachable by everybody.
    Public,
    /// Loopback, private, or not known to be public.
    Private,
    /// Link-local, metadata, multicast, unspecified or reserved.
    Never,
}

impl Class {
    /// The class of `address`, which may be IPv4 in any of its disguises.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        if within_v4(address, &NEVER_V4) {
            Self::Never
        } else if within_v4(address, &PRIVATE_V4) {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(embedded) = embedded_v4(address)
            && Self::of_v4(embedded) == Self::Never
        {
            return Self::Never;
        }
        if within_v6(address, &NEVER_V6) {
            Self::Never
        } else if within_v6(address, &PUBLIC_V6) && !within_v6(address, &NOT_PUBLIC_V6) {
            Self::Public
        } else {
            Self::Private
        }
    }
}

/// Address and length of a network.
type NetV4 = ([u8; 4], u8);
type NetV6 = ([u16; 8], u8);

const NEVER_V4: [NetV4; 7] = [
    ([0, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    // Metadata services outside the link-local range: Alibaba, Azure, Oracle.
    ([100, 100, 100, 200], 32),
    ([168, 63, 129, 16], 32),
    ([192, 0, 0, 192], 32),
];

const PRIVATE_V4: [NetV4; 11] = [
    ([10, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([100, 64, 0, 0], 10),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
];

const NEVER_V6: [NetV6; 4] = [
    ([0; 8], 128),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    // The metadata service of EC2.
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
];

const PUBLIC_V6: [NetV6; 1] = [([0x2000, 0, 0, 0, 0, 0, 0, 0], 3)];

/// Protocol assignments (Teredo, ORCHID, benchmarks), documentation, 6to4.
const NOT_PUBLIC_V6: [NetV6; 4] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

fn within_v4(address: Ipv4Addr, nets: &[NetV4]) -> bool {
    nets.iter().any(|(net, length)| {
        Ipv4Net::new(Ipv4Addr::from(*net), *length).is_ok_and(|net| net.contains(&address))
    })
}

fn within_v6(address: Ipv6Addr, nets: &[NetV6]) -> bool {
    nets.iter().any(|(net, length)| {
        Ipv6Net::new(Ipv6Addr::from(*net), *length).is_ok_and(|net| net.contains(&address))
    })
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        // `::1` is loopback, not an address of 0.0.0.0/8.
        [0, 0, 0, 0, 0, 0, 0, 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of(high, low))
        }
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}
