//! Places, rate and breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::participant::{Breaker, ParticipantSpec};
use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_participants::{BreakerState, Config, HttpParticipants};
use amends_ports::Participants as _;
use axum::Router;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::{
    MS, SetClock, answering, call, call_within, gist, name, serve, spec_at, unsent, with,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn never_more_calls_at_once_than_there_are_places() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let (own_now, own_most, own_gate) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&gate));
    let handler = move || {
        let (now, most, gate) =
            (Arc::clone(&own_now), Arc::clone(&own_most), Arc::clone(&own_gate));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            now.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let address = serve(Router::new().fallback(handler)).await;
    let spec = ParticipantSpec { concurrency_max: 3, ..spec_at(address) };
    let participants = Arc::new(with(Config::default(), spec));
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let own = Arc::clone(&participants);
        calls.spawn(async move { own.call(call_within(Duration::from_secs(30))).await });
    }
    while now.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(participants.snapshot()[0].in_flight, 3);
    let late = participants.call(call_within(50 * MS)).await;
    assert_eq!(gist(&late), unsent(AttemptFailure::Timeout));
    gate.add_permits(20);
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().outcome, OutcomeKind::Succeeded);
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(participants.snapshot()[0].in_flight, 0);
}

#[tokio::test]
async fn the_rate_makes_calls_wait_or_says_how_long_it_would_take() {
    let (address, visits) = answering(OK).await;
    let spec = ParticipantSpec { rate: Some(0.1), ..spec_at(address) };
    let participants = HttpParticipants::new(Config::default(), Arc::new(SetClock::default()));
    participants.replace(vec![spec]);
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    let answer = participants.call(call()).await;
    assert_eq!(gist(&answer), unsent(AttemptFailure::Timeout));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(10)));
    assert_eq!(visits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_breaker_opens_lets_one_try_and_closes() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let breaker = Some(Breaker { failures: 3, open_for: Duration::from_mins(1) });
    let spec = ParticipantSpec { breaker, ..spec_at(socket.local_addr().unwrap()) };
    let clock = Arc::new(SetClock::default());
    let participants = HttpParticipants::new(Config::default(), Arc::<SetClock>::clone(&clock));
    participants.replace(vec![spec]);
    for _ in 0..3 {
        assert_eq!(gist(&participants.call(call()).await), unsent(AttemptFailure::Connect));
    }
    let state = || participants.snapshot()[0].endpoints[0].state;
    assert_eq!(state(), BreakerState::Open);
    let answer = participants.call(call()).await;
    assert_eq!(gist(&answer), unsent(AttemptFailure::BreakerOpen));
    assert_eq!(answer.retry_after, Some(Duration::from_millis(250)), "a short rest at first");

    clock.advance(Duration::from_mins(1));
    assert_eq!(gist(&participants.call(call()).await), unsent(AttemptFailure::Connect));
    assert_eq!(gist(&participants.call(call()).await), unsent(AttemptFailure::BreakerOpen));

    clock.advance(Duration::from_mins(1));
    let listener = socket.listen(8).unwrap();
    let server = async { axum::serve(listener, Router::new().fallback(|| async {})).await };
    let calls = async {
        assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
        assert_eq!(state(), BreakerState::Closed);
        assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    };
    tokio::select! {
        result = server => panic!("{result:?}"),
        () = calls => {}
    }
}

#[tokio::test]
async fn calls_are_spread_and_go_round_a_dead_endpoint() {
    let (a, visits_a) = answering(OK).await;
    let (b, visits_b) = answering(OK).await;
    let dead = TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead_at = dead.local_addr().unwrap();
    let url = |address: &std::net::SocketAddr| format!("http://{address}").parse().unwrap();
    let spec =
        ParticipantSpec { endpoints: [a, dead_at, b].iter().map(url).collect(), ..spec_at(a) };
    let participants = with(Config::default(), spec);
    for _ in 0..30 {
        let answer = participants.call(call()).await;
        // A warm connection that these servers have just closed may break.
        assert!(answer.sent, "{answer:?}");
    }
    let (a, b) = (visits_a.load(Ordering::SeqCst), visits_b.load(Ordering::SeqCst));
    assert!(a >= 5 && b >= 5, "{a} and {b} connections");
    let health = participants.check(&name()).await.unwrap();
    let well: Vec<bool> = health.endpoints.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!((health.healthy, well), (false, vec![true, false, true]));
}
