//! The faults themselves, by whom they meet.

pub(crate) mod apart;
pub(crate) mod commits;
pub(crate) mod coordinators;
pub(crate) mod disk;
pub(crate) mod failover;
pub(crate) mod links;
pub(crate) mod masters;
pub(crate) mod participants;
pub(crate) mod points;
pub(crate) mod postgres;

use std::time::Duration;

use crate::catalog::{Act, Entry, Way};
use crate::kind::Kind;
use crate::stage::{LEASE, Setup};

/// How long a fault lasts that must outlive leases.
const BEYOND_LEASE: Duration = LEASE.saturating_mul(2);

/// A kind on a plain stage.
const fn plain(name: &'static str, done: &'static str, holds: &'static str, act: Act) -> Entry {
    on(Setup::Plain, name, done, holds, act)
}

/// A kind on a stage that is set up so.
const fn on(
    setup: Setup,
    name: &'static str,
    done: &'static str,
    holds: &'static str,
    act: Act,
) -> Entry {
    Entry { kind: Kind { name, done, holds }, way: Way::Act(setup, act) }
}
