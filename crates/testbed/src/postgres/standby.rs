//! A streaming standby of a PostgreSQL server.

use std::fs;

use anyhow::Context as _;

use super::{Postgres, PostgresOptions};
use crate::FaultProxy;
use crate::program::{LIMIT, POLL_EVERY, data_of, run};

/// A server that follows another one. It takes reads until it is promoted, then all.
///
/// It is fed through a proxy of its own ([`Standby::stream`]): silence there and the standby falls
/// behind, as in a partition.
#[derive(Debug)]
pub struct Standby {
    server: Postgres,
    stream: FaultProxy,
    is_synchronous: bool,
}

impl Standby {
    /// Makes a standby whom the primary does not wait for: a commit that is answered may be lost
    /// with the primary.
    ///
    /// # Errors
    ///
    /// If it can't be made, or does not stream within a minute.
    pub async fn asynchronous(primary: &Postgres) -> anyhow::Result<Self> {
        Self::start(primary).await
    }

    /// Makes a standby that has every commit on its disk and applied before the primary answers
    /// (`synchronous_commit=remote_apply`). While it can't, commits on the primary wait.
    ///
    /// # Errors
    ///
    /// As [`Standby::asynchronous`].
    pub async fn synchronous(primary: &Postgres) -> anyhow::Result<Self> {
        let standby = Self { is_synchronous: true, ..Self::start(primary).await? };
        // Not by argument: the copied settings must not make the promoted server wait as well.
        for setting in [
            &format!("synchronous_standby_names = '{}'", standby.name()),
            "synchronous_commit = 'remote_apply'",
        ] {
            primary.psql("postgres", &format!("ALTER SYSTEM SET {setting}")).await?;
        }
        primary.psql("postgres", "SELECT pg_reload_conf()").await?;
        standby.until_streaming(primary).await?;
        Ok(standby)
    }

    async fn start(primary: &Postgres) -> anyhow::Result<Self> {
        let stream = FaultProxy::start(([127, 0, 0, 1], primary.port()).into()).await?;
        let name = name(&stream);
        let port = stream.addr().port();
        let conninfo = format!("host=127.0.0.1 port={port} user=postgres application_name={name}");
        let home = primary.programs.make_home("amends-standby-")?;
        let mut backup = primary.programs.command("pg_basebackup");
        backup
            .args(["-d", &conninfo, "-X", "stream", "-c", "fast", "--no-sync", "-D"])
            .arg(data_of(&home))
            .current_dir(home.path());
        run(&mut backup).await?;
        // Settings of the primary's own.
        fs::write(data_of(&home).join("postgresql.auto.conf"), "")?;
        fs::write(data_of(&home).join("standby.signal"), "")?;
        let options = PostgresOptions { disk: None, ..primary.options.clone() };
        let options = options.setting("primary_conninfo", &conninfo);
        let options = options.setting("wal_retrieve_retry_interval", "100ms");
        let template = std::sync::Arc::clone(&primary.template);
        let mut server = Postgres::over(home, template, primary.programs.clone(), options);
        server.start_on_a_free_port().await?;
        let standby = Self { server, stream, is_synchronous: false };
        standby.until_streaming(primary).await?;
        Ok(standby)
    }

    /// The server itself.
    pub fn server(&self) -> &Postgres {
        &self.server
    }

    /// The server itself, to be stopped, paused and so on.
    pub fn server_mut(&mut self) -> &mut Postgres {
        &mut self.server
    }

    /// The way from the primary.
    pub fn stream(&self) -> &FaultProxy {
        &self.stream
    }

    /// Waits until it streams and has applied all that the primary has committed by now, and the
    /// primary waits for it if it is synchronous.
    ///
    /// # Errors
    ///
    /// If that is not so within a minute.
    pub async fn until_streaming(&self, primary: &Postgres) -> anyhow::Result<()> {
        let now = primary.psql("postgres", "SELECT pg_current_wal_lsn()").await?;
        let wanted = if self.is_synchronous { "sync" } else { "" };
        let sql = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{}' \
             AND state = 'streaming' AND sync_state LIKE '{wanted}%' AND replay_lsn >= '{}'",
            self.name(),
            now.trim()
        );
        let seen = async {
            while primary.psql("postgres", &sql).await?.trim() != "1" {
                tokio::time::sleep(POLL_EVERY).await;
            }
            Ok(())
        };
        tokio::time::timeout(LIMIT, seen).await.context("the standby does not stream")?
    }

    /// Stops applying what comes in, which is kept nevertheless: reads are of the past.
    ///
    /// # Errors
    ///
    /// If it is no standby any more.
    pub async fn pause_replay(&self) -> anyhow::Result<()> {
        self.server.psql("postgres", "SELECT pg_wal_replay_pause()").await.map(drop)
    }

    /// Goes on applying.
    ///
    /// # Errors
    ///
    /// If it is no standby any more.
    pub async fn resume_replay(&self) -> anyhow::Result<()> {
        self.server.psql("postgres", "SELECT pg_wal_replay_resume()").await.map(drop)
    }

    /// Makes it a primary, on a timeline of its own. Whether the old one still runs is the caller's
    /// affair. Answers when it takes writes.
    ///
    /// # Errors
    ///
    /// If it does not within a minute.
    pub async fn promote(self) -> anyhow::Result<Postgres> {
        let server = self.server;
        server.psql("postgres", "SELECT pg_promote()").await?;
        let writable = async {
            while server.psql("postgres", "SELECT pg_is_in_recovery()").await?.trim() != "f" {
                tokio::time::sleep(POLL_EVERY).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(LIMIT, writable).await.context("the standby was not promoted")??;
        Ok(server)
    }

    fn name(&self) -> String {
        name(&self.stream)
    }
}

/// The name by which the primary knows the standby that this leads to.
fn name(stream: &FaultProxy) -> String {
    format!("standby_{}", stream.addr().port())
}
