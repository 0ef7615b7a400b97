//! A wall clock of a process's own, moved while it runs.
//!
//! A small library is loaded into the process before the C library. It takes the place of
//! libfaketime, which can't live with the allocator that Redis is linked with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

const SOURCE: &str = include_str!("moved_clock.c");

/// The clock of one process.
#[derive(Debug)]
pub(crate) struct OwnClock {
    home: TempDir,
}

impl OwnClock {
    /// A clock that shows the machine's time.
    ///
    /// # Errors
    ///
    /// If there is no C compiler.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let clock = Self { home: tempfile::Builder::new().prefix("amends-clock-").tempdir()? };
        let source = clock.home.path().join("moved_clock.c");
        std::fs::write(&source, SOURCE)?;
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([clock.library(), source])
            .output()
            .context("no C compiler: apt-get install gcc")?;
        let why = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "the clock was not compiled: {why}");
        clock.move_to(0)?;
        Ok(clock)
    }

    /// Makes it show so many seconds more than the machine's clock.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn move_to(&self, seconds: i64) -> anyhow::Result<()> {
        // In place: the process has the file mapped.
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(false).open(self.file())?;
        Ok(std::io::Write::write_all(&mut file, &seconds.to_ne_bytes())?)
    }

    /// Starts `command` on this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.library()).env("AMENDS_CLOCK", self.file());
    }

    fn library(&self) -> PathBuf {
        self.home.path().join("moved_clock.so")
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("clock")
    }
}
