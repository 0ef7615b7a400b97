//! Pages of lock keys: the list, a queue, and taking a key away.

use amends_core::SagaId;
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use http::StatusCode;

use crate::support::World;

/// `order-1` holds both keys, `order-2` and `order-3` wait.
async fn world() -> World {
    let world = World::new(ScriptedParticipants::scripted(|_| ScriptedAnswer::never())).await;
    for id in ["order-1", "order-2", "order-3"] {
        world.start_of("locked", id).await;
    }
    until_held_by(&world, "order-1").await;
    world
}

/// Waits until the page of `sku:42` says that this saga holds it.
async fn until_held_by(world: &World, saga_id: &str) {
    let field = format!(r#"name="holder" value="{saga_id}""#);
    world.get_until("/console/lock?key=sku:42", &field).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_listed_with_their_holder_and_who_waits() {
    let world = World::new(ScriptedParticipants::new()).await;
    let empty = world.get("/console/locks").await;
    assert!(
        empty.body.contains("No lock key is held.")
            && empty.body.contains("no Redis is configured")
    );
    let world = self::world().await;
    let page = world.get("/console/locks").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.body.matches("<tr data-id").count(), 2);
    assert!(page.body.contains(r#"href="/console/sagas/order-1""#));
    assert!(page.body.contains("<b>2</b>"), "{}", page.body);
    assert!(!page.body.contains("user:<b>"), "markup of a key is live");
    let one = world.get("/console/locks?prefix=sku").await;
    assert_eq!(one.body.matches("<tr data-id").count(), 1);
    let none = world.get("/console/locks?prefix=other").await;
    assert!(none.body.contains("No lock key that is held or waited for fits."));
    for query in ["prefix=%00", "cursor=%0a%0a"] {
        let reply = world.get(&format!("/console/locks?{query}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(reply.body.contains("was left out"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_shows_its_queue_in_order() {
    let world = world().await;
    let page = world.get("/console/lock?key=sku:42").await;
    assert!(page.body.find("order-2").unwrap() < page.body.find("order-3").unwrap());
    assert!(page.body.contains("2 waiting, first come, first served"));
    assert!(page.body.contains("user:&#60;b&#62;"), "the other key of the holder is missing");
    let free = world.get("/console/lock?key=free").await;
    assert_eq!(free.status, StatusCode::OK);
    assert!(free.body.contains("Nobody holds this key, and nobody waits for it."));
    for key in ["", "a%00b"] {
        let reply = world.get(&format!("/console/lock?key={key}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_saga_says_where_it_stands_for_its_keys() {
    let world = world().await;
    let first = world.get("/console/sagas/order-1").await;
    assert!(first.body.contains("holds it, fencing token"));
    let last = world.get("/console/sagas/order-3").await;
    assert!(last.body.contains("waits, 2 sagas before it; held by"), "{}", last.body);
    let list = world.get("/console/sagas").await;
    assert_eq!(list.body.matches("in its queue").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_taken_away_with_a_reason_and_a_tick() {
    let world = world().await;
    until_held_by(&world, "order-1").await;
    let form = "key=sku:42&holder=order-1&reason=participant+is+gone&sure=yes";
    let path = "/console/lock";
    let unclear = StatusCode::UNPROCESSABLE_ENTITY;
    for (form, status, why) in [
        ("key=sku:42&holder=order-1&sure=yes", unclear, "needs a reason"),
        ("key=sku:42&holder=order-1&reason=%3Cb%3E", unclear, "tick that"),
        ("key=sku:42&holder=order-2&reason=x&sure=yes", StatusCode::CONFLICT, "another saga"),
        ("key=free&holder=order-1&reason=x&sure=yes", StatusCode::CONFLICT, "nobody holds"),
        ("key=&reason=x&sure=yes", StatusCode::NOT_FOUND, "cannot be a lock key"),
    ] {
        let reply = world.post_to(path, form).await;
        assert!(reply.body.contains(why), "{form}: {}", reply.body);
        assert!(!reply.body.contains("reason was: <b>"));
        assert_eq!(reply.status, status, "{form}");
    }
    let foreign = world.send("POST", path, &[("sec-fetch-site", "cross-site")], form).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    until_held_by(&world, "order-1").await;

    let reply = world.post_to(path, form).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    let page = world.get(&reply.header("location")).await;
    assert!(page.body.contains("has lost its lock keys"));
    until_held_by(&world, "order-2").await;
    let saga = world.saga(&SagaId::new("order-1").unwrap()).await;
    assert!(saga.waits_for_lock());
    let page = world.get("/console/sagas/order-1").await;
    assert!(page.body.contains("lock keys taken away by an operator: participant is gone"));
}
