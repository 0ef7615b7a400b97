//! Every kind of fault, in the order in which they are made.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::acts::{
    apart, commits, coordinators, disk, failover, links, masters, participants, points, postgres,
};
use crate::scene::Scene;
use crate::stage::Setup;
use crate::{Kind, Outcome};

/// Makes a fault and ends it, while sagas are under way.
pub(crate) type Act = for<'a> fn(&'a mut Scene<'_>) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// Makes a kind on processes of its own, within so much time.
pub(crate) type Alone = fn(Duration) -> LocalBoxFuture<'static, anyhow::Result<Outcome>>;

/// A kind, and how it is made.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// How it is made.
    pub(crate) way: Way,
}

/// How a kind is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By an act on such a stage.
    Act(Setup, Act),
    /// By itself, within so much time.
    Alone(Alone),
}

/// All of them.
pub const CATALOG: &[&[Entry]] = &[
    coordinators::KINDS,
    participants::KINDS,
    masters::KINDS,
    postgres::KINDS,
    commits::KINDS,
    links::KINDS,
    failover::KINDS,
    disk::KINDS,
    apart::KINDS,
    points::KINDS,
];
