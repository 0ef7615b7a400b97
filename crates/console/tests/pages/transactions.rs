//! The page of an interactive transaction: its branches, its deadline, and deciding it.

use std::time::Duration;

use amends_core::SagaId;
use amends_core::saga::Status;
use amends_ports::testing::{ScriptedAnswer, ScriptedParticipants};
use http::StatusCode;

use crate::support::World;

#[tokio::test(start_paused = true)]
async fn branches_are_shown_with_the_client_and_linked() {
    let world = World::new(ScriptedParticipants::new()).await;
    world.begin("trip").await;
    let page = world.get("/console/sagas/trip").await;
    for part in [
        "with client</span>",
        "rolled back <time",
        "interactive transaction",
        "called by the client",
        "nested saga",
        "branch money enlisted: TCC with payment",
        r#"href="/console/sagas/trip.order""#,
        r#"name="command" value="commit""#,
        r#"name="command" value="extend""#,
        ">Roll back</summary>",
    ] {
        assert!(page.body.contains(part), "{part:?} is not in {}", page.body);
    }
    let nested = world.get_until("/console/sagas/trip.order", "Part of").await;
    assert!(nested.body.contains(r#"<a href="/console/sagas/trip">trip</a>"#));
    assert!(nested.body.contains("its branch <code>order</code>"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_gets_more_time_and_is_committed() {
    let world = World::new(ScriptedParticipants::new()).await;
    let id = world.begin("trip").await;
    let before = world.saga(&id).await.deadline_at().unwrap();
    for (form, why) in [
        ("command=extend&deadline=soon", "is not a duration"),
        ("command=extend&deadline=1ms", "must be 1s to 366d"),
        ("command=commit", "needs a reason"),
    ] {
        let reply = world.post(&id, form).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(reply.body.contains(why), "{form}");
    }
    let reply = world.post(&id, "command=extend&deadline=1h").await;
    assert_eq!(reply.header("location"), "/console/sagas/trip?did=extend", "{}", reply.body);
    let after = world.saga(&id).await.deadline_at().unwrap();
    assert!(after.since(before) > Duration::from_mins(50));
    let reply = world.post(&id, "command=commit&reason=client+says+so").await;
    assert_eq!(reply.header("location"), "/console/sagas/trip?did=commit", "{}", reply.body);
    world.ended(&id).await;
    assert_eq!(world.saga(&id).await.status(), Status::Completed);
    let late = world.post(&id, "command=cancel&reason=too+late").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_rolled_back_from_its_page() {
    let world = World::new(ScriptedParticipants::scripted(|call| {
        assert!(!call.op().is_forward() || call.key.to_string().contains("trip.order"));
        ScriptedAnswer::now(amends_core::saga::Answer::succeeded(None))
    }))
    .await;
    let id: SagaId = world.begin("trip").await;
    let reply = world.post(&id, "command=cancel&reason=changed+their+mind").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    world.ended(&id).await;
    assert_eq!(world.saga(&id).await.status(), Status::Compensated);
    let page = world.get("/console/sagas/trip").await;
    assert!(!page.body.contains("with client</span>"));
    assert!(page.body.contains("cancel asked for by the client: changed their mind"));
}
