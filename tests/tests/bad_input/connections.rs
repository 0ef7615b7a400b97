//! Lines 25, 26 and 28: clients that are slow, and clients that begin and reset without end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::exchange::{Reply, receive};
use crate::scenario::{Scenario, scenario};
use crate::stage::Stage;

/// What the server gives a head and a body, and what a busy machine may add.
const PATIENCE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(8);

/// Time between two bytes of a slow client.
const BYTE_EVERY: Duration = Duration::from_millis(250);

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(25, "a head, byte by byte", "closed within 10 s, without an answer", slow_head),
    scenario!(25, "a second head, byte by byte", "closed within 10 s", slow_second_head),
    scenario!(25, "no byte at all", "closed within 10 s", silent),
    scenario!(26, "a body, byte by byte", "408 body-timeout after 10 s", slow_body),
    scenario!(28, "10,000 streams, each reset at once", "closed; others are served", rapid_reset),
    scenario!(28, "10,000 streams at once", "refused over the bound", many_streams),
    scenario!(28, "a head of endless continuations", "closed", endless_head),
];

async fn slow_head(stage: Arc<Stage>) -> anyhow::Result<()> {
    let (reply, took) = drip(&stage, b"", b"GET /livez HTTP/1.1\r\nx: ").await?;
    ensure!(reply.status == 0, "it was answered: {reply:?}");
    in_time(took)
}

async fn slow_second_head(stage: Arc<Stage>) -> anyhow::Result<()> {
    let first = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let (reply, took) = drip(&stage, first, b"GET /livez HTTP/1.1\r\nx: ").await?;
    ensure!(reply.status == 200, "the first request was not answered: {reply:?}");
    in_time(took)
}

async fn silent(stage: Arc<Stage>) -> anyhow::Result<()> {
    let (reply, took) = drip(&stage, b"", b"").await?;
    ensure!(reply.status == 0, "it was answered: {reply:?}");
    in_time(took)
}

async fn slow_body(stage: Arc<Stage>) -> anyhow::Result<()> {
    let head = b"POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\n\
                 content-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    let (reply, took) = drip(&stage, head, b"{\"input\":\"").await?;
    let code = reply.json()["code"].clone();
    ensure!((reply.status, code.as_str()) == (408, Some("body-timeout")), "{reply:?}");
    in_time(took)
}

pub(crate) fn in_time(took: Duration) -> anyhow::Result<()> {
    ensure!(took < PATIENCE + GRACE, "closed after {took:?}");
    Ok(())
}

/// Sends `first` at once, then `slowly` byte by byte and `x` for ever; what came back until the
/// server closed the connection, and after what time.
pub(crate) async fn drip(
    stage: &Stage,
    first: &[u8],
    slowly: &'static [u8],
) -> anyhow::Result<(Reply, Duration)> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(stage.address()).await?;
    stream.write_all(first).await?;
    let (reading, writing) = stream.into_split();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // It ends when the server leaves.
        let _ = drop_by_drop(writing, slowly).await;
    });
    let reply = timeout(PATIENCE * 3, receive(reading, true)).await;
    Ok((reply.context("the connection is still open")?, started.elapsed()))
}

async fn drop_by_drop(mut writing: OwnedWriteHalf, slowly: &[u8]) -> std::io::Result<()> {
    for byte in slowly.iter().chain(std::iter::repeat(&b'x')) {
        if slowly.is_empty() {
            std::future::pending::<()>().await;
        }
        writing.write_all(&[*byte]).await?;
        tokio::time::sleep(BYTE_EVERY).await;
    }
    Ok(())
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// `GET /livez` at `localhost`, in the static table's terms (RFC 7541).
const LIVEZ: &[u8] = b"\x82\x86\x41\x09localhost\x44\x06/livez";

fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

async fn rapid_reset(stage: Arc<Stage>) -> anyhow::Result<()> {
    let mut bytes = preface();
    for index in 0..10_000_u32 {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * index + 1, LIVEZ));
        bytes.extend(frame(RST_STREAM, 0, 2 * index + 1, &CANCEL));
    }
    let answered = beside(&stage, bytes).await?;
    ensure!(has_frame(&answered, GOAWAY), "no GOAWAY among {} bytes", answered.len());
    Ok(())
}

async fn many_streams(stage: Arc<Stage>) -> anyhow::Result<()> {
    let mut bytes = preface();
    for index in 0..10_000_u32 {
        // Their bodies never come.
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * index + 1, LIVEZ));
    }
    let answered = beside(&stage, bytes).await?;
    let refused = has_frame(&answered, RST_STREAM) || has_frame(&answered, GOAWAY);
    ensure!(refused, "none was refused among {} bytes", answered.len());
    Ok(())
}

async fn endless_head(stage: Arc<Stage>) -> anyhow::Result<()> {
    let mut bytes = [preface(), frame(HEADERS, 0, 1, LIVEZ)].concat();
    for _ in 0..2_000 {
        // One header of 4 KiB in each, none of them the last.
        let header = [b"\x00\x01x\x7f\x81\x1f".as_slice(), &[b'y'; 4096]].concat();
        bytes.extend(frame(CONTINUATION, 0, 1, &header));
    }
    beside(&stage, bytes).await.map(drop)
}

/// Sends `bytes` on one connection and asks on another whether the server lives; what came back
/// until the first connection was closed, or was idle.
async fn beside(stage: &Stage, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let stream = TcpStream::connect(stage.address()).await?;
    let (mut reading, mut writing) = stream.into_split();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = writing.write_all(&bytes).await;
        std::future::pending::<()>().await;
    });
    let mut answered = Vec::new();
    let mut chunk = vec![0; 65_536];
    loop {
        let alive = timeout(PATIENCE, stage.client.get("/livez"));
        ensure!(alive.await.context("others are not served")??.status == 200, "it is not alive");
        match timeout(PATIENCE, reading.read(&mut chunk)).await {
            Ok(Ok(read)) if read > 0 => answered.extend_from_slice(&chunk[..read]),
            Ok(_) | Err(_) => return Ok(answered),
        }
    }
}

fn has_frame(bytes: &[u8], kind: u8) -> bool {
    let mut rest = bytes;
    while let [a, b, c, own, _, _, _, _, _, after @ ..] = rest {
        if *own == kind {
            return true;
        }
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        rest = after.get(length..).unwrap_or_default();
    }
    false
}
