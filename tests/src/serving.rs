//! A router that is served inside the test.

use std::net::Ipv4Addr;

use amends_testbed::on_free_port;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A router on a free port; it ends with the value.
#[derive(Debug)]
pub struct Serving {
    url: String,
    _task: JoinSet<()>,
}

impl Serving {
    /// Serves `router` from now on.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start(router: Router) -> anyhow::Result<Self> {
        let bind = async |port| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?);
        let listener = on_free_port(bind).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It ends with the set.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, _task: task })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}
