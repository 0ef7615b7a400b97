//! One direction of one connection: bytes are read, held up as the faults say, and written.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::commit::fraction;
use super::{Counters, End, Faults, Flow};

/// Most bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that wait to be written: 1 MiB.
const CHUNKS_MAX: usize = 64;
/// Time between two writes where the bytes of a second are limited.
const SLICES_A_SECOND: u32 = 20;

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All was said, or nobody is there to hear the rest; the other direction may go on.
    Silently,
    /// The whole connection ends, since a fault says so or one side has.
    ForAll(End),
}

/// Something that came in, and when.
pub(super) struct Arrival {
    at: Instant,
    jitter: f64,
    pub(super) what: Came,
}

/// What can come in.
pub(super) enum Came {
    Bytes(Vec<u8>),
    /// The sender says nothing more.
    Close,
    /// The sender has reset the connection.
    Reset,
}

impl Arrival {
    pub(super) fn now(what: Came) -> Self {
        Self { at: Instant::now(), jitter: fraction(), what }
    }
}

/// The arrivals of one direction, bounded.
pub(super) fn queue() -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
    mpsc::channel(CHUNKS_MAX)
}

/// Reads until nothing more can come.
pub(super) async fn read(mut from: ReadHalf<'_>, queue: mpsc::Sender<Arrival>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let what = match from.read(&mut chunk).await {
            Ok(0) => Came::Close,
            Ok(count) => Came::Bytes(chunk[..count].to_vec()),
            Err(_) => Came::Reset,
        };
        let is_end = !matches!(what, Came::Bytes(_));
        if queue.send(Arrival::now(what)).await.is_err() || is_end {
            return;
        }
    }
}

/// Writes what may pass.
pub(super) struct Pump<'a> {
    to: WriteHalf<'a>,
    way: Way,
    faults: watch::Receiver<Faults>,
    counters: &'a watch::Sender<Counters>,
    /// Bytes since the faults were set.
    passed: u64,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        to: WriteHalf<'a>,
        way: Way,
        faults: watch::Receiver<Faults>,
        counters: &'a watch::Sender<Counters>,
    ) -> Self {
        Self { to, way, faults, counters, passed: 0 }
    }

    /// Waits until this may pass by its time, and by silence.
    pub(super) async fn hold_up(&mut self, arrival: &Arrival) {
        loop {
            let flow = self.flow();
            let due = arrival.at + flow.delay + flow.jitter.mul_f64(arrival.jitter);
            if !flow.silent && due <= Instant::now() {
                return;
            }
            self.change_or((!flow.silent).then_some(due)).await;
        }
    }

    /// Waits for so long, but no longer than there is a trap for commits.
    pub(super) async fn hold_commit(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while self.faults.borrow().commit.is_some() && Instant::now() < until {
            self.change_or(Some(until)).await;
        }
    }

    /// Writes these bytes as fast as the faults let it, up to the cut.
    pub(super) async fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let flow = self.flow();
            if flow.silent {
                self.change_or(None).await;
                continue;
            }
            let slice =
                flow.bytes_per_second.map_or(u32::MAX, |most| (most / SLICES_A_SECOND).max(1));
            let left = flow.cut.map_or(u64::MAX, |cut| cut.after_bytes.saturating_sub(self.passed));
            let count =
                usize::try_from(left.min(slice.into())).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            self.to.write_all(now).await.map_err(|_| Ended::Silently)?;
            bytes = later;
            self.count(count);
            if let Some(cut) = flow.cut.filter(|cut| self.passed >= cut.after_bytes) {
                return Err(Ended::ForAll(cut.end));
            }
            if let Some(most) = flow.bytes_per_second {
                let pause =
                    Duration::from_secs(1) * u32::try_from(count).unwrap_or(u32::MAX) / most.max(1);
                self.change_or(Some(Instant::now() + pause)).await;
            }
        }
        Ok(())
    }

    /// Passes on that the sender says nothing more.
    pub(super) async fn close(&mut self) {
        // A receiver that is gone needs no telling.
        let _ = self.to.shutdown().await;
    }

    fn flow(&mut self) -> Flow {
        if self.faults.has_changed().unwrap_or(false) {
            self.passed = 0;
        }
        let faults = self.faults.borrow_and_update();
        match self.way {
            Way::ToServer => faults.to_server,
            Way::ToClient => faults.to_client,
        }
    }

    /// Waits until other faults are set, or for this time.
    async fn change_or(&mut self, time: Option<Instant>) {
        let elapsed = async {
            match time {
                Some(time) => sleep_until(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.faults.changed() => match changed {
                Ok(()) => self.passed = 0,
                // The proxy is gone, and this task in a moment.
                Err(_) => std::future::pending().await,
            },
            () = elapsed => {}
        }
    }

    fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.passed += bytes;
        self.counters.send_modify(|counters| match self.way {
            Way::ToServer => counters.bytes_to_server += bytes,
            Way::ToClient => counters.bytes_to_client += bytes,
        });
    }
}
