//! One connection through the proxy, both ways.

use std::io;
use std::pin::pin;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::backend::{Backend, Ready};
use super::frontend::{Commit, Foreign, Frontend, Piece};
use super::pump::{Arrival, Came, Ended, Pump, Way, queue, read};
use super::server::Shared;
use super::{CommitFault, End};

/// Longest time to connect to the server, and for a client of PostgreSQL to begin.
const LIMIT: Duration = Duration::from_secs(30);
/// What a client of PostgreSQL may ask for before it begins: TLS, GSSAPI encryption.
const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];
/// Longest beginning of a conversation that PostgreSQL takes.
const STARTUP_BYTES_MAX: u32 = 10_000;

/// Serves one client to the end of its connection.
pub(super) async fn serve(mut client: TcpStream, shared: &Shared) {
    let mut resets = shared.resets();
    let mut server = None;
    let end = tokio::select! {
        end = converse(&mut client, &mut server, shared) => end.unwrap_or(End::Reset),
        _ = resets.changed() => End::Reset,
    };
    if end == End::Reset {
        for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
            // A socket that is broken already needs no reset.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn converse(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    shared: &Shared,
) -> io::Result<End> {
    let stream = timeout(LIMIT, TcpStream::connect(shared.target())).await??;
    client.set_nodelay(true)?;
    stream.set_nodelay(true)?;
    both_ways(client, server.insert(stream), shared).await
}

async fn both_ways(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> io::Result<End> {
    let talk = Talk::default();
    let mut readers = (Reader::Nobody, Reader::Nobody);
    let (up, up_queue) = queue();
    let (down, down_queue) = queue();
    if shared.is_postgres {
        let (begun, rest) = timeout(LIMIT, begin(client)).await??;
        readers = (Reader::Client(Frontend::new(rest)), Reader::Server(Backend::default()));
        server.write_all(&begun).await?;
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let way = |to, way| Pump::new(to, way, shared.faults(), &shared.counters);
    let up_pump = way(to_server, Way::ToServer);
    let down_pump = way(to_client, Way::ToClient);
    let upwards =
        direction(read(from_client, up), write(up_queue, up_pump, readers.0, shared, &talk));
    let downwards =
        direction(read(from_server, down), write(down_queue, down_pump, readers.1, shared, &talk));
    Ok(either(upwards, downwards).await)
}

/// Runs both directions until both have ended, or one of them ends it for all.
async fn either(up: impl Future<Output = Ended>, down: impl Future<Output = Ended>) -> End {
    let (mut up, mut down) = (pin!(up), pin!(down));
    let (first, is_up) = tokio::select! {
        ended = &mut up => (ended, true),
        ended = &mut down => (ended, false),
    };
    let last = match first {
        Ended::ForAll(_) => first,
        Ended::Silently if is_up => down.await,
        Ended::Silently => up.await,
    };
    match last {
        Ended::ForAll(end) => end,
        Ended::Silently => End::Close,
    }
}

/// Runs one direction until its writer has ended.
async fn direction(read: impl Future<Output = ()>, write: impl Future<Output = Ended>) -> Ended {
    let read = async {
        read.await;
        std::future::pending().await
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}

/// Who reads along.
enum Reader {
    Nobody,
    Client(Frontend),
    Server(Backend),
}

/// What the two directions of a conversation with PostgreSQL know of each other.
#[derive(Debug, Default)]
struct Talk {
    /// The newest end of an answer.
    ready: Mutex<Option<Ready>>,
    /// What the client does not hear.
    withheld: Mutex<Option<Withheld>>,
}

#[derive(Clone, Copy, Debug)]
enum Withheld {
    /// Anything more; once the answer of this number has come, the connection is reset.
    Until(u64),
    /// Anything, for so long.
    For(Duration),
}

async fn write(
    mut queue: mpsc::Receiver<Arrival>,
    mut pump: Pump<'_>,
    mut reader: Reader,
    shared: &Shared,
    talk: &Talk,
) -> Ended {
    while let Some(arrival) = queue.recv().await {
        pump.hold_up(&arrival).await;
        let bytes = match arrival.what {
            Came::Bytes(bytes) => bytes,
            Came::Close => {
                pump.close().await;
                return Ended::Silently;
            }
            Came::Reset => return Ended::ForAll(End::Reset),
        };
        let passed = match &mut reader {
            Reader::Nobody => pump.pass(&bytes).await,
            Reader::Client(frontend) => speak(&bytes, frontend, &mut pump, shared, talk).await,
            Reader::Server(backend) => answer(&bytes, backend, &mut pump, talk).await,
        };
        if let Err(ended) = passed {
            return ended;
        }
    }
    // The reader always says how it ends.
    Ended::ForAll(End::Reset)
}

/// Passes on what a client says to PostgreSQL.
async fn speak(
    bytes: &[u8],
    frontend: &mut Frontend,
    pump: &mut Pump<'_>,
    shared: &Shared,
    talk: &Talk,
) -> Result<(), Ended> {
    let idle_at = talk.ready.lock().filter(|ready| ready.is_idle).map(|ready| ready.answer);
    let pieces = frontend.feed(bytes, idle_at).map_err(|Foreign| Ended::ForAll(End::Reset))?;
    for piece in pieces {
        match piece {
            Piece::Plain(bytes) => pump.pass(&bytes).await?,
            Piece::Commit(commit) => pass_commit(&commit, pump, shared, talk).await?,
        }
    }
    Ok(())
}

async fn pass_commit(
    commit: &Commit,
    pump: &mut Pump<'_>,
    shared: &Shared,
    talk: &Talk,
) -> Result<(), Ended> {
    match shared.spring(&commit.statements) {
        Some(CommitFault::LoseCommit) => return Err(Ended::ForAll(End::Reset)),
        Some(CommitFault::LoseAnswer) => {
            *talk.withheld.lock() = Some(Withheld::Until(commit.answer));
        }
        Some(CommitFault::HoldAnswer(time)) => {
            *talk.withheld.lock() = Some(Withheld::For(time));
        }
        Some(CommitFault::HoldCommit(time)) => pump.hold_commit(time).await,
        None => {}
    }
    pump.pass(&commit.bytes).await
}

/// Passes on what PostgreSQL answers.
async fn answer(
    bytes: &[u8],
    backend: &mut Backend,
    pump: &mut Pump<'_>,
    talk: &Talk,
) -> Result<(), Ended> {
    let ready = backend.feed(bytes).map_err(|Foreign| Ended::ForAll(End::Reset))?;
    if ready.is_some() {
        *talk.ready.lock() = ready;
    }
    let withheld = *talk.withheld.lock();
    match withheld {
        Some(Withheld::Until(answer)) if ready.is_some_and(|ready| ready.answer >= answer) => {
            Err(Ended::ForAll(End::Reset))
        }
        Some(Withheld::Until(_)) => Ok(()),
        Some(Withheld::For(time)) => {
            pump.hold_commit(time).await;
            *talk.withheld.lock() = None;
            pump.pass(bytes).await
        }
        None => pump.pass(bytes).await,
    }
}

/// Hears how a client of PostgreSQL begins; TLS is declined. Answers the first bytes to pass on, and
/// how many more belong to the same message.
async fn begin(client: &mut TcpStream) -> io::Result<(Vec<u8>, usize)> {
    loop {
        let (length, code) = (client.read_u32().await?, client.read_u32().await?);
        if length == 8 && REQUESTS.contains(&code) {
            client.write_all(b"N").await?;
            continue;
        }
        let rest = usize::try_from(length.saturating_sub(8)).unwrap_or(usize::MAX);
        if !(8..=STARTUP_BYTES_MAX).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        return Ok(([length.to_be_bytes(), code.to_be_bytes()].concat(), rest));
    }
}
