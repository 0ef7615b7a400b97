//! A network of its own for some processes, joined to the machine's by one wire that can be cut in
//! one direction.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::port::random;
use crate::privilege::run_as_root;

/// Networks tried when others have them.
const TRIES_MAX: u32 = 20;
/// Networks of two hosts to choose from: those of 10.240.0.0/12.
const NETWORKS: u64 = 1 << 18;

/// A network namespace with a wire to the machine's network; dropping it deletes both, once the
/// processes in it have ended.
///
/// A process inside reaches what listens on [`Namespace::outer`] (a server on 127.0.0.1 is reached
/// through a [`crate::FaultProxy`] that is [`crate::FaultProxy::also_on`] it), and is reached on
/// [`Namespace::inner`].
#[derive(Debug)]
pub struct Namespace {
    name: String,
    wire: String,
    outer: Ipv4Addr,
    inner: Ipv4Addr,
}

/// A direction of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the machine to the namespace.
    Inwards,
    /// From the namespace to the machine.
    Outwards,
}

impl Namespace {
    /// Makes a namespace.
    ///
    /// # Errors
    ///
    /// [`crate::NotPermitted`] if we may not; or if there is no `ip` (Debian: iproute2).
    pub fn create() -> anyhow::Result<Self> {
        for _ in 0..TRIES_MAX {
            let number = random(NETWORKS);
            let outer = u32::from(Ipv4Addr::new(10, 240, 0, 1)) + u32::try_from(number * 4)?;
            let namespace = Self {
                name: format!("amends-{number}"),
                wire: format!("amends-{number}"),
                outer: outer.into(),
                inner: (outer + 1).into(),
            };
            let network = format!("{}/30", namespace.outer);
            let taken = ip(["-o", "addr", "show", "to", &network])?;
            let networks = ip(["netns", "list"])?;
            let mut names = networks.split_whitespace();
            if taken.is_empty() && !names.any(|name| name == namespace.name) {
                namespace.set_up()?;
                return Ok(namespace);
            }
        }
        anyhow::bail!("no free network found after {TRIES_MAX} tries")
    }

    /// Our address on the wire.
    pub fn outer(&self) -> Ipv4Addr {
        self.outer
    }

    /// The address of the processes in the namespace.
    pub fn inner(&self) -> Ipv4Addr {
        self.inner
    }

    /// A command that runs inside. The process has the id of the child that is spawned.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Lets nothing through in this direction any more, until it is healed. Who sends there keeps
    /// open connections, hears nothing of the loss, and can't open new ones; who sends the other way
    /// is heard and gets no answer.
    ///
    /// # Errors
    ///
    /// If that direction is cut already.
    pub fn cut(&self, direction: Direction) -> anyhow::Result<()> {
        self.route("add", direction)
    }

    /// Ends a cut.
    ///
    /// # Errors
    ///
    /// If that direction is not cut.
    pub fn heal(&self, direction: Direction) -> anyhow::Result<()> {
        self.route("del", direction)
    }

    fn route(&self, verb: &str, direction: Direction) -> anyhow::Result<()> {
        let inside = ["-n", self.name.as_str()];
        let (place, to): (&[&str], _) = match direction {
            Direction::Inwards => (&[], self.inner),
            Direction::Outwards => (&inside, self.outer),
        };
        let to = to.to_string();
        ip(place.iter().chain(&["route", verb, "blackhole", &to])).map(drop)
    }

    fn set_up(&self) -> anyhow::Result<()> {
        let Self { name, wire, .. } = self;
        let [outer, inner] = [self.outer, self.inner].map(|address| format!("{address}/30"));
        ip(["netns", "add", name])?;
        ip(["link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(["addr", "add", &outer, "dev", wire])?;
        ip(["link", "set", wire, "up"])?;
        ip(["-n", name, "addr", "add", &inner, "dev", "eth0"])?;
        ip(["-n", name, "link", "set", "eth0", "up"])?;
        ip(["-n", name, "link", "set", "lo", "up"])?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The wire first, on its own: the namespace stays while there are processes in it. What was
        // not made can't be deleted, which is no harm.
        for thing in [["link", "del", &self.wire], ["netns", "del", &self.name]] {
            let mut delete = Command::new("ip");
            let _ = delete.args(thing).stderr(Stdio::null()).status();
        }
    }
}

fn ip(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> anyhow::Result<String> {
    run_as_root(Command::new("ip").args(words)).context("a network namespace (Debian: iproute2)")
}
