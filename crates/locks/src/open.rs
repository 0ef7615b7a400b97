//! Making a connection to a master: whom it reaches, and what it may do there.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amends_core::Timestamp;
use amends_ports::{Clock as _, SystemClock};
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisError, RedisResult, Value, cmd};
use tokio::time::Instant;

use crate::endpoint::{self, Endpoint};
use crate::judge::clock_warning;
use crate::script::{Act, Question};
use crate::session::{Member, SlotRange, Standing, ask, describe, info};
use crate::slot;
use crate::trust::Met;

/// Commands that may wait for a place in a connection's queue.
const QUEUE_MAX: usize = 1024;
/// How long what is set for a trial lives.
const TRIAL_TTL: Duration = Duration::from_secs(1);

/// Servers that answered, before it is known from when on they are trusted.
pub(crate) struct Opened {
    pub(crate) members: Vec<Member>,
    pub(crate) ranges: Vec<SlotRange>,
}

/// How servers are tried.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) connect_timeout: Duration,
    /// A key to try commands with; it can't be anybody's.
    pub(crate) trial_key: String,
    pub(crate) cluster: bool,
}

/// Connects to the master, or to all masters of the cluster that can be reached.
pub(crate) async fn open(endpoint: &Endpoint, manner: &Manner) -> Result<Opened, String> {
    let (mut members, ranges) = if endpoint.cluster {
        cluster(&endpoint.seeds, manner).await?
    } else {
        let server = endpoint.seeds.first().ok_or("has no address")?;
        (vec![greet(server, manner).await?], vec![(0, slot::SLOTS - 1, 0)])
    };
    for (index, member) in members.iter_mut().enumerate() {
        let range = ranges.iter().find(|(_, _, of)| *of == index);
        let slots = range.map_or(0..=slot::SLOTS - 1, |(from, to, _)| *from..=*to);
        member.trial_key = trial_key(&manner.trial_key, &slots);
        let inspection = tokio::time::timeout(manner.connect_timeout, member.inspect(manner));
        inspection.await.unwrap_or_else(|_| Err(too_slow(manner)))?;
    }
    Ok(Opened { members, ranges })
}

/// A key for trials that lives in these slots.
fn trial_key(base: &str, slots: &RangeInclusive<u16>) -> String {
    let numbered = |number: u32| format!("{base}{number}");
    let fits = |key: &String| slots.contains(&slot::of(key));
    (0..1_000_000).map(numbered).find(fits).unwrap_or_else(|| numbered(0))
}

async fn cluster(
    seeds: &[ConnectionInfo],
    manner: &Manner,
) -> Result<(Vec<Member>, Vec<SlotRange>), String> {
    let mut last = String::from("has no address");
    for seed in seeds {
        let found = match connect(seed, manner).await {
            Ok(connection) => slots(&connection, seed, manner).await,
            Err(detail) => Err(detail),
        };
        match found {
            Ok(slots) => return reach(seed, slots, manner).await,
            Err(detail) => last = format!("{} {detail}", seed.addr()),
        }
    }
    Err(last)
}

/// Slots, from and to, with the host and port of their master.
type Owned = (u16, u16, (String, u16));

async fn slots(
    connection: &MultiplexedConnection,
    seed: &ConnectionInfo,
    manner: &Manner,
) -> Result<Vec<Owned>, String> {
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    let answer = limited(manner, ask(connection, vec![question])).await?.pop();
    let rows: Vec<Value> = answer
        .unwrap_or_else(|| Ok(Value::Nil))
        .and_then(|value| redis::from_redis_value(value).map_err(RedisError::from))
        .map_err(|error| {
            format!("does not tell the cluster's slots: {error}; allow CLUSTER SLOTS")
        })?;
    let address = seed.addr().to_string();
    let own = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    let owned: Vec<Owned> = rows.into_iter().filter_map(|row| owner(row, own)).collect();
    if owned.is_empty() {
        return Err("is a cluster without slots; add slots to its masters".to_owned());
    }
    Ok(owned)
}

/// One row of `CLUSTER SLOTS`: first slot, last slot, master, replicas.
fn owner(row: Value, own_host: &str) -> Option<Owned> {
    let Value::Array(cells) = row else { return None };
    let mut cells = cells.into_iter();
    let from: u16 = redis::from_redis_value(cells.next()?).ok()?;
    let to: u16 = redis::from_redis_value(cells.next()?).ok()?;
    let master = cells.next()?;
    let Value::Array(master) = master else { return None };
    let mut master = master.into_iter();
    let host: Option<String> = redis::from_redis_value(master.next()?).ok()?;
    let port = redis::from_redis_value(master.next()?).ok()?;
    // A node that doesn't know its own name means the one it was asked by.
    let host = host.filter(|host| !matches!(host.as_str(), "" | "?"));
    (from <= to && to < slot::SLOTS)
        .then(|| (from, to, (host.unwrap_or_else(|| own_host.to_owned()), port)))
}

async fn reach(
    seed: &ConnectionInfo,
    slots: Vec<Owned>,
    manner: &Manner,
) -> Result<(Vec<Member>, Vec<SlotRange>), String> {
    let mut owners: Vec<(String, u16)> = slots.iter().map(|(_, _, owner)| owner.clone()).collect();
    owners.sort();
    owners.dedup();
    let servers = owners.iter().map(|(host, port)| endpoint::sibling(seed, host, *port));
    let servers: Vec<ConnectionInfo> = servers.collect();
    let greeted = join_all(servers.iter().map(|server| greet(server, manner))).await;
    let (mut members, mut places, mut last) = (Vec::new(), Vec::new(), String::new());
    for (owner, greeted) in owners.into_iter().zip(greeted) {
        match greeted {
            Ok(member) => {
                members.push(member);
                places.push(owner);
            }
            Err(detail) => last = format!("{}:{} {detail}", owner.0, owner.1),
        }
    }
    if members.is_empty() {
        return Err(last);
    }
    let place = |owner: &(String, u16)| places.iter().position(|place| place == owner);
    let ranges = slots.iter().filter_map(|(from, to, owner)| Some((*from, *to, place(owner)?)));
    Ok((members, ranges.collect()))
}

async fn greet(server: &ConnectionInfo, manner: &Manner) -> Result<Member, String> {
    let connection = connect(server, manner).await?;
    let mut answers = limited(manner, ask(&connection, vec![cmd("INFO")])).await?;
    let info = info(answers.pop().unwrap_or(Ok(Value::Nil)))?;
    Ok(Member {
        address: server.addr().to_string(),
        connection,
        trial_key: String::new(),
        met: Met { run_id: info.run_id, uptime: info.uptime },
        // Until whoever opened it knows better.
        trusted_from: Instant::now() + Duration::from_hours(1),
        standing: Mutex::default(),
        silent: AtomicBool::new(false),
        suspected: AtomicBool::new(true),
    })
}

async fn connect(
    server: &ConnectionInfo,
    manner: &Manner,
) -> Result<MultiplexedConnection, String> {
    let limit = manner.connect_timeout;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE_MAX);
    let client = Client::open(server.clone()).map_err(|error| describe(&error, limit))?;
    limited(manner, client.get_multiplexed_async_connection_with_config(&config)).await
}

async fn limited<T>(
    manner: &Manner,
    work: impl Future<Output = RedisResult<T>>,
) -> Result<T, String> {
    let limit = manner.connect_timeout;
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| describe(&error, limit)),
        Err(_) => Err(too_slow(manner)),
    }
}

fn too_slow(manner: &Manner) -> String {
    format!("does not answer within {:?}; is it paused or overloaded?", manner.connect_timeout)
}

impl Member {
    /// Has a look at the server and notes what is found. Not limited in time.
    ///
    /// The error says why the connection is of no use.
    pub(crate) async fn inspect(&self, manner: &Manner) -> Result<(), String> {
        let refused = self.standing.lock().refusal.is_some();
        let trial = self.suspected.swap(false, Ordering::Relaxed) || refused;
        let mut commands = vec![cmd("INFO"), cmd("TIME")];
        if trial {
            let acts = [Act::Acquire, Act::Extend, Act::Release];
            let question =
                |act| Question::new(act, &self.trial_key, "trial/", 0, TRIAL_TTL).command;
            commands.extend(acts.map(question));
        }
        let asked = ask(&self.connection, commands).await;
        let ours = SystemClock::new().now();
        let mut answers =
            asked.map_err(|error| describe(&error, manner.connect_timeout))?.into_iter();
        let info = info(answers.next().unwrap_or(Ok(Value::Nil)))?;
        if info.run_id != self.met.run_id {
            return Err("another server answers on the same connection".to_owned());
        }
        if manner.cluster && !info.is_master() {
            return Err("the cluster has other masters now".to_owned());
        }
        let warning = answers.next().and_then(timestamp).and_then(|at| clock_warning(at, ours));
        let refused = answers.find_map(Result::err).map(|error| {
            format!(
                "does not do what guards need: {error}; the user needs EVAL, GET, SET, PEXPIRE and \
                 DEL on its keys, and the server memory and disk"
            )
        });
        let refusal = info.refusal(manner.cluster).or(refused);
        *self.standing.lock() = Standing { refusal, warning };
        Ok(())
    }
}

/// From the answer to `TIME`, which a user need not be allowed.
fn timestamp(answer: RedisResult<Value>) -> Option<Timestamp> {
    let (seconds, micros): (i64, i64) = redis::from_redis_value(answer.ok()?).ok()?;
    Some(Timestamp(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_key_lives_where_it_is_asked_for() {
        let key = trial_key("amends:lock:\u{1}trial", &(100..=120));
        assert!((100..=120).contains(&slot::of(&key)));
        assert_eq!(trial_key("x", &(0..=slot::SLOTS - 1)), "x0");
    }

    #[test]
    fn rows_of_slots_are_read_and_odd_ones_left_out() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let row = |from: i64, to: i64, host: Value| {
            let master = Value::Array(vec![host, Value::Int(7000), text("id")]);
            Value::Array(vec![Value::Int(from), Value::Int(to), master])
        };
        let at = |host: &str| (host.to_owned(), 7000);
        assert_eq!(owner(row(0, 5, text("b")), "a"), Some((0, 5, at("b"))));
        assert_eq!(owner(row(0, 5, text("")), "a"), Some((0, 5, at("a"))));
        assert_eq!(owner(row(0, 5, Value::Nil), "a"), Some((0, 5, at("a"))));
        assert_eq!(owner(row(9, 5, text("b")), "a"), None);
        assert_eq!(owner(row(0, 16_384, text("b")), "a"), None);
        assert_eq!(owner(Value::Nil, "a"), None);
    }
}
