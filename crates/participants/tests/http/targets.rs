//! What must not be called is not called: not a packet, and not a word about where it is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amends_core::participant::TargetPolicy;
use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_participants::{Config, Resolver};
use amends_ports::Participants as _;
use async_trait::async_trait;

use crate::support::{answering, call, gist, problem, spec, unsent, with};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Gives these addresses, the n-th list at the n-th question.
#[derive(Debug)]
struct Scripted {
    answers: Vec<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolver for Scripted {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.get(turn).cloned().ok_or_else(|| io::Error::other("no such name"))
    }
}

fn config(targets: TargetPolicy, answers: Vec<Vec<SocketAddr>>) -> Config {
    let resolver = Arc::new(Scripted { answers, asked: AtomicUsize::new(0) });
    Config { targets, resolver, ..Config::default() }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_blocked() {
    let (address, visits) = answering(OK).await;
    let public: SocketAddr = format!("8.8.8.8:{}", address.port()).parse().unwrap();
    let mapped = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap();
    let loopback = format!("[::1]:{}", address.port()).parse().unwrap();
    let url = format!("http://shop.test:{}", address.port());
    for answer in [vec![address], vec![public, address], vec![mapped], vec![public, loopback]] {
        let strict = TargetPolicy::default();
        let participants = with(config(strict, vec![answer]), spec(&url));
        let answer = participants.call(call()).await;
        assert_eq!(gist(&answer), unsent(AttemptFailure::BlockedTarget));
        let detail = &problem(&answer).detail;
        assert!(!detail.contains("127.") && !detail.contains("::"), "{detail}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn literal_addresses_go_the_same_way() {
    let (address, visits) = answering(OK).await;
    let port = address.port();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"] {
        let url = format!("http://{host}:{port}");
        let participants = with(config(TargetPolicy::default(), Vec::new()), spec(&url));
        let answer = participants.call(call()).await;
        assert_eq!(gist(&answer), unsent(AttemptFailure::BlockedTarget), "{host}");
        let allowed = with(config(TargetPolicy::permissive(), Vec::new()), spec(&url));
        assert_eq!(allowed.call(call()).await.outcome, OutcomeKind::Succeeded, "{host}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 5);
    let never =
        with(config(TargetPolicy::permissive(), Vec::new()), spec("http://169.254.169.254"));
    assert_eq!(gist(&never.call(call()).await), unsent(AttemptFailure::BlockedTarget));
}

#[tokio::test]
async fn each_new_connection_is_judged_anew_and_dials_what_was_judged() {
    let (address, visits) =
        answering(OK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    let metadata = "169.254.169.254:80".parse().unwrap();
    let url = format!("http://shop.test:{}", address.port());
    let answers = vec![vec![address], vec![metadata], vec![address]];
    let participants = with(config(TargetPolicy::permissive(), answers), spec(&url));
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    assert_eq!(gist(&participants.call(call()).await), unsent(AttemptFailure::BlockedTarget));
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    assert_eq!(gist(&participants.call(call()).await), unsent(AttemptFailure::Dns));
    assert_eq!(visits.load(Ordering::SeqCst), 2);
}
