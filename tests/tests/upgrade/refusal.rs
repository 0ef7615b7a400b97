//! A release that is too old for what others write: it takes nothing, and says what to do.

use std::time::Duration;

use amends_tests::{Server, ServerOptions, until};

use super::durable_postgres;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_can_not_read_the_journal_gives_all_up_and_does_not_start_again() {
    let postgres = durable_postgres().await;
    let options = ServerOptions { database: Some(postgres.url()), ..ServerOptions::default() };
    let server = Server::start(options.clone()).await.unwrap();
    let client = server.client().unwrap();
    until("it to own partitions", LIMIT, async || {
        (client.metric("amends_partitions_owned").await.ok()? > 0).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(client.metric("amends_journal_format").await.unwrap(), 1);

    // As if a newer release had written newer facts while this one was cut off.
    let newer = "UPDATE meta SET value = '1000' WHERE name = 'journal_format'";
    postgres.psql("amends", newer).await.unwrap();
    until("it to own nothing", LIMIT, async || {
        (client.metric("amends_partitions_owned").await.ok()? == 0).then_some(())
    })
    .await
    .unwrap();
    let ready = client.get("/readyz").await.unwrap();
    assert_eq!(ready.status, 503, "{}", ready.text);
    assert!(ready.text.contains("journal format 1000"), "{}", ready.text);

    let alive = "SELECT count(*) FROM coordinator";
    let before = postgres.psql("amends", alive).await.unwrap();
    let refused = format!("{:#}", Server::start(options).await.unwrap_err());
    assert!(refused.contains("exit status: 1"), "{refused}");
    assert!(refused.contains("journal format 1000, this release reads up to"), "{refused}");
    assert_eq!(postgres.psql("amends", alive).await.unwrap(), before, "it signed on");
}
