//! The kill at every write point, which sets its own stage up.

use futures_util::FutureExt as _;

use crate::catalog::{Entry, Way};
use crate::kind::Kind;
use crate::points::kill_at_every_point;

/// All of these.
pub(crate) const KINDS: &[Entry] = &[Entry {
    kind: Kind {
        name: "kill-at-every-point",
        done: "SIGKILL of a coordinator just before and just after each of its writes and calls",
        holds: "whoever takes over goes on from the journal",
    },
    way: Way::Alone(|budget| kill_at_every_point(budget).boxed_local()),
}];
