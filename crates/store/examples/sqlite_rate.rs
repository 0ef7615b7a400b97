//! Measures how many sagas a second the SQLite store takes: `cargo run --release -p amends-store
//! --example sqlite_rate [FOLDER] [SAGAS] [IN_FLIGHT]`.
//!
//! Each saga is four writes (acceptance, two steps, the end) of the size that three steps give;
//! each batch holds one write of every saga in flight, as group commit does under load.

mod rate;

use std::collections::BTreeMap;
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::saga::Status;
use amends_core::{DefinitionName, SagaId, Timestamp};
use amends_ports::store::{
    Append, Batch, CoordinatorId, GrantAtOnce, Lease, NewSaga, Partition, Tickets,
};
use amends_ports::testing::header;
use amends_ports::{Ids as _, Store as _, SystemIds};
use amends_store::sqlite::{SqliteOptions, SqliteStore};
use rate::FACTS;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One saga on its way: how many facts it has, and how many writes it has had.
struct InFlight {
    saga_id: SagaId,
    partition: Partition,
    facts: u64,
    writes: u8,
}

fn accepted(own: &InFlight) -> Result<NewSaga, Box<dyn std::error::Error>> {
    Ok(NewSaga {
        saga_id: own.saga_id.clone(),
        partition: own.partition,
        definition: Digest("d".repeat(64)),
        definition_name: DefinitionName::new("transfer")?,
        definition_version: Some(1),
        labels: BTreeMap::new(),
        lock_keys: Vec::new(),
        grant: Some(GrantAtOnce::untold(Status::Running)),
        idempotency_key: Some(own.saga_id.to_string()),
        request_digest: "e".repeat(64),
        created_at: Timestamp(1),
        header: header(Status::Running, Timestamp(2)),
        records: FACTS.to_owned(),
        record_count: 2,
    })
}

fn appended(own: &InFlight) -> Append {
    Append {
        saga_id: own.saga_id.clone(),
        partition: own.partition,
        from: own.facts,
        records: FACTS.to_owned(),
        record_count: 2,
        header: (own.writes == 3).then(|| header(Status::Completed, Timestamp(2))),
        tickets: Tickets::Keep,
    }
}

/// One write of each saga in flight; those that have ended make room for new ones.
fn next_batch(
    leases: &[Lease],
    in_flight: &mut [InFlight],
) -> Result<(Batch, u64), Box<dyn std::error::Error>> {
    let mut batch = Batch { leases: leases.to_vec(), ..Batch::default() };
    let mut ended = 0;
    for own in in_flight {
        if own.writes == 4 {
            own.saga_id = SystemIds.saga_id();
            (own.facts, own.writes) = (0, 0);
            ended += 1;
        }
        if own.writes == 0 {
            batch.accepts.push(accepted(own)?);
        } else {
            batch.appends.push(appended(own));
        }
        own.facts += 2;
        own.writes += 1;
    }
    Ok((batch, ended))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let sagas: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let width: u16 = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let url = format!("sqlite://{folder}/sqlite_rate.db");
    let store = SqliteStore::connect(&url, SqliteOptions::default()).await?;
    let me = CoordinatorId("rate".to_owned());
    let leases = store.acquire(&me, 64, Duration::from_hours(1)).await?;
    let mut in_flight: Vec<InFlight> = (0..width)
        .map(|number| InFlight {
            saga_id: SystemIds.saga_id(),
            partition: Partition(number % 64),
            facts: 0,
            // Spread over the four stages; these first ones are not counted.
            writes: 4,
        })
        .collect();
    let started = tokio::time::Instant::now();
    let (mut ended, mut batches) = (0, 0_u32);
    while ended < sagas {
        let spread = usize::try_from(batches).unwrap_or(usize::MAX).saturating_add(1)
            * usize::from(width)
            / 4;
        let moving = spread.min(usize::from(width));
        let (batch, more) = next_batch(&leases, &mut in_flight[..moving])?;
        store.write(&batch).await?;
        ended += more;
        batches += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let per_batch = started.elapsed() / batches.max(1);
    println!("{ended} sagas in {seconds:.2} s, {batches} batches of {width}, {per_batch:?} each");
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = ended as f64 / seconds;
    println!("{rate:.0} sagas/s, {:.0} writes/s", rate * 4.0);
    store.close().await;
    Ok(())
}
