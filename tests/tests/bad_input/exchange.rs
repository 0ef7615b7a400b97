//! One request on a connection of its own, byte for byte, and what comes back.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest time for one exchange.
const EXCHANGE_MAX: Duration = Duration::from_mins(1);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status; 0 if nothing came.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn is_whole(&self, text: &str) -> bool {
        let length = self.header("content-length").and_then(|own| own.parse::<usize>().ok());
        text.contains("\r\n\r\n") && length.is_some_and(|length| self.body.len() >= length)
    }
}

/// Sends `bytes`, as far as they are taken, and reads one answer; with `to_the_end`, until the
/// server has closed the connection.
///
/// # Errors
///
/// No connection, or it takes too long.
pub(crate) async fn exchange(
    address: &str,
    bytes: &[u8],
    to_the_end: bool,
) -> anyhow::Result<Reply> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    let (reading, mut writing) = stream.split();
    let send = async {
        // The server may have answered and left already.
        let _ = writing.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let both = async {
        tokio::select! {
            () = send => unreachable!("it never ends"),
            reply = receive(reading, to_the_end) => reply,
        }
    };
    let what = if to_the_end { "the connection is still open" } else { "no whole answer" };
    tokio::time::timeout(EXCHANGE_MAX, both).await.context(what)
}

/// Reads one answer, or all there is until the connection is closed.
pub(crate) async fn receive(
    mut reading: impl tokio::io::AsyncRead + Unpin,
    to_the_end: bool,
) -> Reply {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 65_536]);
    loop {
        // A reset is an end, too.
        let read = reading.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let reply = Reply::of(&text);
        let is_enough = reply.is_whole(&text) && !to_the_end;
        if read == 0 || is_enough || bytes.len() > ANSWER_BYTES_MAX {
            return reply;
        }
    }
}
