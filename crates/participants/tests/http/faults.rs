//! Peers that break off, stall or talk nonsense: what is not known is never taken for not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_ports::Participants as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{
    MS, answering, at, call, call_within, gist, problem, raw, read_request, unknown, unsent,
};

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    let stream = stream.into_std().unwrap();
    let _ = TcpStream::from_std(stream).and_then(|stream| stream.set_zero_linger());
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_unknown() {
    let (closing, _) = raw(|mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    let answer = at(closing).call(call()).await;
    assert_eq!(gist(&answer), unknown(AttemptFailure::Reset));

    let (resetting, _) = raw(|mut stream| async move {
        read_request(&mut stream).await;
        reset(stream);
    })
    .await;
    let answer = at(resetting).call(call()).await;
    assert_eq!(gist(&answer), unknown(AttemptFailure::Reset));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_unknown_whatever_the_status() {
    for status in ["200 OK", "409 Conflict"] {
        for head in ["content-length: 100", "transfer-encoding: chunked"] {
            let text = format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n5\r\nabcde\r\n");
            let (address, _) = answering(text).await;
            let answer = at(address).call(call()).await;
            assert_eq!(gist(&answer), unknown(AttemptFailure::Reset), "{status} {head}");
            assert!(problem(&answer).status.is_some());
        }
    }
}

#[tokio::test]
async fn the_time_out_covers_the_whole_answer_and_closes_the_connection() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let (address, _) = raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            let mut next: &[u8] = head;
            while stream.write_all(next).await.is_ok() {
                tokio::time::sleep(20 * MS).await;
                next = b"x";
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let participants = at(address);
    let answer = participants.call(call_within(200 * MS)).await;
    assert_eq!(gist(&answer), unknown(AttemptFailure::Timeout));
    assert!(problem(&answer).detail.contains("did not end within 200ms"), "{answer:?}");
    let seen = tokio::time::timeout(Duration::from_secs(10), async {
        while closed.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(MS).await;
        }
    });
    seen.await.expect("the participant sees its connection closed");
}

#[tokio::test]
async fn silence_is_unknown_and_an_unaccepted_connection_is_not_sent() {
    let (silent, _) = raw(|mut stream| async move {
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink).await;
    })
    .await;
    let answer = at(silent).call(call_within(100 * MS)).await;
    assert_eq!(gist(&answer), unknown(AttemptFailure::Timeout));

    // Bound but not listening: refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let answer = at(socket.local_addr().unwrap()).call(call()).await;
    assert_eq!(gist(&answer), unsent(AttemptFailure::Connect));
    assert!(problem(&answer).detail.contains("connection refused"), "{answer:?}");
}

#[tokio::test]
async fn nonsense_is_unknown() {
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(1000));
    for bytes in ["SSH-2.0-x\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n", &long, &many] {
        let (address, _) = answering(bytes).await;
        let answer = at(address).call(call()).await;
        assert_eq!((answer.outcome, answer.sent), (OutcomeKind::Unknown, true), "{answer:?}");
    }
    let (switching, _) = answering("HTTP/1.1 101 Switching Protocols\r\n\r\n").await;
    let answer = at(switching).call(call()).await;
    assert_eq!((answer.outcome, answer.sent), (OutcomeKind::Unknown, true), "{answer:?}");
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends_long_before_the_time() {
    let (address, _) = raw(|mut stream| async move {
        read_request(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = at(address).call(call_within(Duration::from_mins(10))).await;
    assert_eq!((answer.outcome, answer.sent), (OutcomeKind::Unknown, true), "{answer:?}");
    let problem = answer.problem.unwrap();
    assert_eq!(problem.kind, AttemptFailure::BadAnswer);
    assert!(problem.detail.contains("before the head of an answer"), "{}", problem.detail);
}

/// Answers the first request of a connection, takes the second and closes without a word: the
/// second is unknown, and is not quietly sent again.
#[tokio::test]
async fn a_request_on_a_warm_connection_that_breaks_is_sent_once() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let (address, connections) = raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            for turn in 0..2 {
                if read_request(&mut stream).await.is_none() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                if turn == 0 {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await
                        .unwrap();
                }
            }
        }
    })
    .await;
    let participants = at(address);
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    assert_eq!(gist(&participants.call(call()).await), unknown(AttemptFailure::Reset));
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection was kept");
}

/// Closes every connection right after its answer, without saying so. Whichever side of the race
/// a call is on: what the server has seen is never reported as not sent, and nothing is sent
/// twice.
#[tokio::test]
async fn the_close_of_an_idle_connection_is_never_taken_for_an_answer() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let (address, _) = raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            if read_request(&mut stream).await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    let participants = at(address);
    let mut succeeded = 0;
    for _ in 0..200 {
        let before = requests.load(Ordering::SeqCst);
        let answer = participants.call(call()).await;
        let seen = requests.load(Ordering::SeqCst) - before;
        match answer.outcome {
            OutcomeKind::Succeeded => {
                succeeded += 1;
                assert_eq!(seen, 1);
            }
            OutcomeKind::Unknown => assert!(answer.sent && seen == 0),
            OutcomeKind::Pending | OutcomeKind::Refused | OutcomeKind::Retryable => {
                panic!("{answer:?}")
            }
        }
    }
    assert!(succeeded > 50, "{succeeded} of 200");
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let text = "HTTP/1.1 503 Busy\r\nretry-after: Sun, 22 Nov 2026 13:06:30 GMT\r\n\
                content-length: 0\r\n\r\n";
    let (address, _) = answering(text).await;
    let answer = at(address).call(call()).await;
    assert_eq!(answer.outcome, OutcomeKind::Retryable);
    assert_eq!(answer.retry_after, Some(Duration::from_secs(30)));
}
