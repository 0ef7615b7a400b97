//! The ways between the processes, each through a proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use amends_demo::participants::Kind;
use amends_testbed::proxy::{Faults, Flow};
use amends_testbed::{FaultProxy, Namespace, Postgres, Redis};

use crate::stage::APART;

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

/// Where everybody is found.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    /// By each coordinator.
    pub(crate) coordinators: Vec<Door>,
    /// By all of them.
    pub(crate) participants: BTreeMap<Kind, SocketAddr>,
}

/// Where a coordinator finds others.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// PostgreSQL.
    pub(crate) postgres: SocketAddr,
    /// The Redis masters.
    pub(crate) masters: Vec<SocketAddr>,
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

    /// Where each is to knock, the coordinator in `network` too.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub(crate) async fn doors(&self, network: Option<&Namespace>) -> anyhow::Result<Doors> {
        let mut doors = Doors { coordinators: Vec::new(), participants: BTreeMap::new() };
        for (index, (postgres, masters)) in self.postgres.iter().zip(&self.masters).enumerate() {
            let network = network.filter(|_| index == APART);
            let mut own = Door { postgres: door(postgres, network).await?, masters: Vec::new() };
            for master in masters {
                own.masters.push(door(master, network).await?);
            }
            doors.coordinators.push(own);
        }
        for (kind, proxy) in &self.participants {
            doors.participants.insert(*kind, door(proxy, network).await?);
        }
        Ok(doors)
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

/// Where a proxy is found, from `network` if there is one.
async fn door(proxy: &FaultProxy, network: Option<&Namespace>) -> anyhow::Result<SocketAddr> {
    match network {
        Some(network) => proxy.also_on(network.outer()).await,
        None => Ok(proxy.addr()),
    }
}

/// An address of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
