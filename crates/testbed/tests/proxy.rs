//! What a proxy does to plain TCP, one fault at a time.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use amends_testbed::FaultProxy;
use amends_testbed::proxy::{Cut, End, Faults, Flow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(20);
/// Enough for what is not held up to come.
const A_WHILE: Duration = Duration::from_millis(200);

/// A server that says a letter of its own, then whatever it hears; it tells how connections end.
struct Echo {
    addr: SocketAddr,
    ends: tokio::sync::mpsc::Receiver<Result<(), ErrorKind>>,
    _tasks: JoinSet<()>,
}

impl Echo {
    async fn start(letter: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, ends) = tokio::sync::mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let tell = tell.clone();
                connections.spawn(async move {
                    let (mut from, mut to) = client.split();
                    to.write_all(&[letter]).await.unwrap();
                    let copied = tokio::io::copy(&mut from, &mut to).await;
                    tell.send(copied.map(drop).map_err(|error| error.kind())).await.unwrap();
                });
            }
        });
        Self { addr, ends, _tasks: tasks }
    }

    async fn end(&mut self) -> Result<(), ErrorKind> {
        timeout(LONG, self.ends.recv()).await.unwrap().unwrap()
    }
}

async fn client(proxy: &FaultProxy, letter: u8) -> TcpStream {
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(timeout(LONG, client.read_u8()).await.unwrap().unwrap(), letter);
    client
}

/// Says this and hears as much.
async fn ask(client: &mut TcpStream, text: &str) -> String {
    client.write_all(text.as_bytes()).await.unwrap();
    hear(client, text.len()).await
}

async fn hear(client: &mut TcpStream, count: usize) -> String {
    let mut heard = vec![0; count];
    timeout(LONG, client.read_exact(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

async fn is_silent(client: &mut TcpStream) -> bool {
    timeout(A_WHILE, client.read_u8()).await.is_err()
}

fn to_client(flow: Flow) -> Faults {
    Faults { to_client: flow, ..Faults::default() }
}

fn to_server(flow: Flow) -> Faults {
    Faults { to_server: flow, ..Faults::default() }
}

#[tokio::test]
async fn without_faults_all_passes_and_ends_in_order() {
    let mut echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    assert!(proxy.addr().port() < 32_768);
    let mut client = client(&proxy, b'a').await;
    let text = "x".repeat(3 << 20);
    let (mut from, mut to) = client.split();
    let mut heard = String::new();
    let say = async {
        to.write_all(text.as_bytes()).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (heard_all, ()) = tokio::join!(timeout(LONG, from.read_to_string(&mut heard)), say);
    heard_all.unwrap().unwrap();
    assert_eq!(heard.len(), text.len());
    assert_eq!(echo.end().await, Ok(()));
    let counters = proxy.until(LONG, |counters| counters.open == 0).await.unwrap();
    assert_eq!(counters.connections, 1);
    assert_eq!(counters.bytes_to_client, counters.bytes_to_server + 1);
}

#[tokio::test]
async fn silence_of_one_direction_holds_what_is_said_until_it_ends() {
    let echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let mut client = client(&proxy, b'a').await;
    proxy.set(to_client(Flow::SILENT)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    proxy.until(LONG, |counters| counters.bytes_to_server == 5).await.unwrap();
    assert!(is_silent(&mut client).await);
    proxy.heal().await.unwrap();
    assert_eq!(hear(&mut client, 5).await, "hello");

    proxy.set(to_server(Flow::SILENT)).await.unwrap();
    client.write_all(b"again").await.unwrap();
    assert!(is_silent(&mut client).await);
    assert_eq!(proxy.counters().bytes_to_server, 5);
    proxy.heal().await.unwrap();
    assert_eq!(hear(&mut client, 5).await, "again");
}

#[tokio::test]
async fn in_silence_the_server_does_not_hear_that_the_client_is_gone() {
    let mut echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let client = client(&proxy, b'a').await;
    proxy.set(Faults::silence()).await.unwrap();
    drop(client);
    assert!(timeout(A_WHILE, echo.ends.recv()).await.is_err());
    proxy.heal().await.unwrap();
    assert_eq!(echo.end().await, Ok(()));
}

#[tokio::test]
async fn delay_is_of_one_direction_and_ends_when_healed() {
    let echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let mut client = client(&proxy, b'a').await;
    let jitter = Duration::from_millis(20);
    let flow = Flow { jitter, ..Flow::late(Duration::from_millis(150)) };
    proxy.set(to_client(flow)).await.unwrap();
    let begin = Instant::now();
    assert_eq!(ask(&mut client, "hello").await, "hello");
    assert!(begin.elapsed() >= Duration::from_millis(150), "{:?}", begin.elapsed());
    proxy.set(to_client(Flow::late(LONG * 10))).await.unwrap();
    client.write_all(b"late").await.unwrap();
    proxy.until(LONG, |counters| counters.bytes_to_server == 9).await.unwrap();
    assert!(is_silent(&mut client).await);
    proxy.heal().await.unwrap();
    assert_eq!(hear(&mut client, 4).await, "late");
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes_of_one_direction() {
    for end in [End::Close, End::Reset] {
        let mut echo = Echo::start(b'a').await;
        let proxy = FaultProxy::start(echo.addr).await.unwrap();
        let mut client = client(&proxy, b'a').await;
        let flow = Flow { cut: Some(Cut { after_bytes: 3, end }), ..Flow::default() };
        proxy.set(to_client(flow)).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        assert_eq!(hear(&mut client, 3).await, "hel");
        let error = timeout(LONG, client.read_u8()).await.unwrap().unwrap_err().kind();
        match end {
            End::Close => assert_eq!(error, ErrorKind::UnexpectedEof),
            End::Reset => {
                assert_eq!(error, ErrorKind::ConnectionReset);
                assert_eq!(echo.end().await, Err(ErrorKind::ConnectionReset));
            }
        }
        assert_eq!(proxy.counters().bytes_to_server, 5);
    }
}

#[tokio::test]
async fn a_cut_before_the_first_byte_lets_none_pass() {
    let mut echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let mut client = client(&proxy, b'a').await;
    proxy.set(to_server(Flow::cut(0))).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let error = timeout(LONG, client.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(echo.end().await, Err(ErrorKind::ConnectionReset));
    assert_eq!(proxy.counters().bytes_to_server, 0);
}

#[tokio::test]
async fn bytes_of_a_second_are_limited() {
    let echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let mut client = client(&proxy, b'a').await;
    let flow = Flow { bytes_per_second: Some(10_000), ..Flow::default() };
    proxy.set(to_client(flow)).await.unwrap();
    let begin = Instant::now();
    ask(&mut client, &"x".repeat(4_000)).await;
    // The last slice needs no time after it.
    assert!(begin.elapsed() >= Duration::from_millis(350), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn refused_connections_are_as_without_a_server() {
    let echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let mut open = client(&proxy, b'a').await;
    proxy.set(Faults::refuse()).await.unwrap();
    let error = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(ask(&mut open, "hello").await, "hello");
    proxy.heal().await.unwrap();
    client(&proxy, b'a').await;
}

#[tokio::test]
async fn a_further_address_is_refused_and_healed_with_the_first() {
    let echo = Echo::start(b'a').await;
    let proxy = FaultProxy::start(echo.addr).await.unwrap();
    let further = proxy.also_on([127, 0, 0, 2].into()).await.unwrap();
    for addr in [further, proxy.addr()] {
        proxy.set(Faults::refuse()).await.unwrap();
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        proxy.heal().await.unwrap();
        let mut client = TcpStream::connect(addr).await.unwrap();
        assert_eq!(timeout(LONG, client.read_u8()).await.unwrap().unwrap(), b'a');
    }
}

#[tokio::test]
async fn open_connections_are_reset_and_new_ones_go_elsewhere() {
    let (mut one, two) = (Echo::start(b'a').await, Echo::start(b'b').await);
    let proxy = FaultProxy::start(one.addr).await.unwrap();
    let mut old = client(&proxy, b'a').await;
    proxy.retarget(two.addr);
    assert_eq!(ask(&mut old, "hello").await, "hello");
    proxy.drop_all();
    let error = timeout(LONG, old.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(one.end().await, Err(ErrorKind::ConnectionReset));
    client(&proxy, b'b').await;
}

#[tokio::test]
async fn a_client_is_reset_if_there_is_no_server() {
    let target = SocketAddr::from(([127, 0, 0, 1], amends_testbed::free_port().unwrap()));
    let proxy = FaultProxy::start(target).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let error = timeout(LONG, client.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_url_leads_through_the_proxy() {
    let proxy = FaultProxy::start(([127, 0, 0, 1], 1).into()).await.unwrap();
    let addr = proxy.addr();
    let url = |direct: &str| proxy.url(direct).unwrap();
    assert_eq!(url("postgres://me:pw@127.0.0.1:1/name"), format!("postgres://me:pw@{addr}/name"));
    assert_eq!(url("redis://127.0.0.1:1/"), format!("redis://{addr}/"));
    assert_eq!(url("http://localhost:1"), format!("http://{addr}/"));
    assert!(proxy.url("localhost").is_err());
}
