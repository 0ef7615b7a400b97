//! Servers that behave well or badly, and calls to them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::definition::Completion;
use amends_core::participant::{Endpoint, ParticipantSpec};
use amends_core::saga::{Answer, AttemptFailure, Op, OutcomeKind, Problem, Request};
use amends_core::{CallKey, Json, ParticipantName, SagaId, StepId, Timestamp};
use amends_participants::{Config, HttpParticipants};
use amends_ports::{CallContext, Clock, OutgoingCall, Participants as _, SystemClock};
use async_trait::async_trait;
use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// An axum server; its address.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    TaskTracker::new().spawn(async move { axum::serve(listener, service).await });
    address
}

/// A server that does with each connection what `handle` says; counts them.
pub(crate) async fn raw<F, H>(handle: H) -> (SocketAddr, Arc<AtomicUsize>)
where
    H: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tasks.spawn(handle(stream));
        }
    });
    (address, accepted)
}

/// Reads one whole request; `None` when the peer has closed.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(head) = text.find("\r\n\r\n") {
            let lower = text.to_ascii_lowercase();
            let length = lower
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())
                .unwrap_or(0);
            if bytes.len() >= head + 4 + length {
                return Some(text);
            }
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// Reads a request and answers it with exactly these bytes, then closes.
pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
    raw(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            if read_request(&mut stream).await.is_some() {
                let _ = stream.write_all(&bytes).await;
            }
        }
    })
    .await
}

pub(crate) fn name() -> ParticipantName {
    ParticipantName::new("shop").unwrap()
}

pub(crate) fn spec(url: &str) -> ParticipantSpec {
    ParticipantSpec::new(name(), Endpoint::new(url).unwrap())
}

pub(crate) fn spec_at(address: SocketAddr) -> ParticipantSpec {
    spec(&format!("http://{address}"))
}

pub(crate) fn with(config: Config, spec: ParticipantSpec) -> HttpParticipants {
    let participants = HttpParticipants::new(config, Arc::new(SystemClock::new()));
    participants.replace(vec![spec]);
    participants
}

/// Knows one participant at `address`.
pub(crate) fn at(address: SocketAddr) -> HttpParticipants {
    with(Config::default(), spec_at(address))
}

pub(crate) fn call() -> OutgoingCall {
    OutgoingCall {
        participant: name(),
        key: CallKey {
            saga_id: SagaId::new("order-42").unwrap(),
            step_id: StepId::new("charge").unwrap(),
            op: Op::Action,
        },
        attempt: 1,
        request: Request {
            method: "POST".to_owned(),
            path: "/pay".to_owned(),
            headers: Vec::new(),
            body: Some(Json::parse(r#"{"amount":7}"#).unwrap()),
        },
        timeout: Some(Duration::from_secs(5)),
        context: CallContext {
            now: Timestamp::parse("2026-11-22T13:06:00Z").unwrap(),
            ..CallContext::default()
        },
        completion: Completion::Answer,
        outcomes: Vec::new(),
    }
}

pub(crate) fn call_within(timeout: Duration) -> OutgoingCall {
    OutgoingCall { timeout: Some(timeout), ..call() }
}

/// What an answer says in short: outcome, whether it was sent, kind of failure.
pub(crate) fn gist(answer: &Answer) -> (OutcomeKind, bool, Option<AttemptFailure>) {
    (answer.outcome, answer.sent, answer.problem.as_ref().map(|problem| problem.kind))
}

pub(crate) const fn unknown(kind: AttemptFailure) -> (OutcomeKind, bool, Option<AttemptFailure>) {
    (OutcomeKind::Unknown, true, Some(kind))
}

pub(crate) const fn unsent(kind: AttemptFailure) -> (OutcomeKind, bool, Option<AttemptFailure>) {
    (OutcomeKind::Retryable, false, Some(kind))
}

pub(crate) fn problem(answer: &Answer) -> &Problem {
    answer.problem.as_ref().unwrap()
}

/// A clock that the test sets; its sleeps are never used here.
#[derive(Debug, Default)]
pub(crate) struct SetClock(AtomicU64);

impl SetClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(0).after(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {}
}
