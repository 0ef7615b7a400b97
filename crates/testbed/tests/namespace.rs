//! Processes behind a wire that is cut in one direction.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Stdio};
use std::time::Duration;

use amends_testbed::{Child, Direction, FaultProxy, Namespace, NotPermitted, Redis};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
/// Enough for an answer over a wire that is whole.
const A_WHILE: Duration = Duration::from_millis(500);
const PORT: u16 = 6379;

/// A namespace with a Redis server in it; none where nothing of the kind may be made.
async fn redis_inside() -> Option<(Child, Namespace)> {
    let namespace = match Namespace::create() {
        Err(error) if error.is::<NotPermitted>() => return None,
        namespace => namespace.unwrap(),
    };
    let mut redis = namespace.command("redis-server");
    redis.args(["--save", "", "--protected-mode", "no", "--port", &PORT.to_string()]);
    redis.args(["--bind", &namespace.inner().to_string()]);
    redis.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/tmp");
    let server = Child::spawn(&mut redis).unwrap();
    let listens = async { while TcpStream::connect((namespace.inner(), PORT)).await.is_err() {} };
    timeout(LONG, listens).await.unwrap();
    Some((server, namespace))
}

async fn hear(stream: &mut TcpStream) {
    let mut answer = [0; 5];
    timeout(LONG, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}

/// How often the server has been asked to set, by its own count.
async fn sets(stream: &mut TcpStream) -> String {
    stream.write_all(b"INFO commandstats\r\n").await.unwrap();
    let mut text = String::new();
    let all = async {
        while !text.contains("cmdstat_set:") || !text.ends_with("\r\n") {
            let mut part = vec![0; 4096];
            let count = stream.read(&mut part).await.unwrap();
            text.push_str(std::str::from_utf8(&part[..count]).unwrap());
        }
    };
    timeout(LONG, all).await.unwrap();
    let line = text.lines().find(|line| line.starts_with("cmdstat_set:")).unwrap();
    line.split(',').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_cut_outwards_loses_answers_only() {
    let Some((server, namespace)) = redis_inside().await else { return };
    let inside = Command::new("ip").args(["netns", "pids"]).arg(name(&namespace)).output().unwrap();
    let inside = String::from_utf8(inside.stdout).unwrap();
    assert_eq!(inside.trim(), server.id().to_string(), "the child is the server");
    let mut stream = TcpStream::connect((namespace.inner(), PORT)).await.unwrap();
    stream.write_all(b"SET k 1\r\n").await.unwrap();
    hear(&mut stream).await;
    namespace.cut(Direction::Outwards).unwrap();
    assert!(namespace.cut(Direction::Outwards).is_err());
    stream.write_all(b"SET k 2\r\n").await.unwrap();
    assert!(timeout(A_WHILE, stream.read_u8()).await.is_err());
    namespace.heal(Direction::Outwards).unwrap();
    // The answer that was lost comes by repetition.
    hear(&mut stream).await;
    drop(server);
}

#[tokio::test]
async fn a_cut_inwards_loses_questions_and_the_wire_heals() {
    let Some((server, namespace)) = redis_inside().await else { return };
    let mut stream = TcpStream::connect((namespace.inner(), PORT)).await.unwrap();
    stream.write_all(b"SET k 1\r\n").await.unwrap();
    hear(&mut stream).await;
    namespace.cut(Direction::Inwards).unwrap();
    stream.write_all(b"SET k 2\r\n").await.unwrap();
    // Nobody in there has heard it; asked by one who is inside as well.
    let mut client = namespace.command("redis-cli");
    client.args(["-h", &namespace.inner().to_string(), "GET", "k"]);
    assert_eq!(client.output().unwrap().stdout, b"1\n");
    namespace.heal(Direction::Inwards).unwrap();
    let mut fresh = TcpStream::connect((namespace.inner(), PORT)).await.unwrap();
    let heard = async { while sets(&mut fresh).await != "cmdstat_set:calls=2" {} };
    timeout(LONG, heard).await.unwrap();
    drop(server);
}

#[tokio::test]
async fn who_is_inside_reaches_a_server_through_a_proxy() {
    let Some((_inside, namespace)) = redis_inside().await else { return };
    let redis = Redis::start().await.unwrap();
    let proxy = FaultProxy::start(([127, 0, 0, 1], redis.port()).into()).await.unwrap();
    let addr = proxy.also_on(namespace.outer()).await.unwrap();
    let ask = async || {
        let mut client = namespace.command("redis-cli");
        client.args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string(), "INCR", "k"]);
        let mut client = tokio::process::Command::from(client);
        let output = timeout(A_WHILE, client.kill_on_drop(true).output()).await.ok()?.unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(ask().await.unwrap(), "1\n");
    namespace.cut(Direction::Inwards).unwrap();
    assert_eq!(ask().await, None);
    namespace.heal(Direction::Inwards).unwrap();
    assert_eq!(ask().await.unwrap(), "2\n");
}

#[test]
fn it_goes_with_the_value() {
    let namespace = match Namespace::create() {
        Err(error) if error.is::<NotPermitted>() => return,
        namespace => namespace.unwrap(),
    };
    let name = name(&namespace);
    let exists = || {
        let lists = [["netns", "list"], ["link", "show"]];
        lists.map(|list| {
            let output = Command::new("ip").args(list).output().unwrap();
            String::from_utf8(output.stdout).unwrap().contains(&name)
        })
    };
    assert_eq!(exists(), [true, true]);
    drop(namespace);
    assert_eq!(exists(), [false, false]);
}

/// Its name, as `ip` has it.
fn name(namespace: &Namespace) -> String {
    let output = namespace.command("ip").args(["netns", "identify"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
