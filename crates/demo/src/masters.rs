//! Redis masters of the demo's own, which guard lock keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_testbed::Redis;
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::progress::Progress;

/// As many as bear the loss of one.
const COUNT: usize = 3;

/// How long one of them stands still.
const PAUSE: Duration = Duration::from_secs(1);

/// Three Redis masters; they end when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Masters {
    servers: Arc<Mutex<Vec<Redis>>>,
    urls: Vec<String>,
}

impl Masters {
    /// Starts them on free ports.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed, or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let mut servers = Vec::with_capacity(COUNT);
        for _ in 0..COUNT {
            let server = Redis::start().await;
            servers
                .push(server.context("Redis is needed; on Debian: apt-get install redis-server")?);
        }
        let urls = servers.iter().map(Redis::url).collect();
        Ok(Self { servers: Arc::new(Mutex::new(servers)), urls })
    }

    /// Where they are.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Lets one of them stand still for a while, once so many sagas have ended.
    pub(crate) async fn pause_one(
        &self,
        after_ends: u32,
        mut ends_seen: watch::Receiver<u32>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        if ends_seen.wait_for(|ends| *ends >= after_ends).await.is_err() {
            return Ok(());
        }
        let seconds = PAUSE.as_secs();
        progress.note(&format!("a Redis master is paused for {seconds} s; two of three are left"));
        self.first(Redis::pause)?;
        sleep(PAUSE).await;
        self.first(Redis::resume)
    }

    fn first(&self, act: fn(&mut Redis) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.first_mut().map_or(Ok(()), act)
    }
}
