//! A Redis Cluster as one master.

use amends_locks::Redlock;
use amends_ports::Locks as _;
use amends_testbed::{Redis, free_port};

use crate::setup::{
    config, guard, lost, masters, no_quorum, until, until_acquired, until_said, until_trusted, urls,
};

/// Masters of one cluster that share the slots evenly.
async fn cluster(count: u16) -> Vec<Redis> {
    let mut nodes = Vec::new();
    for place in 0..count {
        let bus = free_port().unwrap().to_string();
        let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        let node = Redis::start_with(&arguments).await.unwrap();
        let slot = |place: u16| (u32::from(place) * 16_384 / u32::from(count)).to_string();
        let last = (slot(place + 1).parse::<u32>().unwrap() - 1).to_string();
        node.command(&["CLUSTER", "ADDSLOTSRANGE", &slot(place), &last]).await.unwrap();
        if place > 0 {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]).await.unwrap();
            let first: &Redis = &nodes[0];
            let (port, bus) = (node.port().to_string(), bus);
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await.unwrap();
        }
        nodes.push(node);
    }
    for node in &nodes {
        until(async || node.command(&["CLUSTER", "INFO"]).await.unwrap().contains("state:ok"))
            .await;
    }
    nodes
}

fn url(nodes: &[Redis]) -> String {
    let hosts: Vec<String> =
        nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    format!("redis+cluster://{}", hosts.join(","))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_node_guards_alone() {
    let nodes = cluster(1).await;
    let locks = Redlock::new(&config(vec![url(&nodes)])).unwrap();
    let held = guard("a", &["x", "y", "{x}z"]);
    until_acquired(&locks, &held).await;
    assert!(locks.acquire(&guard("b", &["y"])).await.is_err());
    assert!(locks.extend(std::slice::from_ref(&held)).await[0].is_ok());
    locks.release(std::slice::from_ref(&held)).await;
    assert_eq!(locks.extend(&[held]).await, [lost("x")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_asked_of_who_has_their_slots() {
    let mut nodes = cluster(3).await;
    // One of its nodes is enough to find the others.
    let locks = Redlock::new(&config(vec![url(&nodes[..1])])).unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("key-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let held = guard("a", &names);
    until_acquired(&locks, &held).await;
    for node in &nodes {
        assert!(node.command(&["DBSIZE"]).await.unwrap() != ":0\r\n", "each has some");
    }
    assert!(locks.extend(std::slice::from_ref(&held)).await[0].is_ok());
    nodes[2].stop().unwrap();
    until_trusted(&locks, 0).await;
    no_quorum(locks.acquire(&guard("b", &names)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_one_vote_among_others() {
    let nodes = cluster(1).await;
    let mut plain = masters(2).await;
    let mut urls = urls(&plain);
    urls.push(url(&nodes));
    let locks = Redlock::new(&config(urls)).unwrap();
    until_trusted(&locks, 3).await;
    plain[0].stop().unwrap();
    locks.acquire(&guard("a", &["x"])).await.unwrap();
    plain[1].stop().unwrap();
    no_quorum(locks.acquire(&guard("b", &["y"])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_cluster_by_a_plain_url_is_refused() {
    let nodes = cluster(1).await;
    let locks = Redlock::new(&config(vec![nodes[0].url()])).unwrap();
    until_said(&locks, 0, "redis+cluster://").await;
}
