//! The three scripts that run on a master, one call for one key, and what their answers mean.
//!
//! They are sent in full each time: a master keeps them compiled, no restart can lose them, and the
//! user needs no right to load any.

use std::time::Duration;

use redis::{Cmd, RedisResult, Value, cmd};

use crate::slot;
use crate::vote::Vote;

/// Sets the key if it is free or has been this saga's under the same or a lower token, so that an
/// owner who was replaced can't take the guard back. Answers 1, or who has it.
///
/// `ARGV`: the saga's prefix, the token in decimal, the ttl in milliseconds.
const ACQUIRE: &str = r"
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  if string.find(held['err'], 'WRONGTYPE', 1, true) then return 'a value that is no guard' end
  return held
end
if held then
  local token = string.sub(held, #ARGV[1] + 1)
  local older = #token < #ARGV[2] or (#token == #ARGV[2] and token <= ARGV[2])
  if string.sub(held, 1, #ARGV[1]) ~= ARGV[1] or not older then return string.sub(held, 1, 400) end
end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1";

/// Gives the key its whole life again if it is exactly this guard's. Answers 1 or 0.
const EXTEND: &str = r"
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  if string.find(held['err'], 'WRONGTYPE', 1, true) then return 0 end
  return held
end
if held ~= ARGV[1] .. ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])";

/// Deletes the key if it is this saga's under the same or a lower token. Answers 1 or 0.
const RELEASE: &str = r"
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' or string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
local token = string.sub(held, #ARGV[1] + 1)
if #token > #ARGV[2] or (#token == #ARGV[2] and token > ARGV[2]) then return 0 end
return redis.call('DEL', KEYS[1])";

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Set it.
    Acquire,
    /// Lengthen its life.
    Extend,
    /// Take it away.
    Release,
}

/// One call of a script.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Where its key lives in a cluster.
    pub(crate) slot: u16,
    /// The call.
    pub(crate) command: Cmd,
}

impl Question {
    /// About the key of this whole name, for the holder of this prefix and token.
    pub(crate) fn new(act: Act, name: &str, saga_prefix: &str, token: u64, ttl: Duration) -> Self {
        let script = match act {
            Act::Acquire => ACQUIRE,
            Act::Extend => EXTEND,
            Act::Release => RELEASE,
        };
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let mut command = cmd("EVAL");
        command.arg(script).arg(1).arg(name).arg(saga_prefix).arg(token);
        if act != Act::Release {
            command.arg(ttl_ms);
        }
        Self { slot: slot::of(name), command }
    }
}

/// The vote in a master's answer.
pub(crate) fn vote(answer: &RedisResult<Value>) -> Vote {
    match answer {
        Ok(Value::Int(1)) => Vote::Yes,
        Ok(Value::Int(0)) => Vote::No(String::new()),
        Ok(Value::BulkString(holder)) => Vote::No(String::from_utf8_lossy(holder).into_owned()),
        Ok(_) | Err(_) => Vote::Unknown,
    }
}
