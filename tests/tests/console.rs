//! The console in a real browser: a saga is found in the list, its page shows what happened, and
//! nothing that a client sent is run.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Stdio;
use std::time::Duration;

use amends_tests::{Participant, Server, ServerOptions};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

/// Longest time for one page.
const PAGE_MAX: Duration = Duration::from_mins(1);

/// Longest wait for a saga to end.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_list_and_a_saga() {
    let server = Server::start(ServerOptions::default()).await.unwrap();
    let client = server.client().unwrap();
    let participant = Participant::start(Duration::ZERO).await.unwrap();
    client.register("worker", &participant.spec()).await.unwrap();
    let step = |id: &str, path: &str| {
        json!({
            "id": id, "participant": "worker",
            "action": { "path": path }, "compensation": { "path": "/undo" },
        })
    };
    let good = json!({ "name": "good", "steps": [step("pack", "/do"), step("ship", "/do")] });
    let bad = json!({ "name": "bad", "steps": [step("pack", "/do"), step("ship", "/refuse")] });
    client.define(&good).await.unwrap();
    client.define(&bad).await.unwrap();
    for (id, definition, status) in
        [("order-1", "good", "completed"), ("order-2", "bad", "compensated")]
    {
        let input = "<script>document.title = 'taken'</script>";
        let body = json!({ "definition": definition, "id": id, "input": input });
        client.post("/v1/sagas", &body).await.unwrap().success().unwrap();
        client.until_status(id, status, SOON).await.unwrap();
    }

    let browser = Browser::new();
    let list = browser.dom(&format!("{}/console/sagas", server.url())).await;
    for words in
        ["href=\"/console/sagas/order-1\"", "href=\"/console/sagas/order-2\"", "compensated"]
    {
        assert!(list.contains(words), "no {words} in {list}");
    }
    let found = browser.dom(&format!("{}/console/sagas?q=order-2", server.url())).await;
    assert!(found.contains("/console/sagas/order-2\""), "{found}");
    assert!(!found.contains("/console/sagas/order-1\""), "the search shows others: {found}");

    let page = browser.dom(&format!("{}/console/sagas/order-2", server.url())).await;
    for words in ["<title>order-2", "<svg", "id=\"step-pack\"", "id=\"step-ship\"", "undone", "422"]
    {
        assert!(page.contains(words), "no {words} in {page}");
    }
    assert!(page.contains("&lt;script&gt;"), "the input is not shown as text: {page}");
    assert!(!page.contains("<title>taken"), "the input was run: {page}");
}

/// A browser without a window, with a profile of its own.
struct Browser {
    profile: TempDir,
}

impl Browser {
    fn new() -> Self {
        Self { profile: tempfile::tempdir().unwrap() }
    }

    /// The page's document once it is loaded and its scripts have run.
    async fn dom(&self, url: &str) -> String {
        let run = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(["--dump-dom", url])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PAGE_MAX, run).await.unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "chromium on {url}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}
