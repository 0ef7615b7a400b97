//! PostgreSQL's programs, and the files that a server begins with.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Weak};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::DiskLimit;
use crate::SmallDisk;
use crate::program::{Programs, data_of, run};

/// The newest programs that are installed.
pub(super) fn programs() -> anyhow::Result<Programs> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    dirs.sort();
    dirs.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    dirs.extend(std::env::split_paths(&path));
    let dir = dirs
        .into_iter()
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .context("no PostgreSQL server found; on Debian: apt-get install postgresql")?;
    Programs::new(vec![dir], "postgres")
}

/// An initialised data directory, made once while any server of this process lives: copying it
/// takes a tenth of the time that `initdb` takes.
pub(super) async fn template(programs: &Programs) -> anyhow::Result<Arc<TempDir>> {
    static TEMPLATE: Mutex<Weak<TempDir>> = Mutex::const_new(Weak::new());
    let mut template = TEMPLATE.lock().await;
    if let Some(template) = template.upgrade() {
        return Ok(template);
    }
    let home = programs.make_home("amends-initdb-")?;
    let mut initdb = programs.command("initdb");
    initdb
        .args(["-A", "trust", "--no-sync", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
        .arg(data_of(&home))
        .current_dir(home.path());
    run(&mut initdb).await?;
    let home = Arc::new(home);
    *template = Arc::downgrade(&home);
    Ok(home)
}

/// Copies the template's data into a home, and what a disk is for onto that.
pub(super) async fn copy(
    template: &TempDir,
    home: &TempDir,
    programs: &Programs,
    limit: Option<DiskLimit>,
) -> anyhow::Result<Option<SmallDisk>> {
    let (place, bytes) = match limit {
        None => (data_of(home), None),
        Some(DiskLimit::Data(bytes)) => (data_of(home), Some(bytes)),
        Some(DiskLimit::Wal(bytes)) => (home.path().join("wal"), Some(bytes)),
    };
    let disk = match bytes {
        Some(bytes) => {
            fs::create_dir(&place)?;
            Some(SmallDisk::mount(&place, bytes, programs.owner())?)
        }
        None => None,
    };
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(data_of(template)).arg(home.path());
    run(&mut copy).await?;
    if let Some(DiskLimit::Wal(_)) = limit {
        let wal = data_of(home).join("pg_wal");
        let mut onto_disk = Command::new("mv");
        onto_disk.arg(&wal).arg(&place);
        run(&mut onto_disk).await?;
        symlink(place.join("pg_wal"), wal)?;
    }
    Ok(disk)
}
