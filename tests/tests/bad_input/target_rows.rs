//! Lines 65 to 78: addresses that are refused when a participant is registered, by a server that
//! allows public ones only.

use amends_tests::{Server, ServerOptions};

use crate::row::{Row, register, row};

const FORMS: &[(u8, &[&str])] = &[
    (
        65,
        &[
            "ftp://host",
            "file:///etc/passwd",
            "gopher://host",
            "javascript:1",
            "unix:/run/x",
            "host",
            "//host",
            "",
        ],
    ),
    (66, &["http://user:pw@host/", "http://user@host", "http://:pw@host", "https://a%40b@host"]),
    (69, &["http://[fe80::1%25eth0]", "http://[::1", "http://1.2.3.4.5.6/:x"]),
    (
        77,
        &[
            "https://host:6379/",
            "http://host:22",
            "http://host:25",
            "http://host:5432",
            "http://host:0",
            "http://host:99999",
        ],
    ),
];

const TARGETS: &[(u8, &[&str])] = &[
    (
        67,
        &[
            "http://127.0.0.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0177.0.0.1",
            "http://127.1",
            "http://127.255.255.254",
            "http://localhost",
            "http://a.localhost",
        ],
    ),
    (
        68,
        &[
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
            "http://[::ffff:7f00:1]",
            "http://[0:0:0:0:0:0:0:1]",
        ],
    ),
    (
        69,
        &[
            "http://[64:ff9b::7f00:1]",
            "http://[2002:7f00:1::]",
            "http://[::127.0.0.1]",
            "http://[fe80::1]",
        ],
    ),
    (
        70,
        &[
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
            "http://metadata.google.internal",
            "http://100.100.100.200",
            "http://[::ffff:a9fe:a9fe]",
            "http://168.63.129.16",
        ],
    ),
    (
        71,
        &[
            "http://10.0.0.1",
            "http://172.16.0.1",
            "http://192.168.0.1",
            "http://100.64.0.1",
            "http://0.0.0.0",
            "http://224.0.0.1",
            "http://255.255.255.255",
            "http://[::]",
            "http://[fc00::1]",
            "http://[ff02::1]",
            "http://198.18.0.1",
            "http://192.0.2.1",
        ],
    ),
    (
        76,
        &[
            "http://ok.example\u{3002}local",
            "http://\u{ff4c}ocalhost",
            "http://LocalHost.",
            "http://x.SVC.cluster.LOCAL.",
            "http://127\u{3002}0.0.1",
            "http://a.INTERNAL",
        ],
    ),
];

/// The rows, for a server at this address.
pub(crate) fn rows(own: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (all, fault) in [(FORMS, "bad-endpoint"), (TARGETS, "target-not-allowed")] {
        for (line, urls) in all {
            for url in *urls {
                rows.push(refused(*line, url, url, fault));
            }
        }
    }
    let port = own.rsplit(':').next().unwrap_or_default();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let url = format!("http://{host}:{port}");
        rows.push(refused(78, "the server itself", &url, "target-not-allowed"));
    }
    rows
}

fn refused(line: u8, input: &'static str, url: &str, fault: &'static str) -> Row {
    row(line, input, register(url), 422, "participant-invalid").at("/endpoints/0").fault(fault)
}

/// Asks them; what was wrong.
pub(crate) async fn check() -> anyhow::Result<Vec<String>> {
    let strict = vec![("targets.allow-private", "no")];
    let server = Server::start(ServerOptions { settings: strict, ..Default::default() }).await?;
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut wrong = Vec::new();
    for row in rows(&address) {
        if let Err(error) = row.check(&address).await {
            wrong.push(format!("{}: {} {error:#}", row.line, row.input));
        }
    }
    // One that lets private ones in still takes neither itself nor what is never called.
    let server = Server::start(ServerOptions::default()).await?;
    let address = server.url().trim_start_matches("http://").to_owned();
    for row in rows(&address).into_iter().filter(|row| matches!(row.line, 70 | 78)) {
        if let Err(error) = row.check(&address).await {
            wrong.push(format!("{} (permissive): {} {error:#}", row.line, row.input));
        }
    }
    let stored = server.client()?.get("/v1/participants").await?.success()?;
    if stored["participants"].as_array().is_none_or(|list| !list.is_empty()) {
        wrong.push(format!("stored: {stored}"));
    }
    Ok(wrong)
}
