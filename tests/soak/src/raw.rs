//! Connections that are not used as they are meant to be.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for anything.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Connects.
pub(crate) async fn connect(address: &str) -> std::io::Result<TcpStream> {
    timeout(WAIT_MAX, TcpStream::connect(address)).await?
}

/// Sends `bytes`, as far as they are taken, and reads until the other side leaves; the answer's
/// status and the code of its problem. Status 0 if there was none.
pub(crate) async fn exchange(address: &str, bytes: &[u8]) -> std::io::Result<(u16, String)> {
    let mut stream = connect(address).await?;
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        // The server may have answered and left already.
        let _ = writing.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let receive = async {
        // A reset is an end, too.
        let _ = (&mut reading).take(64 * 1024).read_to_end(&mut answer).await;
    };
    let both = async {
        tokio::select! {
            () = send => {}
            () = receive => {}
        }
    };
    timeout(WAIT_MAX, both).await?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let code = text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok((status, code.unwrap_or_default().to_owned()))
}

/// Opens an event stream and reads a byte of it every tenth of a second for so long, then leaves
/// without a word; the status.
pub(crate) async fn sip(address: &str, path: &str, run: Duration) -> std::io::Result<u16> {
    let mut stream = connect(address).await?;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut begin = [0; 12];
    timeout(WAIT_MAX, stream.read_exact(&mut begin)).await??;
    let status = String::from_utf8_lossy(&begin[9..]).parse().unwrap_or(0);
    let sips = async {
        while stream.read_u8().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // Whether the time or the stream ends first does not matter.
    let _ = timeout(if status == 200 { run } else { Duration::ZERO }, sips).await;
    Ok(status)
}
