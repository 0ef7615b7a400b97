//! A participant that answers byte for byte what a test says, on raw sockets.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What is answered to undos, which are not what is tested.
const UNDONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// These bytes; then the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, then the others again and again, as long as anybody reads.
    Endless(Vec<u8>, Vec<u8>),
}

/// What came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Connections that were made.
    pub(crate) connections: usize,
    /// Requests with their bodies, in order; undos too.
    pub(crate) requests: Vec<String>,
    /// Bytes that were sent and taken.
    pub(crate) bytes: u64,
}

impl Seen {
    /// Requests other than undos.
    pub(crate) fn forward(&self) -> usize {
        self.requests.iter().filter(|request| !is_undo(request)).count()
    }
}

/// A participant on a free port; it ends with the value.
pub(crate) struct RawParticipant {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

impl RawParticipant {
    /// Starts one that answers every request but undos so.
    pub(crate) async fn start(script: Script) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let seen = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, script, Arc::clone(&seen)));
        Ok(Self { port, seen, _serving: serving })
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What has come until now.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
}

fn is_undo(request: &str) -> bool {
    request.contains(" /undo ")
}

async fn accept(listener: TcpListener, script: Script, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.lock().connections += 1;
        let (script, seen) = (script.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            // That the other side leaves is what most cases are about.
            let _ = converse(stream, &script, &seen).await;
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    script: &Script,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        let is_undo = is_undo(&request);
        seen.lock().requests.push(request);
        match script {
            _ if is_undo => stream.write_all(UNDONE).await?,
            Script::Bytes(bytes) => send(&mut stream, bytes, seen).await?,
            Script::Endless(head, again) => {
                send(&mut stream, head, seen).await?;
                loop {
                    send(&mut stream, again, seen).await?;
                }
            }
        }
    }
    Ok(())
}

async fn send(stream: &mut TcpStream, bytes: &[u8], seen: &Mutex<Seen>) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    seen.lock().bytes += bytes.len() as u64;
    Ok(())
}

/// One request with its body; none at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 4096]);
    while bytes.len() < REQUEST_BYTES_MAX {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        if body.len() >= length.unwrap_or(0) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}
