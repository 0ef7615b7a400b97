//! The two-call form in Redis: one script decides.

use std::time::Duration;

use http::StatusCode;
use redis::aio::{ConnectionLike, ConnectionManager};

use super::{Begun, Error, Forward, Ledger, Settlement, Started, told};
use crate::participant::{Answer, Call};

const SCRIPT: &str = include_str!("barrier.lua");
/// What every key begins with, unless another prefix is given.
const PREFIX: &str = "amends";

/// Records of the two-call form in one Redis, which must not evict keys.
///
/// A step's hash and a lock key's token live for `keep` after they were last written; after that
/// it is as if the call had never come. What Redis forgets in a crash or a failover is forgotten:
/// run it with `appendonly yes`, and `appendfsync always` where a call must never run twice. With
/// lock keys it must be one server, not a cluster: a script there reaches the keys of one slot.
#[derive(Clone, Debug)]
pub struct RedisLedger<C = ConnectionManager> {
    connection: C,
    prefix: String,
    keep: Duration,
}

impl<C> RedisLedger<C> {
    /// A ledger on this connection. `keep`: longer than any saga lives, as for
    /// [`sweep`](crate::barrier#functions); a connection must have time-outs of its own.
    pub fn new(connection: C, keep: Duration) -> Self {
        Self { connection, prefix: PREFIX.to_owned(), keep }
    }

    /// Begins keys with this instead of `amends`, for several participants beside each other.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn step_key(&self, call: &Call) -> String {
        // The braces make it one slot of a cluster.
        format!("{}:barrier:{{{}/{}}}", self.prefix, call.saga, call.step)
    }

    fn keep_ms(&self) -> u64 {
        millis(self.keep)
    }
}

impl<C> Ledger for RedisLedger<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn begin(&self, call: &Call, hold: Duration) -> Result<Begun, Error> {
        let script = redis::Script::new(SCRIPT);
        let mut script = script.prepare_invoke();
        script.key(self.step_key(call));
        for fence in &call.fencing_tokens {
            script.key(format!("{}:fence:{}", self.prefix, fence.key));
        }
        script.arg("begin").arg(call.op.as_str());
        script.arg(call.op.undoes().map_or("", |forward| forward.as_str()));
        script.arg(millis(hold)).arg(self.keep_ms()).arg(&*told::nothing_to_undo().body);
        for fence in &call.fencing_tokens {
            script.arg(fence.token);
        }
        let mut connection = self.connection.clone();
        let reply: Vec<Vec<u8>> = script.invoke_async(&mut connection).await?;
        begun(call, &reply)
    }

    async fn settle(&self, started: &Started, settlement: Settlement<'_>) -> Result<(), Error> {
        let (state, answer) = match settlement {
            Settlement::Succeeded(answer) => ("succeeded", Some(answer)),
            Settlement::Refused(answer) => ("refused", Some(answer)),
            Settlement::Released => ("started", None),
        };
        let script = redis::Script::new(SCRIPT);
        let mut script = script.prepare_invoke();
        script.key(self.step_key(&started.call));
        script.arg("settle").arg(started.call.op.as_str()).arg(started.round).arg(state);
        script.arg(answer.map(|answer| answer.status.as_u16().to_string()).unwrap_or_default());
        script.arg(answer.and_then(|answer| answer.content_type.as_deref()).unwrap_or_default());
        script.arg(answer.map(|answer| &*answer.body).unwrap_or_default()).arg(self.keep_ms());
        let mut connection = self.connection.clone();
        let reply: Vec<Vec<u8>> = script.invoke_async(&mut connection).await?;
        match reply.first().map(Vec::as_slice) {
            Some(b"settled") => Ok(()),
            Some(b"lost") => Err(Error::Lost),
            _ => Err(unreadable()),
        }
    }
}

/// Reads what the script answered to `begin`.
fn begun(call: &Call, reply: &[Vec<u8>]) -> Result<Begun, Error> {
    let parts: Vec<&[u8]> = reply.iter().map(Vec::as_slice).collect();
    match *parts {
        [b"told", b"undone", ..] => Ok(Begun::Settled(told::undone_before())),
        [b"told", _, status, content_type, body] => {
            Ok(Begun::Settled(answer(status, content_type, body)?))
        }
        [b"busy", left_ms] => {
            let left = Duration::from_millis(number(left_ms)?.unsigned_abs());
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(5));
            Err(Error::Busy { retry_after: left.clamp(least, most) })
        }
        [b"stale", index] => {
            let index = usize::try_from(number(index)?).map_err(|_| unreadable())?;
            let fence = call.fencing_tokens.get(index).ok_or_else(unreadable)?;
            Ok(Begun::Settled(told::stale_token(&fence.key)))
        }
        [b"run", round, knows, status, content_type, body] => {
            let forward = match knows {
                b"succeeded" => Some(Forward::Succeeded(answer(status, content_type, body)?)),
                b"unknown" => Some(Forward::Unknown),
                _ => None,
            };
            Ok(Begun::Run(Started { call: call.clone(), round: number(round)?, forward }))
        }
        _ => Err(unreadable()),
    }
}

fn answer(status: &[u8], content_type: &[u8], body: &[u8]) -> Result<Answer, Error> {
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    Ok(Answer {
        status: StatusCode::from_bytes(status).map_err(|_| unreadable())?,
        content_type: Some(content_type).filter(|text| !text.is_empty()),
        body: body.to_vec().into(),
    })
}

fn number(text: &[u8]) -> Result<i64, Error> {
    let text = std::str::from_utf8(text).map_err(|_| unreadable())?;
    text.parse().map_err(|_| unreadable())
}

fn unreadable() -> Error {
    Error::Store(
        "the barrier's keys in Redis hold something else; does another use the prefix?".into(),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1).min(u64::MAX >> 12)
}
