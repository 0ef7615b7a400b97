//! Passwords, users with few rights, TLS.

use amends_locks::{Config, Error, Redlock, Tls};
use amends_ports::Locks as _;
use amends_testbed::{Redis, free_port};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::setup::{config, guard, lost, until_acquired, until_said, until_trusted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_and_never_shown() {
    let master = Redis::start_with(&["--requirepass", "right"]).await.unwrap();
    let url = format!("redis://:hushhush@127.0.0.1:{}", master.port());
    let locks = Redlock::new(&config(vec![url])).unwrap();
    until_said(&locks, 0, "refuses the user or the password").await;
    let words = format!("{:?} {:?}", locks, locks.health().await);
    assert!(!words.contains("hushhush"), "{words}");
    let error = locks.acquire(&guard("a", &["x"])).await.unwrap_err();
    assert!(!error.to_string().contains("hushhush"), "{error}");

    let locks = Redlock::new(&config(vec![master.url()])).unwrap();
    until_acquired(&locks, &guard("a", &["x"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_needs_no_more_than_the_documentation_says() {
    let master = Redis::start().await.unwrap();
    // As in the crate's documentation.
    let rights = "on >word ~amends:lock:* +eval +get +set +pexpire +del +info +time +cluster|slots";
    let words: Vec<&str> =
        ["ACL", "SETUSER", "amends"].into_iter().chain(rights.split(' ')).collect();
    master.command(&words).await.unwrap();
    let url = format!("redis://amends:word@127.0.0.1:{}", master.port());
    let locks = Redlock::new(&config(vec![url])).unwrap();
    let held = guard("a", &["x"]);
    until_acquired(&locks, &held).await;
    assert!(locks.extend(std::slice::from_ref(&held)).await[0].is_ok());
    locks.release(std::slice::from_ref(&held)).await;
    assert_eq!(locks.extend(&[held]).await, [lost("x")]);
    let health = locks.health().await;
    assert_eq!((health.quorum, &health.masters[0].detail), (true, &None));

    for right in ["-eval", "-get", "-set", "-pexpire", "-del"] {
        master.command(&["ACL", "SETUSER", "amends", right]).await.unwrap();
        let url = format!("redis://amends:word@127.0.0.1:{}", master.port());
        let locks = Redlock::new(&config(vec![url])).unwrap();
        let status = until_said(&locks, 0, "does not do what guards need").await;
        assert!(!status.trusted, "without {right}");
        master.command(&["ACL", "SETUSER", "amends", &right.replace('-', "+")]).await.unwrap();
    }
    master.command(&["ACL", "SETUSER", "amends", "-info"]).await.unwrap();
    let url = format!("redis://amends:word@127.0.0.1:{}", master.port());
    let locks = Redlock::new(&config(vec![url])).unwrap();
    until_said(&locks, 0, "allow INFO").await;
}

/// A server with a certificate of its own, which it also demands of others.
struct Secured {
    _server: Redis,
    _files: TempDir,
    url: String,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

async fn secured(demands: &str) -> Secured {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = pem("CERTIFICATE", made.cert.der());
    let key = pem("PRIVATE KEY", &made.signing_key.serialize_der());
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    std::fs::write(path("cert.pem"), &certificate).unwrap();
    std::fs::write(path("key.pem"), &key).unwrap();
    let port = free_port().unwrap();
    let arguments = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("cert.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-ca-cert-file",
        &path("cert.pem"),
        "--tls-auth-clients",
        demands,
    ];
    let server = Redis::start_with(&arguments).await.unwrap();
    Secured {
        _server: server,
        _files: files,
        url: format!("rediss://localhost:{port}"),
        certificate: certificate.into_bytes(),
        key: key.into_bytes(),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn over_tls(secured: &Secured, tls: Tls) -> Config {
    Config { tls, ..config(vec![secured.url.clone()]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_with_who_is_believed() {
    let secured = secured("no").await;
    let tls = Tls { native: false, ca_pem: secured.certificate.clone(), client_pem: None };
    let locks = Redlock::new(&over_tls(&secured, tls)).unwrap();
    until_acquired(&locks, &guard("a", &["x"])).await;

    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca_pem = pem("CERTIFICATE", stranger.cert.der()).into_bytes();
    let tls = Tls { native: false, ca_pem, client_pem: None };
    let locks = Redlock::new(&over_tls(&secured, tls)).unwrap();
    let status = until_said(&locks, 0, "can't be reached").await;
    assert!(status.detail.unwrap().contains("certificate"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_shown_to_a_master_that_asks() {
    let secured = secured("yes").await;
    let ca_pem = secured.certificate.clone();
    let client_pem = Some((secured.certificate.clone(), secured.key.clone()));
    let tls = Tls { native: false, ca_pem: ca_pem.clone(), client_pem };
    let locks = Redlock::new(&over_tls(&secured, tls)).unwrap();
    until_trusted(&locks, 1).await;
    let locks =
        Redlock::new(&over_tls(&secured, Tls { native: false, ca_pem, client_pem: None })).unwrap();
    until_said(&locks, 0, "can't be reached").await;
}

#[tokio::test]
async fn tls_with_nobody_to_believe_is_refused_at_the_start() {
    let url = vec!["rediss://localhost".to_owned()];
    let with = |tls| Redlock::new(&Config { tls, ..config(url.clone()) }).unwrap_err();
    let nobody = with(Tls { native: false, ca_pem: Vec::new(), client_pem: None });
    assert!(matches!(nobody, Error::Tls(_)), "{nobody}");
    let torn = b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n".to_vec();
    let torn = with(Tls { native: false, ca_pem: torn, client_pem: None });
    assert!(matches!(torn, Error::Tls(_)), "{torn}");
}
