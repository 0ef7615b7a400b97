//! Every kind of fault, in the order in which they are made.

use futures_util::future::LocalBoxFuture;

use crate::Kind;
use crate::acts::{coordinators, masters, participants, postgres};
use crate::scene::Scene;
use crate::stage::Setup;

/// Makes a fault and ends it, while sagas are under way.
pub type Act = for<'a> fn(&'a mut Scene<'_>) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// A kind, and how it is made.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// How it is made.
    pub way: Way,
}

/// How a kind is made.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// By an act on such a stage.
    Act(Setup, Act),
}

/// All of them.
pub const CATALOG: &[&[Entry]] =
    &[coordinators::KINDS, postgres::KINDS, masters::KINDS, participants::KINDS];
