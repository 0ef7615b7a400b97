//! One participant as a process: a port, a database, and an end when its parent ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use amends_client::barrier::Error;
use anyhow::Context;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Troubles, inventory, orders, payment};

/// Which participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// Stock and reservations.
    Inventory,
    /// Accounts and holds.
    Payment,
    /// Orders.
    Orders,
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Payment, Self::Orders];

    /// The name it is registered under, and its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Orders => "orders",
        }
    }
}

/// Arguments of `amends demo-participant`.
#[derive(Clone, Debug, clap::Args)]
pub struct ParticipantOptions {
    /// Which participant to be.
    #[arg(value_enum)]
    pub kind: Kind,
    /// File of its SQLite database; made where it is missing.
    #[arg(long)]
    pub db: PathBuf,
    /// Port to listen on, on the loopback address; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// JSON file that says which calls meet trouble.
    #[arg(long)]
    pub troubles: Option<PathBuf>,
}

/// Serves one participant until standard input ends.
///
/// The first line on standard output is its base URL. Standard input is the leash: whoever started
/// the process keeps it open, and the process ends with it, even when its parent is killed.
///
/// # Errors
///
/// The database can't be opened, the port is taken, or the troubles can't be read.
pub async fn serve_participant(options: ParticipantOptions) -> anyhow::Result<()> {
    let troubles = options.troubles.as_deref().map(Troubles::read).transpose()?.unwrap_or_default();
    let service = service(&options).await.with_context(|| {
        format!("{} can't open its database {}", options.kind.name(), options.db.display())
    })?;
    let service = troubles.in_front_of(service).route("/health", get(async || "ok"));
    let listener = listen(options.port).await?;
    announce(listener.local_addr()?)?;
    tokio::select! {
        served = async { axum::serve(listener, service).await } => Ok(served?),
        () = end_of_input() => Ok(()),
    }
}

async fn service(options: &ParticipantOptions) -> Result<Router, Error> {
    Ok(match options.kind {
        Kind::Inventory => inventory::router(inventory::open(&options.db).await?),
        Kind::Payment => payment::router(payment::open(&options.db).await?),
        Kind::Orders => orders::router(orders::open(&options.db).await?),
    })
}

/// Listens on `port` of the loopback address, or on a free one for 0.
///
/// # Errors
///
/// The port is taken.
pub(crate) async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let port = if port == 0 { amends_testbed::free_port()? } else { port };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))
}

/// Says on standard output where the process listens.
pub(crate) fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "http://{address}")?;
    out.flush().context("writing to standard output")
}

/// Resolves when standard input is at its end.
pub(crate) async fn end_of_input() {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own, not the runtime's: a read that never ends must not hold up the exit.
    std::thread::spawn(move || {
        let _ended = ended;
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    // The sender is dropped, never used.
    end.await.unwrap_or_default();
}
