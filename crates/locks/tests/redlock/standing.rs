//! Masters that can't be relied on, and URLs that can't be.

use amends_locks::{Config, Error, Redlock};
use amends_ports::Locks as _;
use amends_testbed::Redis;

use crate::setup::{
    TTL, config, guard, masters, no_quorum, ready, until_acquired, until_said, until_trusted, urls,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_may_drop_guards_is_refused_until_it_may_not() {
    let arguments = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let evicting = Redis::start_with(&arguments).await.unwrap();
    let locks = Redlock::new(&config(vec![evicting.url()])).unwrap();
    let status = until_said(&locks, 0, "maxmemory-policy allkeys-lru").await;
    assert!(!status.trusted);
    let words = no_quorum(locks.acquire(&guard("a", &["x"])).await);
    assert!(words.contains("noeviction"), "{words}");
    evicting.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await.unwrap();
    until_acquired(&locks, &guard("a", &["x"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused() {
    let master = Redis::start().await.unwrap();
    let of = ["--replicaof", "127.0.0.1", &master.port().to_string()];
    let replica = Redis::start_with(&of).await.unwrap();
    let locks = Redlock::new(&config(vec![replica.url()])).unwrap();
    until_said(&locks, 0, "is a replica").await;
    no_quorum(locks.acquire(&guard("a", &["x"])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_turns_read_only_loses_its_vote_and_says_why() {
    let masters = masters(1).await;
    let locks = ready(&masters).await;
    masters[0].command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await.unwrap();
    no_quorum(locks.acquire(&guard("a", &["x"])).await);
    let status = until_said(&locks, 0, "does not do what guards need").await;
    assert!(status.detail.unwrap().contains("NOREPLICAS"));
    masters[0].command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await.unwrap();
    until_acquired(&locks, &guard("a", &["x"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_urls_that_reach_one_master_have_one_vote() {
    let masters = masters(2).await;
    let mut urls = urls(&masters);
    urls.push(format!("redis://localhost:{}", masters[0].port()));
    let locks = Redlock::new(&config(urls)).unwrap();
    let same = locks.contact().await.unwrap_err();
    let Error::SameMaster { first, second } = same else { panic!("{same}") };
    let port = masters[0].port().to_string();
    assert!(first.ends_with(&port) && second.ends_with(&port), "{first} {second}");
    until_trusted(&locks, 2).await;
    let health = locks.health().await;
    let words = health.masters.iter().find_map(|master| master.detail.clone()).unwrap();
    assert!(health.quorum && words.contains("is the same master as"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contact_with_different_masters_finds_nothing() {
    let masters = masters(3).await;
    let locks = Redlock::new(&config(urls(&masters))).unwrap();
    locks.contact().await.unwrap();
}

#[tokio::test]
async fn settings_that_can_not_be_are_refused() {
    let refused = |config: Config| Redlock::new(&config).unwrap_err();
    let good = || config(vec!["redis://:secret@127.0.0.1:1".to_owned()]);
    assert_eq!(refused(Config::new(Vec::<String>::new())), Error::NoMasters);
    let ttl = TTL / 4;
    assert_eq!(refused(Config { ttl, ..good() }), Error::Ttl(ttl));
    assert!(matches!(refused(Config { node_timeout: TTL, ..good() }), Error::NodeTimeout { .. }));
    assert_eq!(refused(Config { prefix: String::new(), ..good() }), Error::Prefix);
    let twice = vec!["redis://127.0.0.1:1".to_owned(), "redis://127.0.0.1:1/2".to_owned()];
    assert!(matches!(refused(config(twice)), Error::SameMaster { .. }));
    assert!(!format!("{:?} {:?}", good(), Redlock::new(&good()).unwrap()).contains("secret"));
}
