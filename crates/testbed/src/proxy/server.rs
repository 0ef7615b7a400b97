//! The proxy: whom it listens to and where it leads.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::serve;
use super::{CommitFault, Faults};
use crate::on_free_port;

/// Connections at once; further ones are reset.
const CONNECTIONS_MAX: usize = 1024;
/// Longest time that listening again, after refusing, may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Time between two tries to listen again.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A TCP proxy on a port of 127.0.0.1 that does what it is told, wrong as it may be. Dropping it
/// ends it and all its connections.
///
/// It runs on the tokio runtime it was started on, which must not be blocked meanwhile.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// Accepts connections; empty while they are refused.
    accepting: tokio::sync::Mutex<JoinSet<()>>,
    /// Where it listens besides.
    also: Mutex<Vec<SocketAddr>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

/// What a proxy has seen and done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections it took.
    pub connections: u64,
    /// Those that are open.
    pub open: u64,
    /// Bytes passed on from clients.
    pub bytes_to_server: u64,
    /// Bytes passed on from the server.
    pub bytes_to_client: u64,
    /// Commits that came by, whatever became of them; only with [`FaultProxy::postgres`].
    pub commits: u64,
    /// Commits that fell into a trap.
    pub commit_faults: u64,
}

impl FaultProxy {
    /// Starts a proxy to `target` without faults.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        Self::begin(target, false).await
    }

    /// Starts a proxy to the PostgreSQL server `target` that sees commits. Connections through it
    /// are not encrypted: a client that asks for TLS is told that there is none.
    ///
    /// # Errors
    ///
    /// As [`FaultProxy::start`].
    pub async fn postgres(target: SocketAddr) -> anyhow::Result<Self> {
        Self::begin(target, true).await
    }

    async fn begin(target: SocketAddr, is_postgres: bool) -> anyhow::Result<Self> {
        let (addr, listener) = listen(Ipv4Addr::LOCALHOST).await?;
        let shared = Arc::new(Shared {
            is_postgres,
            target: Mutex::new(target),
            faults: watch::Sender::new(Faults::default()),
            resets: watch::Sender::new(()),
            counters: watch::Sender::new(Counters::default()),
            commits_since_set: Mutex::new(0),
        });
        let accepting = tokio::sync::Mutex::new(JoinSet::new());
        let also = Mutex::default();
        let proxy = Self { addr, shared, accepting, also, connections: Arc::default() };
        proxy.accept(&mut *proxy.accepting.lock().await, listener);
        Ok(proxy)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes it listen on a further address of this machine, such as [`crate::Namespace::outer`],
    /// and answers where.
    ///
    /// # Errors
    ///
    /// If there is no such address or no free port; or if connections are refused now.
    pub async fn also_on(&self, ip: Ipv4Addr) -> anyhow::Result<SocketAddr> {
        let mut accepting = self.accepting.lock().await;
        anyhow::ensure!(!accepting.is_empty(), "connections are refused now");
        let (addr, listener) = listen(ip).await?;
        self.also.lock().push(addr);
        self.accept(&mut accepting, listener);
        Ok(addr)
    }

    /// The URL of a server, such as `postgres://user@127.0.0.1:5432/name`, led through this proxy.
    ///
    /// # Errors
    ///
    /// If it has no port.
    pub fn url(&self, direct: &str) -> anyhow::Result<String> {
        let (scheme, rest) = direct.split_once("://").context("no scheme")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, _) = authority.rsplit_once(':').context("no port")?;
        let login = host.rsplit_once('@').map(|(login, _)| format!("{login}@"));
        Ok(format!("{scheme}://{}{}/{path}", login.unwrap_or_default(), self.addr))
    }

    /// Sets the faults, in place of those before; open connections have them from now on. Counts
    /// (of a cut, of a trap) begin anew.
    ///
    /// # Errors
    ///
    /// If connections were refused until now, and somebody has taken the port.
    pub async fn set(&self, faults: Faults) -> anyhow::Result<()> {
        let mut accepting = self.accepting.lock().await;
        let is_refusing = faults.refuse;
        *self.shared.commits_since_set.lock() = 0;
        self.shared.faults.send_replace(faults);
        if is_refusing {
            accepting.shutdown().await;
        } else if accepting.is_empty() {
            let mut addrs = self.also.lock().clone();
            addrs.push(self.addr);
            for addr in addrs {
                let listener = listen_again(addr).await?;
                self.accept(&mut accepting, listener);
            }
        }
        Ok(())
    }

    /// Ends all faults. What was held passes; connections that were cut stay so.
    ///
    /// # Errors
    ///
    /// As [`FaultProxy::set`].
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.set(Faults::default()).await
    }

    /// Leads new connections to another server; open ones stay where they are.
    pub fn retarget(&self, target: SocketAddr) {
        *self.shared.target.lock() = target;
    }

    /// Resets all open connections, for client and server.
    pub fn drop_all(&self) {
        self.shared.resets.send_replace(());
    }

    /// What it has seen and done.
    pub fn counters(&self) -> Counters {
        *self.shared.counters.borrow()
    }

    /// Waits until the counters are so, and answers them.
    ///
    /// # Errors
    ///
    /// If they are not within `limit`.
    pub async fn until(
        &self,
        limit: Duration,
        are_so: impl Fn(&Counters) -> bool,
    ) -> anyhow::Result<Counters> {
        let mut counters = self.shared.counters.subscribe();
        let seen = tokio::time::timeout(limit, counters.wait_for(are_so)).await;
        let seen =
            seen.with_context(|| format!("after {limit:?} still {:?}", self.counters()))??;
        Ok(*seen)
    }

    fn accept(&self, accepting: &mut JoinSet<()>, listener: TcpListener) {
        let (shared, connections) = (Arc::clone(&self.shared), Arc::clone(&self.connections));
        accepting.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => take(client, &shared, &connections),
                    // Out of descriptors, most likely: they come back.
                    Err(_) => tokio::time::sleep(POLL_EVERY).await,
                }
            }
        });
    }
}

/// What all connections of a proxy know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) is_postgres: bool,
    target: Mutex<SocketAddr>,
    faults: watch::Sender<Faults>,
    resets: watch::Sender<()>,
    pub(super) counters: watch::Sender<Counters>,
    /// Commits that the trap is about.
    commits_since_set: Mutex<u64>,
}

impl Shared {
    pub(super) fn target(&self) -> SocketAddr {
        *self.target.lock()
    }

    pub(super) fn faults(&self) -> watch::Receiver<Faults> {
        self.faults.subscribe()
    }

    pub(super) fn resets(&self) -> watch::Receiver<()> {
        self.resets.subscribe()
    }

    /// Counts a commit of these statements and says what befalls it.
    pub(super) fn spring(&self, statements: &[Arc<str>]) -> Option<CommitFault> {
        let fault = self.trap(statements);
        self.counters.send_modify(|counters| {
            counters.commits += 1;
            counters.commit_faults += u64::from(fault.is_some());
        });
        fault
    }

    fn trap(&self, statements: &[Arc<str>]) -> Option<CommitFault> {
        let faults = self.faults.borrow();
        let trap = faults.commit.as_ref().filter(|trap| trap.is_about(statements))?;
        let mut count = self.commits_since_set.lock();
        *count += 1;
        trap.when.is_now(*count).then_some(trap.fault)
    }
}

/// Serves a client in a task of its own.
fn take(client: TcpStream, shared: &Arc<Shared>, connections: &Mutex<JoinSet<()>>) {
    let mut connections = connections.lock();
    while connections.try_join_next().is_some() {}
    if connections.len() >= CONNECTIONS_MAX {
        // A socket that is broken already needs no reset.
        let _ = client.set_zero_linger();
        return;
    }
    let shared = Arc::clone(shared);
    shared.counters.send_modify(|counters| {
        counters.connections += 1;
        counters.open += 1;
    });
    connections.spawn(async move {
        serve(client, &shared).await;
        shared.counters.send_modify(|counters| counters.open -= 1);
    });
}

async fn listen(ip: Ipv4Addr) -> anyhow::Result<(SocketAddr, TcpListener)> {
    on_free_port(async |port| {
        let addr = SocketAddr::from((ip, port));
        Ok((addr, TcpListener::bind(addr).await?))
    })
    .await
}

/// Listens where it did before. The old listener is closed, but a test that looks for a free port
/// may stand there for a moment.
async fn listen_again(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let listening = async {
        loop {
            match TcpListener::bind(addr).await {
                Ok(listener) => return Ok(listener),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(POLL_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
    };
    tokio::time::timeout(LIMIT, listening)
        .await
        .with_context(|| format!("{addr} was taken meanwhile"))?
        .with_context(|| format!("cannot listen on {addr} again"))
}
