//! The console's answers, asked of its router over a coordinator on in-memory ports.
#![allow(clippy::unwrap_used, reason = "test code")]

mod locks;
mod support;
mod transactions;

use std::time::Duration;

use amends_core::SagaId;
use amends_core::saga::{Answer, Op, Status};
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use futures_util::StreamExt as _;
use http::StatusCode;

use support::{Reply, World, refused};

#[tokio::test(start_paused = true)]
async fn the_root_leads_to_the_list() {
    let world = World::new(ScriptedParticipants::new()).await;
    for path in ["/", "/console", "/console/"] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        assert_eq!(reply.header("location"), "/console/sagas");
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_forbids_inline_code_and_frames() {
    let world = World::new(ScriptedParticipants::new()).await;
    for path in
        ["/console/sagas", "/console/sagas/none", "/console/nowhere", "/console/assets/console.js"]
    {
        let reply = world.get(path).await;
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
    }
    assert_eq!(world.get("/console/sagas").await.header("cache-control"), "no-store");
}

#[tokio::test(start_paused = true)]
async fn the_list_shows_counts_rows_and_pages() {
    let world = World::new(ScriptedParticipants::new()).await;
    let empty = world.get("/console/sagas").await;
    assert!(empty.body.contains("No sagas yet."));
    for number in 0..60 {
        world.run(&format!("order-{number:02}")).await;
    }
    let first = world.get("/console/sagas").await;
    assert_eq!(first.body.matches("<tr data-id").count(), 50);
    assert!(first.body.contains("<span>completed</span> <b>60</b>"));
    let second = world.get(&first.link("Older")).await;
    assert_eq!(second.body.matches("<tr data-id").count(), 10);
    assert!(!second.body.contains(">Older<") && second.body.contains(">Newest<"));
}

#[tokio::test(start_paused = true)]
async fn the_same_rows_are_shown_again_and_newer_ones_counted() {
    let world = World::new(ScriptedParticipants::new()).await;
    world.run("order-1").await;
    let first = world.get("/console/sagas").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.run("order-2").await;
    let again = world.get(&first.attribute("data-refresh")).await;
    assert_eq!(again.body.matches("<tr data-id").count(), 1);
    assert!(again.body.contains("1 new — show"));
    assert_eq!(first.attribute("data-refresh"), again.attribute("data-refresh"));
}

#[tokio::test(start_paused = true)]
async fn a_whole_id_leads_to_its_saga_and_a_beginning_to_a_list() {
    let world = World::new(ScriptedParticipants::new()).await;
    world.run("order-4").await;
    world.run("order-42").await;
    let whole = world.get("/console/sagas?q=order-4").await;
    assert_eq!(whole.header("location"), "/console/sagas/order-4");
    let beginning = world.get("/console/sagas?q=order-").await;
    assert_eq!(beginning.body.matches("<tr data-id").count(), 2);
    let other = world.get("/console/sagas?q=invoice").await;
    assert!(other.body.contains("No saga fits these conditions."));
}

#[tokio::test(start_paused = true)]
async fn conditions_narrow_the_list_and_bad_ones_are_named() {
    let world = World::new(ScriptedParticipants::new()).await;
    world.run("order-1").await;
    for (query, rows) in [
        ("status=completed", 1),
        ("status=running,suspended", 0),
        ("definition=order", 1),
        ("definition=other", 0),
        ("label=tenant:acme", 1),
        ("label=tenant:none", 0),
        ("from=2026-01-01T00:00&before=2026-01-02T00:00", 1),
        ("before=2025-01-01T00:00", 0),
    ] {
        let reply = world.get(&format!("/console/sagas?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}");
        assert_eq!(reply.body.matches("<tr data-id").count(), rows, "{query}");
    }
    for query in ["status=%27%3B%20drop%20table", "cursor=zz", "colour=red", "from=now"] {
        let reply = world.get(&format!("/console/sagas?{query}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(reply.body.contains("was left out"), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_saga_has_a_page_with_all_its_parts() {
    let world = World::new(ScriptedParticipants::new()).await;
    world.run("order-1").await;
    let reply = world.get("/console/sagas/order-1").await;
    assert_eq!(reply.status, StatusCode::OK);
    for part in ["status", "explain", "commands", "facts", "graph", "timeline", "steps", "journal"]
    {
        assert!(reply.body.contains(&format!("id=\"{part}\"")), "{part} is missing");
    }
    assert!(reply.body.contains("Completed at"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_answered_with_a_page() {
    let world = World::new(ScriptedParticipants::new()).await;
    for path in ["/console/sagas/none", "/console/sagas/a%20b", "/console/nowhere/at/all"] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.body.contains("All sagas"), "{path}");
    }
    let reply = world.get("/console/sagas/%3Cscript%3E").await;
    assert!(!reply.body.contains("<script>"));
}

#[tokio::test(start_paused = true)]
async fn a_command_is_carried_out_and_confirmed() {
    let world = World::new(ScriptedParticipants::scripted(|_| ScriptedAnswer::never())).await;
    let id = world.start("order-1").await;
    let reply = world.post(&id, "command=pause&reason=seen+odd+orders").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    assert_eq!(reply.header("location"), "/console/sagas/order-1?did=pause");
    let page = world.get(&reply.header("location")).await;
    assert!(page.body.contains("Paused. Nothing new starts until it is resumed."));
    assert!(page.body.contains("seen odd orders"));
    assert!(page.body.contains(r#"name="command" value="resume""#));
    assert!(world.saga(&id).await.is_paused());
}

#[tokio::test(start_paused = true)]
async fn a_refused_command_says_why_and_keeps_the_reason() {
    let world = World::new(ScriptedParticipants::new()).await;
    let id = world.run("order-1").await;
    let reply = world.post(&id, "command=cancel&reason=%3Cb%3Ewrong%3C/b%3E").await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(reply.body.contains("the saga has ended (completed)"));
    assert!(reply.body.contains("&#60;b&#62;wrong"));
    let unclear = world.post(&id, "command=cancel").await;
    assert_eq!(unclear.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unclear.body.contains("needs a reason"));
    let nobody = SagaId::new("nobody").unwrap();
    assert_eq!(world.post(&nobody, "command=pause").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_form_of_another_site_does_nothing() {
    let world = World::new(ScriptedParticipants::scripted(|_| ScriptedAnswer::never())).await;
    let id = world.start("order-1").await;
    let path = format!("/console/sagas/{id}/commands");
    for headers in [&[("sec-fetch-site", "cross-site")][..], &[("origin", "http://evil")], &[]] {
        let reply = world.send("POST", &path, headers, "command=pause").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(!world.saga(&id).await.is_paused());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_is_resolved_from_its_page() {
    let participants = ScriptedParticipants::answering(|call| match call.op() {
        Op::Confirm => refused("the hold has expired"),
        Op::Action | Op::Compensation | Op::Try | Op::Cancel => Answer::succeeded(None),
    });
    let world = World::new(participants).await;
    let id = world.run("order-1").await;

    assert_eq!(world.saga(&id).await.status(), Status::Suspended);
    let page = world.get("/console/sagas/order-1").await;
    assert!(page.body.contains("the hold has expired"));
    assert!(page.body.contains(r#"name="op" value="confirm""#));
    let of = |op| {
        format!("command=resolve-succeeded&step=charge&op={op}&reason=captured+by+hand&output=")
    };
    let reply = world.post(&id, &of("try")).await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.body);
    let reply = world.post(&id, &of("confirm")).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    world.ended(&id).await;
    assert_eq!(world.saga(&id).await.status(), Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_said_to_be() {
    let world = World::new(ScriptedParticipants::new()).await;
    world.run("order-1").await;
    world.store.set_down(true);
    for path in ["/console/sagas", "/console/sagas/order-9"] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(reply.body.contains("The store does not answer"));
        assert!(!reply.header("retry-after").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn colours_are_chosen_and_lead_back_to_pages_of_ours_only() {
    let world = World::new(ScriptedParticipants::new()).await;
    let ours = [("sec-fetch-site", "same-origin")];
    for (back, location) in [
        ("/console/sagas/order-1", "/console/sagas/order-1"),
        ("//evil.example", "/console/sagas"),
        ("https://evil.example", "/console/sagas"),
    ] {
        let form = format!("theme=dark&back={back}");
        let reply = world.send("POST", "/console/theme", &ours, &form).await;
        assert_eq!(reply.header("location"), location);
        assert!(reply.header("set-cookie").starts_with("amends_theme=dark;"));
    }
    let dark =
        world.send("GET", "/console/sagas", &[("cookie", "a=b; amends_theme=dark")], "").await;
    assert!(dark.body.contains(r#"<html lang="en" data-theme="dark">"#));
    let odd = world.send("GET", "/console/sagas", &[("cookie", "amends_theme=\"><b>")], "").await;
    assert!(odd.body.contains(r#"<html lang="en">"#));
}

#[tokio::test(start_paused = true)]
async fn open_pages_are_told_that_something_changed_until_the_drain() {
    let world = World::new(ScriptedParticipants::new()).await;
    let mut all = world.stream("/console/events").await;
    let mut one = world.stream("/console/events?saga=order-2").await;
    world.run("order-1").await;
    let event = all.next().await.unwrap().unwrap();
    assert!(event.starts_with(b"event: changed"), "{event:?}");
    world.run("order-2").await;
    let event = one.next().await.unwrap().unwrap();
    assert!(event.starts_with(b"event: changed"), "{event:?}");
    world.engine.drain().await;
    let rest: Vec<_> = all.collect().await;
    assert!(rest.len() < 20, "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn assets_are_served_and_kept() {
    let world = World::new(ScriptedParticipants::new()).await;
    let page: Reply = world.get("/console/sagas").await;
    for name in ["console.css", "console.js", "mark.svg"] {
        let start = page.body.find(&format!("/console/assets/{name}")).unwrap();
        let link = page.body[start..].split('"').next().unwrap();
        let asset = world.get(link).await;
        assert_eq!(asset.status, StatusCode::OK, "{name}");
        assert!(asset.header("cache-control").contains("immutable"));
    }
    assert_eq!(world.get("/console/assets/other").await.status, StatusCode::NOT_FOUND);
}
