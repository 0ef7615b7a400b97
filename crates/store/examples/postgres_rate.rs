//! Measures what the PostgreSQL store costs its database: `cargo run --release -p amends-store
//! --example postgres_rate [SECONDS] [NEW] [WRITERS] [KEYS]`.
//!
//! Each saga is four writes (acceptance, two steps, the end) of the size that three steps give.
//! Each batch makes NEW sagas, takes twice as many on by a step and ends as many; so many WRITERS
//! write at once. With KEYS each saga has one of so many lock keys. The server is one of its own,
//! which waits for the disk. Compare builds in turns, by ratios: machines differ.

mod rate;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey, SagaId};
use amends_ports::store::{
    AcceptOutcome, Append, Batch, CoordinatorId, GrantAtOnce, Lease, NewSaga, Partition, Tickets,
};
use amends_ports::testing::header;
use amends_ports::{Clock as _, Ids as _, Store as _, SystemClock, SystemIds};
use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::{Postgres, PostgresOptions as ServerOptions};
use futures_util::future::try_join_all;
use rate::FACTS;
use tokio::time::Instant;

/// What comes before anything is counted: connections, plans, first pages.
const WARM_UP: Duration = Duration::from_secs(2);
const PARTITIONS: u16 = 64;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One who writes batches, with its sagas: those of each earlier batch that have not ended.
struct Writer {
    store: Arc<PostgresStore>,
    leases: Vec<Lease>,
    on_their_way: VecDeque<Vec<(SagaId, Partition)>>,
    new: u32,
    keys: u32,
    /// Sagas made so far, and the first of these numbers.
    made: u32,
    first: u32,
}

impl Writer {
    fn accepted(&mut self) -> Outcome<NewSaga> {
        let number = self.first.wrapping_add(self.made);
        self.made += 1;
        let key = number.checked_rem(self.keys).map(|key| LockKey::new(format!("sku:{key}")));
        Ok(NewSaga {
            saga_id: SystemIds.saga_id(),
            partition: Partition(u16::try_from(number.wrapping_mul(37) % u32::from(PARTITIONS))?),
            definition: Digest("d".repeat(64)),
            definition_name: DefinitionName::new("transfer")?,
            definition_version: Some(1),
            labels: BTreeMap::new(),
            lock_keys: key.transpose()?.into_iter().collect(),
            grant: Some(GrantAtOnce::untold(Status::Running)),
            idempotency_key: None,
            request_digest: "e".repeat(64),
            created_at: SystemClock::default().now(),
            header: header(Status::Running, SystemClock::default().now()),
            records: FACTS.to_owned(),
            record_count: 2,
        })
    }

    fn appended(&self, saga: &(SagaId, Partition), step: u64) -> Append {
        let ends = step == 3;
        Append {
            saga_id: saga.0.clone(),
            partition: saga.1,
            from: step * 2,
            records: FACTS.to_owned(),
            record_count: 2,
            header: ends.then(|| header(Status::Completed, SystemClock::default().now())),
            tickets: if ends && self.keys > 0 { Tickets::Release } else { Tickets::Keep },
        }
    }

    /// Writes one batch; answers how many sagas it ended.
    async fn write(&mut self) -> Outcome<usize> {
        let mut batch = Batch::default();
        for (sagas, step) in self.on_their_way.iter().zip(1..) {
            batch.appends.extend(sagas.iter().map(|saga| self.appended(saga, step)));
        }
        for _ in 0..self.new {
            let new = self.accepted()?;
            batch.accepts.push(new);
        }
        let new = batch.accepts.iter().map(|new| (new.saga_id.clone(), new.partition)).collect();
        self.on_their_way.push_front(new);
        let ended = if self.on_their_way.len() > 3 { self.on_their_way.pop_back() } else { None };
        let touched: BTreeSet<Partition> = batch
            .appends
            .iter()
            .map(|append| append.partition)
            .chain(batch.accepts.iter().map(|new| new.partition))
            .collect();
        batch.leases = self
            .leases
            .iter()
            .filter(|lease| touched.contains(&lease.partition))
            .copied()
            .collect();
        let written = self.store.write(&batch).await?;
        let is_made = |outcome: &AcceptOutcome| match outcome {
            AcceptOutcome::Created { tokens } => tokens.is_some() || self.keys == 0,
            AcceptOutcome::Exists { .. } => false,
        };
        if !written.accepts.iter().all(is_made) {
            return Err("a saga was not made, or not granted its key".into());
        }
        Ok(ended.map_or(0, |sagas| sagas.len()))
    }

    async fn write_until(&mut self, end: Instant) -> Outcome<(usize, usize)> {
        let (mut ended, mut batches) = (0, 0);
        while Instant::now() < end {
            ended += self.write().await?;
            batches += 1;
        }
        Ok((ended, batches))
    }
}

/// All together; sagas that were ended, and batches.
async fn write_for(writers: &mut [Writer], time: Duration) -> Outcome<(usize, usize)> {
    let end = Instant::now() + time;
    let all = writers.iter_mut().map(|writer| writer.write_until(end));
    let sums = try_join_all(all).await?;
    Ok(sums.iter().fold((0, 0), |all, own| (all.0 + own.0, all.1 + own.1)))
}

/// What the server has used of its processors, in ticks of 10 ms, and of its log, in bytes.
#[derive(Clone, Copy)]
struct Used {
    ticks: u64,
    wal: u64,
}

async fn used(server: &Postgres) -> Outcome<Used> {
    let lsn = "SELECT pg_current_wal_insert_lsn() - '0/0'";
    let wal = server.psql("amends", lsn).await?.trim().parse()?;
    let server = server.process_id().ok_or("the server is gone")?;
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let is_server = name.split(' ').next() == Some(&server.to_string());
        if is_server || fields.get(1) == Some(&server.to_string().as_str()) {
            // Those of processes that have ended are with the one that started them.
            let last = if is_server { 15 } else { 13 };
            let own = fields.get(11..last).unwrap_or_default();
            ticks += own.iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(Used { ticks, wal })
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
#[expect(clippy::cast_precision_loss, reason = "for people")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seconds, new, count, keys) = (number(10)?, number(7)?, number(1)?, number(0)?);
    let durable = ServerOptions { durable: true, ..ServerOptions::default() };
    let server = Postgres::start_with(durable).await?;
    let options = PostgresOptions { partitions: PARTITIONS, ..PostgresOptions::default() };
    let store = Arc::new(PostgresStore::connect(&server.url(), options).await?);
    let me = CoordinatorId("rate".to_owned());
    let leases = store.acquire(&me, PARTITIONS, Duration::from_hours(1)).await?;
    let writer = |index: u32| Writer {
        store: Arc::clone(&store),
        leases: leases.clone(),
        on_their_way: VecDeque::new(),
        new,
        keys,
        made: 0,
        first: keys / count.max(1) * index,
    };
    let mut writers: Vec<Writer> = (0..count).map(writer).collect();
    write_for(&mut writers, WARM_UP).await?;
    let before = used(&server).await?;
    let time = Duration::from_secs(u64::from(seconds));
    let (ended, batches) = write_for(&mut writers, time).await?;
    let after = used(&server).await?;
    let sagas = ended as f64;
    let cpu = (after.ticks - before.ticks) as f64 * 10_000.0 / sagas;
    let rate = sagas / time.as_secs_f64();
    let wal = (after.wal - before.wal) as f64 / sagas;
    let journal = "SELECT count(*) FROM saga_journal";
    let rows: u64 = server.psql("amends", journal).await?.trim().parse()?;
    println!(
        "{rate:.0} sagas/s, {batches} batches, database: {cpu:.1} µs and {wal:.0} bytes of log a \
         saga; {rows} chunks in all"
    );
    Ok(())
}
