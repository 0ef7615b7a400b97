//! Lines 4, 20, 22, 26, 50 and 97, asked of the console: its pages are under the bounds and checks
//! of the API, and counted like it.

use std::sync::Arc;

use amends_tests::{ServerOptions, until};
use anyhow::ensure;
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::connections::{drip, in_time};
use crate::refused_starts::refused;
use crate::row::{Ask, Row, get, raw, row, send};
use crate::scenario::{Scenario, scenario};
use crate::stage::{SOON, Stage};

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(26, "a form, byte by byte", "408 body-timeout after 10 s", slow_form),
    scenario!(50, "a page above the bound", "503 overloaded, Retry-After", too_many_pages),
    scenario!(50, "a page's event stream above the bound", "503 overloaded", too_many_streams),
    scenario!(20, "pages that are not there", "counted, by their template", counted),
];

/// A form that sets the theme, and says more than that.
fn form(bytes: usize) -> Ask {
    let form = format!("theme=dark&back={}", "x".repeat(bytes - "theme=dark&back=".len()));
    send("POST", "/console/theme", form)
        .with("content-type", "application/x-www-form-urlencoded")
        .with("sec-fetch-site", "same-origin")
}

pub(crate) fn rows() -> Vec<Row> {
    let mib = 1024 * 1024;
    let named = |hosts: &str| {
        raw(format!("GET /console/sagas HTTP/1.1\r\n{hosts}\r\nconnection: close\r\n\r\n"))
    };
    vec![
        row(4, "a form of 1 MiB, which is allowed", form(mib), 303, ""),
        row(4, "a form of 1 MiB + 1", form(mib + 1), 413, "body-too-large").closes(),
        row(20, "no such page", get("/console/a/b").with("x-request-id", "row-20"), 404, "")
            .header("x-request-id", "row-20")
            .header("content-type", "text/html"),
        row(22, "PATCH of a page", send("PATCH", "/console/sagas", ""), 405, "method-not-allowed"),
        row(
            23,
            "20 KiB of a page",
            get(format!("/console/sagas?q={}", "a".repeat(20_480))),
            414,
            "uri-too-long",
        ),
        row(
            97,
            "a page, another host's name",
            named("host: evil.example"),
            403,
            "cross-site-request",
        )
        .header("content-security-policy", "default-src 'none'"),
        row(
            97,
            "a page, two hosts",
            named("host: localhost\r\nhost: localhost"),
            403,
            "cross-site-request",
        ),
    ]
}

const HEAD: &[u8] = b"POST /console/theme HTTP/1.1\r\nhost: localhost\r\n\
    sec-fetch-site: same-origin\r\n\
    content-type: application/x-www-form-urlencoded\r\ncontent-length: 100000\r\n\r\n";

async fn slow_form(stage: Arc<Stage>) -> anyhow::Result<()> {
    let (reply, took) = drip(&stage, HEAD, b"theme=").await?;
    let code = reply.json()["code"].clone();
    ensure!((reply.status, code.as_str()) == (408, Some("body-timeout")), "{reply:?}");
    in_time(took)
}

async fn too_many_pages(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("server.requests-max", "3")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    // Forms whose bodies don't come keep all places. One that finds none keeps none.
    let mut forms = Vec::new();
    for path in ["/console/sagas", "/v1/sagas"] {
        let found = until("a refusal", SOON, async || {
            let mut form = TcpStream::connect(own.address()).await.ok()?;
            form.write_all(HEAD).await.ok()?;
            forms.push(form);
            own.client.get(path).await.ok().filter(|answer| answer.status != 200)
        });
        refused(&found.await?, "overloaded")?;
    }
    ensure!(own.client.get("/readyz").await?.status == 200, "not ready");
    drop(forms);
    let again = until("a place", SOON, async || {
        own.client.get("/console/sagas").await.ok().filter(|answer| answer.status == 200)
    });
    again.await.map(drop)
}

async fn too_many_streams(_: Arc<Stage>) -> anyhow::Result<()> {
    let settings = vec![("server.sse-clients-max", "2")];
    let own = Stage::start_with(ServerOptions { settings, ..Default::default() }).await?;
    let open = || own.client.request(Method::GET, "/console/events").send();
    let streams = [open().await?, open().await?];
    ensure!(streams.iter().all(|stream| stream.status() == 200), "{streams:?}");
    refused(&own.client.get("/console/events").await?, "overloaded")?;
    refused(&own.client.get("/v1/sagas/events").await?, "overloaded")?;
    drop(streams);
    let again =
        until("a place", SOON, async || open().await.ok().filter(|own| own.status() == 200));
    again.await.map(drop)
}

async fn counted(_: Arc<Stage>) -> anyhow::Result<()> {
    let own = Stage::start_with(ServerOptions::default()).await?;
    for (path, status) in [
        ("/console/sagas", 200),
        ("/console/sagas/secret-1", 404),
        ("/console/sagas/secret-2", 404),
        ("/console/secret/3", 404),
        ("/secret/4", 404),
    ] {
        ensure!(own.client.get(path).await?.status == status, "{path}");
    }
    let metrics = own.client.get("/metrics").await?.text;
    for (route, status, count) in [
        ("/console/sagas", 200, 1),
        ("/console/sagas/{id}", 404, 2),
        ("/console/{*rest}", 404, 1),
        ("none", 404, 1),
    ] {
        let line = format!(
            "amends_http_server_requests_total{{route=\"{route}\",method=\"GET\",\
             status=\"{status}\"}} {count}\n"
        );
        ensure!(metrics.contains(&line), "no {line} in {metrics}");
        let line = format!(
            "amends_http_server_request_duration_seconds_count{{route=\"{route}\"}} {count}\n"
        );
        ensure!(metrics.contains(&line), "no {line} in {metrics}");
    }
    ensure!(!metrics.contains("secret"), "a path is in them: {metrics}");
    Ok(())
}
