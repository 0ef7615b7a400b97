//! Streams of hints, and waiting by them.

use std::time::Duration;

use amends_client::rest::{Change, Status};

use crate::script::{Script, events, json_reply, open_events, problem, saga, text_reply};

const RUNNING_3: &str = "retry: 2000\n: amends\n\nevent: saga\nid: 3\n\
    data: {\"id\":\"s1\",\"definition\":\"d\",\"seq\":3,\"status\":\"running\"}\n\n";
const RUNNING_3_COMPLETED_5: &str = "event: saga\nid: 3\n\
    data: {\"id\":\"s1\",\"definition\":\"d\",\"seq\":3,\"status\":\"running\"}\n\n\
    event: saga\nid: 5\ndata: {\"id\":\"s1\",\"seq\":5,\"status\":\"completed\"}\n\n";

#[tokio::test]
async fn a_broken_stream_is_opened_again_where_it_broke() {
    let script = Script::of([events(RUNNING_3), events(RUNNING_3_COMPLETED_5)]).await;
    let hints = script.client().saga("s1").follow().all().await.unwrap();
    let seen: Vec<_> = hints.iter().map(|hint| (hint.seq, hint.status.as_str())).collect();
    assert_eq!(seen, [(3, "running"), (5, "completed")]);
    let heard = script.end();
    assert_eq!(heard[0].line, "GET /v1/sagas/s1/events");
    assert_eq!(heard[0].header("accept"), Some("text/event-stream"));
    assert_eq!(heard[0].header("last-event-id"), None);
    assert_eq!(heard[1].header("last-event-id"), Some("3"));
}

#[tokio::test]
async fn a_stream_ends_with_204() {
    let script = Script::of([events(RUNNING_3), text_reply(204, "")]).await;
    assert_eq!(script.client().saga("s1").follow().all().await.unwrap().len(), 1);
    script.end();
}

#[tokio::test]
async fn a_saga_that_is_not_there_ends_the_stream_with_an_error() {
    let script = Script::of([problem(404, "saga-not-found")]).await;
    let mut hints = script.client().saga("s1").follow();
    let error = hints.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some("saga-not-found"));
    assert!(hints.next().await.is_none());
    script.end();
}

#[tokio::test]
async fn where_no_stream_is_to_be_had_the_saga_is_read() {
    let script = Script::of([
        problem(503, "overloaded"),
        json_reply(200, &saga("running", 2)),
        problem(503, "overloaded"),
        json_reply(200, &saga("running", 2)),
        problem(503, "overloaded"),
        json_reply(200, &saga("compensated", 9)),
    ])
    .await;
    let hints = script.client().saga("s1").follow().all().await.unwrap();
    let seen: Vec<_> = hints.iter().map(|hint| hint.seq).collect();
    assert_eq!(seen, [2, 9]);
    script.end();
}

#[tokio::test]
async fn a_quiet_stream_is_helped_out_by_reading() {
    let script = Script::of([open_events(RUNNING_3), json_reply(200, &saga("abandoned", 4))]).await;
    let hints = script.client().saga("s1").follow().all().await.unwrap();
    assert_eq!(hints.last().unwrap().status, Status::Abandoned);
    script.end();
}

#[tokio::test]
async fn waiting_ends_with_the_saga_or_its_suspension() {
    const SUSPENDED: &str = "data: {\"id\":\"s1\",\"seq\":4,\"status\":\"suspended\"}\n\n";
    let script = Script::of([open_events(SUSPENDED), json_reply(200, &saga("suspended", 4))]).await;
    let found = script.client().saga("s1").wait(Duration::from_mins(1)).await.unwrap();
    assert_eq!(found.status, Status::Suspended);
    script.end();

    let script =
        Script::of([events(RUNNING_3_COMPLETED_5), json_reply(200, &saga("completed", 5))]).await;
    let saga = script.client().saga("s1");
    let found = saga.wait_until_ended(Duration::from_mins(1)).await.unwrap();
    assert!(found.is_completed());
    script.end();
}

#[tokio::test]
async fn waiting_gives_up_with_the_saga_as_it_is() {
    let script = Script::of([open_events(RUNNING_3), json_reply(200, &saga("running", 3))]).await;
    let found = script.client().saga("s1").wait(Duration::from_millis(300)).await.unwrap();
    assert_eq!(found.status, Status::Running);
    script.end();
}

#[tokio::test]
async fn a_stream_of_all_tells_what_may_have_been_missed() {
    const LAGGED: &str = "event: lagged\ndata: {}\n\n\
        event: saga\nid: 1\ndata: {\"id\":\"a\",\"seq\":1,\"status\":\"later\"}\n\n";
    let script =
        Script::of([events(LAGGED), problem(503, "draining"), open_events(RUNNING_3)]).await;
    let mut changes =
        script.client().sagas().status(Status::Running).definition("d").id_prefix("s").follow();
    let mut next = async || changes.next().await.unwrap().unwrap();
    assert_eq!(next().await, Change::Missed);
    let Change::Saga(hint) = next().await else { panic!("no hint") };
    assert_eq!((hint.id.as_str(), hint.status), ("a", Status::Other("later".to_owned())));
    assert_eq!(next().await, Change::Missed, "hints may have come while no stream was open");
    let Change::Saga(hint) = next().await else { panic!("no hint") };
    assert_eq!(hint.seq, 3);
    let line = "GET /v1/sagas/events?status=running&definition=d&q=s";
    assert!(script.end().iter().all(|own| own.line == line));
}
