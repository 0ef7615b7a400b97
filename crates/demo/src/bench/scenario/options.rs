//! Which scenario is run, and what goes with it.

/// What happens beside the load; at most one.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Scenarios", group = clap::ArgGroup::new("scenario").conflicts_with_all(["address", "svg"]))]
pub struct ScenarioOptions {
    /// So many sagas have ended long ago and are in the store: speed with and without them.
    #[arg(long, value_name = "COUNT", group = "scenario", value_parser = clap::value_parser!(u32).range(100..=50_000_000))]
    pub finished: Option<u32>,
    /// Ask for pages of the list of sagas among the finished ones, with every filter and the usual
    /// combinations, and for the counts.
    #[arg(long, requires = "finished")]
    pub lists: bool,
    /// So many sagas wait, a third each for a time, a callback and a lock key: the coordinator's
    /// memory, and the speed of others.
    #[arg(long, value_name = "COUNT", group = "scenario", value_parser = clap::value_parser!(u32).range(3..=10_000_000))]
    pub waiting: Option<u32>,
    /// So many sagas are in flight when the coordinator is killed: how soon another goes on with
    /// them, and whether one is lost.
    #[arg(long, value_name = "COUNT", group = "scenario", conflicts_with_all = ["cases", "in_flight", "seconds", "warm_up_seconds"], value_parser = clap::value_parser!(u32).range(1..=400_000))]
    pub takeover: Option<u32>,
    /// So many coordinators over one PostgreSQL against one: speed, shares, and what moves when one
    /// joins and leaves.
    #[arg(long, value_name = "COUNT", group = "scenario", value_parser = clap::value_parser!(u32).range(2..=16))]
    pub coordinators: Option<u32>,
    /// One of ten participants never answers, with as many sagas in flight that need it: speed of
    /// sagas that use the other nine, one step each.
    #[arg(long, group = "scenario", conflicts_with = "cases")]
    pub hanging: bool,
}

/// What happens beside the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scenario {
    /// So many finished sagas; whether lists are asked for.
    Finished { sagas: u32, has_lists: bool },
    /// So many waiting sagas.
    Waiting(u32),
    /// A killed coordinator with so many sagas in flight.
    Takeover(u32),
    /// So many coordinators.
    Coordinators(u32),
    /// A participant that never answers.
    Hanging,
}

impl Scenario {
    /// Its option.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Finished { .. } => "--finished",
            Self::Waiting(_) => "--waiting",
            Self::Takeover(_) => "--takeover",
            Self::Coordinators(_) => "--coordinators",
            Self::Hanging => "--hanging",
        }
    }
}

impl ScenarioOptions {
    /// The one that was asked for.
    pub(in super::super) fn chosen(&self) -> Option<Scenario> {
        let finished = |sagas| Scenario::Finished { sagas, has_lists: self.lists };
        let counted = self.finished.map(finished).or(self.waiting.map(Scenario::Waiting));
        let counted = counted.or(self.takeover.map(Scenario::Takeover));
        let counted = counted.or(self.coordinators.map(Scenario::Coordinators));
        counted.or(self.hanging.then_some(Scenario::Hanging))
    }
}
