//! Secrets travel, and are shown nowhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_core::participant::{Auth, ParticipantSpec, Secret};
use amends_core::saga::{AttemptFailure, OutcomeKind};
use amends_participants::{Config, HttpParticipants};
use amends_ports::Participants as _;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};

use crate::support::{SetClock, call, gist, name, serve, spec_at, unsent};

#[tokio::test]
async fn each_kind_of_auth_arrives_and_a_rotated_file_is_read_again() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::clone(&seen);
    let handler = move |headers: HeaderMap| {
        let found = headers.get("x-api-key").or_else(|| headers.get("authorization"));
        own.lock().unwrap().push(found.unwrap().to_str().unwrap().to_owned());
        async { StatusCode::FORBIDDEN }
    };
    let address = serve(Router::new().fallback(handler)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "canary-file\n").unwrap();
    let in_file = Secret::File(file.path().to_str().unwrap().to_owned());
    let clock = Arc::new(SetClock::default());
    let participants = HttpParticipants::new(Config::default(), Arc::<SetClock>::clone(&clock));
    let value = |text: &str| Secret::Value(text.to_owned());
    for auth in [
        Auth::Bearer { token: value("canary-token") },
        Auth::Basic { user: "u".to_owned(), password: value("canary-pw") },
        Auth::Header { name: "x-api-key".to_owned(), value: value("canary-key") },
        Auth::Bearer { token: in_file },
    ] {
        let spec = ParticipantSpec { auth: Some(auth), ..spec_at(address) };
        participants.replace(vec![spec]);
        let mut own = call();
        own.request.headers = vec![("authorization".to_owned(), "theirs".to_owned())];
        assert_eq!(participants.call(own).await.outcome, OutcomeKind::Refused);
    }
    std::fs::write(file.path(), "canary-rotated").unwrap();
    participants.call(call()).await;
    clock.advance(Duration::from_mins(1));
    let answer = participants.call(call()).await;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "Bearer canary-token",
            "Basic dTpjYW5hcnktcHc=",
            "canary-key",
            "Bearer canary-file",
            "Bearer canary-file",
            "Bearer canary-rotated",
        ]
    );
    let shown = format!("{participants:?} {answer:?} {:?}", participants.snapshot());
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn without_its_secret_nothing_is_sent() {
    let address = serve(Router::new().fallback(|| async {})).await;
    let missing = "/nowhere/secret".to_owned();
    for secret in [Secret::Env("NO_SUCH_VARIABLE_HERE".to_owned()), Secret::File(missing)] {
        let auth = Some(Auth::Bearer { token: secret });
        let participants = HttpParticipants::new(Config::default(), Arc::new(SetClock::default()));
        participants.replace(vec![ParticipantSpec { auth, ..spec_at(address) }]);
        let answer = participants.call(call()).await;
        assert_eq!(gist(&answer), unsent(AttemptFailure::Connect), "{answer:?}");
    }
}

#[tokio::test]
async fn a_participant_can_be_changed_and_removed() {
    let teapot = serve(Router::new().fallback(|| async { StatusCode::IM_A_TEAPOT })).await;
    let fine = serve(Router::new().fallback(|| async {})).await;
    let participants = HttpParticipants::new(Config::default(), Arc::new(SetClock::default()));
    assert_eq!(gist(&participants.call(call()).await), unsent(AttemptFailure::UnknownParticipant));
    assert_eq!(participants.defaults(&name()), None);
    participants.replace(vec![spec_at(teapot)]);
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Refused);
    let timeout = Some(Duration::from_secs(2));
    participants.replace(vec![ParticipantSpec { timeout, ..spec_at(fine) }]);
    assert_eq!(participants.call(call()).await.outcome, OutcomeKind::Succeeded);
    assert_eq!(participants.defaults(&name()), Some((timeout, None)));
    participants.replace(Vec::new());
    assert!(participants.check(&name()).await.is_none());
}
