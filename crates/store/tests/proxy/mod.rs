//! A proxy between the store and its server that fails at a chosen message.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;

/// What happens to the message that springs the trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The connection is cut, and the server never hears the message.
    CutBefore,
    /// The server hears it and answers; the connection is cut before the answer is passed on.
    CutAnswer,
    /// It waits until [`Proxy::let_go`].
    Hold,
}

struct Trap {
    needle: Vec<u8>,
    action: Action,
}

struct Shared {
    server: u16,
    trap: Mutex<Option<Trap>>,
    sprung: watch::Sender<u32>,
    held: Semaphore,
}

/// A running proxy; it ends with the value.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            trap: Mutex::default(),
            sprung: watch::Sender::new(0),
            held: Semaphore::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&shared)));
        Self { port, shared, _tasks: tasks }
    }

    /// The URL of a database through the proxy.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (rest, database) = direct.rsplit_once('/').unwrap();
        let (rest, _) = rest.rsplit_once(':').unwrap();
        format!("{rest}:{}/{database}?sslmode=disable", self.port)
    }

    /// Sets the trap for the next message to the server that holds `needle`.
    pub(crate) async fn set(&self, needle: &str, action: Action) {
        let trap = Trap { needle: needle.as_bytes().to_vec(), action };
        *self.shared.trap.lock().await = Some(trap);
    }

    /// Waits until a trap has sprung, since the start of the proxy.
    pub(crate) async fn sprung(&self) {
        self.shared.sprung.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }

    /// How many traps have sprung.
    pub(crate) fn count(&self) -> u32 {
        *self.shared.sprung.borrow()
    }

    /// Passes on what is held.
    pub(crate) fn let_go(&self) {
        self.shared.held.add_permits(1);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A broken connection is what the tests are about.
            let _ = pass(client, &shared).await;
        });
    }
}

async fn pass(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", shared.server)).await?;
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let message = &up[..read?];
                if message.is_empty() {
                    return Ok(());
                }
                match spring(shared, message).await {
                    Some(Action::CutBefore) => return Ok(()),
                    Some(Action::CutAnswer) => {
                        server.write_all(message).await?;
                        server.readable().await?;
                        return Ok(());
                    }
                    Some(Action::Hold) => {
                        let permit = shared.held.acquire().await;
                        permit.map_err(std::io::Error::other)?.forget();
                        server.write_all(message).await?;
                    }
                    None => server.write_all(message).await?,
                }
            }
            read = server.read(&mut down) => {
                let message = &down[..read?];
                if message.is_empty() {
                    return Ok(());
                }
                client.write_all(message).await?;
            }
        }
    }
}

async fn spring(shared: &Shared, message: &[u8]) -> Option<Action> {
    let mut trap = shared.trap.lock().await;
    let matches = |trap: &mut Trap| {
        message.windows(trap.needle.len()).any(|window| window == trap.needle.as_slice())
    };
    let sprung = trap.take_if(matches)?;
    shared.sprung.send_modify(|count| *count += 1);
    Some(sprung.action)
}
