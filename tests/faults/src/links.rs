//! The ways between the processes, each through a proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use amends_demo::participants::Kind;
use amends_testbed::proxy::{Faults, Flow};
use amends_testbed::{FaultProxy, Postgres, Redis};

/// How long a call takes on its way: so that some are always under way.
const CALL_DELAY: Duration = Duration::from_millis(100);

/// All proxies.
#[derive(Debug)]
pub(crate) struct Links {
    /// From each coordinator to PostgreSQL.
    pub(crate) postgres: Vec<FaultProxy>,
    /// From each coordinator to each Redis master.
    pub(crate) masters: Vec<Vec<FaultProxy>>,
    /// From all coordinators to each participant.
    pub(crate) participants: BTreeMap<Kind, FaultProxy>,
}

/// Between whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A coordinator and PostgreSQL.
    Postgres,
    /// A coordinator and the Redis masters.
    Masters,
    /// The coordinators and the participants.
    Participants,
}

impl Links {
    /// Starts a proxy for each way.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub(crate) async fn start(
        coordinators: usize,
        postgres: &Postgres,
        masters: &[Redis],
        participants: &BTreeMap<Kind, u16>,
    ) -> anyhow::Result<Self> {
        let mut links =
            Self { postgres: Vec::new(), masters: Vec::new(), participants: BTreeMap::new() };
        for _ in 0..coordinators {
            links.postgres.push(FaultProxy::postgres(local(postgres.port())).await?);
            let mut own = Vec::with_capacity(masters.len());
            for master in masters {
                own.push(FaultProxy::start(local(master.port())).await?);
            }
            links.masters.push(own);
        }
        for (kind, port) in participants {
            links.participants.insert(*kind, FaultProxy::start(local(*port)).await?);
        }
        links.heal().await?;
        Ok(links)
    }

    /// The proxies between coordinator `of`, or all of them, and the other end.
    pub(crate) fn of(&self, link: Link, of: Option<usize>) -> Vec<&FaultProxy> {
        let is_meant = |(index, _): &(usize, _)| of.is_none_or(|of| of == *index);
        match link {
            Link::Postgres => {
                self.postgres.iter().enumerate().filter(is_meant).map(|(_, own)| own).collect()
            }
            Link::Masters => self
                .masters
                .iter()
                .enumerate()
                .filter(|(index, _)| of.is_none_or(|of| of == *index))
                .flat_map(|(_, own)| own)
                .collect(),
            Link::Participants => self.participants.values().collect(),
        }
    }

    /// Ends all faults.
    ///
    /// # Errors
    ///
    /// Somebody took a port that was given up.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        for proxy in self.of(Link::Postgres, None).into_iter().chain(self.of(Link::Masters, None)) {
            proxy.heal().await?;
        }
        for proxy in self.participants.values() {
            proxy.set(Faults { to_server: Flow::late(CALL_DELAY), ..Faults::default() }).await?;
        }
        Ok(())
    }

    /// Leads all coordinators to another PostgreSQL, with new connections.
    pub(crate) fn lead_to(&self, postgres: &Postgres) {
        for proxy in &self.postgres {
            proxy.retarget(local(postgres.port()));
            proxy.drop_all();
        }
    }
}

/// An address of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
