//! Redis, as a bed for the cases.

use std::sync::{Arc, Weak};
use std::time::Duration;

use amends_client::barrier::RedisLedger;
use amends_testbed::Redis;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use crate::two_call::{Holding, TwoCallBed};

/// A ledger, and a connection to look behind it.
#[derive(Clone)]
pub(crate) struct Observed {
    ledger: RedisLedger<MultiplexedConnection>,
    connection: MultiplexedConnection,
    prefix: String,
}

pub(crate) async fn start_redis() -> TwoCallBed<Observed> {
    static SERVER: Mutex<Weak<Redis>> = Mutex::const_new(Weak::new());
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let mut shared = SERVER.lock().await;
    let server = match shared.upgrade() {
        Some(server) => server,
        None => Arc::new(Redis::start().await.unwrap()),
    };
    *shared = Arc::downgrade(&server);
    drop(shared);
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let prefix = format!("case-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let ledger = RedisLedger::new(connection.clone(), Duration::from_hours(2_000)).prefix(&prefix);
    TwoCallBed::on(Observed { ledger, connection, prefix }, server)
}

impl amends_client::barrier::Ledger for Observed {
    async fn begin(
        &self,
        call: &amends_client::participant::Call,
        hold: Duration,
    ) -> Result<amends_client::barrier::Begun, amends_client::barrier::Error> {
        self.ledger.begin(call, hold).await
    }

    async fn settle(
        &self,
        started: &amends_client::barrier::Started,
        settlement: amends_client::barrier::Settlement<'_>,
    ) -> Result<(), amends_client::barrier::Error> {
        self.ledger.settle(started, settlement).await
    }
}

impl Holding for Observed {
    async fn let_holds_pass(&self) {
        const LET_GO: &str = "
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
                for _, op in ipairs({ 'action', 'compensation', 'try', 'confirm', 'cancel' }) do
                    if redis.call('HGET', key, op .. ':state') == 'started' then
                        redis.call('HSET', key, op .. ':until', 0)
                    end
                end
            end";
        let mut connection = self.connection.clone();
        let script = redis::Script::new(LET_GO);
        let pattern = format!("{}:barrier:*", self.prefix);
        let _: () = script.arg(pattern).invoke_async(&mut connection).await.unwrap();
    }
}

/// Everything that the ledger writes goes some day, even what nobody comes back for.
#[tokio::test]
async fn every_key_has_an_end() {
    use crate::bed::{attempt, fenced};
    use amends_client::participant::Op;

    let bed = start_redis().await;
    attempt(&bed, fenced("s", Op::Action, &[("sku:1", 3)])).await.unwrap();
    attempt(&bed, fenced("s", Op::Compensation, &[("sku:1", 3)])).await.unwrap();
    attempt(&bed, fenced("t", Op::Compensation, &[("sku:2", 3)])).await.unwrap();
    let mut connection = bed.ledger.connection.clone();
    let keys: Vec<String> = connection.keys(format!("{}:*", bed.ledger.prefix)).await.unwrap();
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in keys {
        let left_s: i64 = connection.ttl(&key).await.unwrap();
        assert!((7_000_000..=7_200_000).contains(&left_s), "{key}: {left_s}");
    }
}
