//! One kind of fault, played: sagas under way, the fault, its end, the verdict.

use std::time::Duration;

use amends_core::Timestamp;
use amends_demo::{End, Plan, Workload};
use amends_ports::{Clock as _, SystemClock};
use amends_tests::until;
use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::Outcome;
use crate::catalog::Act;
use crate::judge::{END_MAX, Fault, ends, judge};
use crate::load::Load;
use crate::stage::Stage;

/// Sagas that a plan holds: more than can be started in any scene.
const PLANNED: u32 = 4_000;
/// Sagas that are accepted before the fault, and after it.
const AROUND: usize = 20;
/// Sagas that are under way when a fault begins.
const UNDER_WAY: u64 = 8;
/// Sagas that each coordinator has in memory by then.
const LIVE_EACH: u64 = 2;
/// Partitions, of 64, that each coordinator has by then.
const PARTITIONS_EACH: u64 = 16;

/// What an act has at hand.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The processes.
    pub(crate) stage: &'a mut Stage,
    /// Where chance comes from.
    pub(crate) chance: StdRng,
    load: &'a Load,
    broken: Vec<String>,
    remarks: Vec<String>,
    may_lose: bool,
    must_take_over: bool,
    /// How long PostgreSQL's log was before.
    log_before: usize,
    tokens_before: u64,
}

impl Scene<'_> {
    /// Lets the fault last.
    pub(crate) async fn last(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Notes what must hold and does not.
    pub(crate) fn insist(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    /// Notes it if PostgreSQL has not said this since the scene began: the fault did not bite.
    pub(crate) fn insist_postgres_said(&mut self, words: &str) {
        let log = self.stage.postgres.log();
        let new = log.get(self.log_before..).unwrap_or(&log);
        if !new.contains(words) {
            self.broken.push(format!("PostgreSQL never said {words:?}: the fault did not bite"));
        }
    }

    /// Notes what is worth a word.
    pub(crate) fn remark(&mut self, what: String) {
        self.remarks.push(what);
    }

    /// Notes each saga that was accepted until now and that the coordinators but this one do not
    /// bring to its end. They must take some of them over.
    ///
    /// # Errors
    ///
    /// None that a fault could cause.
    pub(crate) async fn insist_others_end_all(&mut self, one: usize) -> anyhow::Result<()> {
        self.must_take_over = true;
        let mut others = self.stage.clients()?;
        others.remove(one);
        for (saga, end) in ends(&others, &self.load.so_far()).await {
            let why = match end {
                Some(End::Completed | End::Undone) => continue,
                Some(End::Open(why)) => why,
                None => "it is not there".to_owned(),
            };
            self.broken.push(format!("{saga} was not ended by the others: {why}"));
        }
        Ok(())
    }

    /// From now on every lock key must be granted with a token above all that participants have
    /// seen.
    ///
    /// # Errors
    ///
    /// Their books can't be read.
    pub(crate) async fn note_tokens(&mut self) -> anyhow::Result<()> {
        self.tokens_before = self.stage.fleet.highest_token().await?;
        Ok(())
    }

    /// From now on acknowledged sagas may be gone: they are counted.
    pub(crate) const fn may_lose(&mut self) {
        self.may_lose = true;
    }

    /// Waits until sagas are accepted, beside the fault.
    ///
    /// # Errors
    ///
    /// None is within the time that a saga has to end after one.
    pub(crate) async fn until_accepted(&self, more: usize) -> anyhow::Result<()> {
        self.load.until_more(more, END_MAX).await
    }

    /// One of so many, by chance.
    pub(crate) fn any(&mut self, count: usize) -> usize {
        self.chance.random_range(0..count)
    }
}

/// Plays it on `stage`.
///
/// # Errors
///
/// The fault can't be made, or what must work before and after it does not.
pub(crate) async fn play(
    stage: &mut Stage,
    name: &str,
    act: Act,
    seed: u64,
) -> anyhow::Result<Outcome> {
    let run = stage.next_run(name);
    let plan = Plan::new(&Workload { sagas: PLANNED, seed, concurrency: 1 }, &run);
    stage.open_books(&plan).await?;
    let load = Load::start(plan.clone(), stage.urls())?;
    load.until_more(AROUND, END_MAX).await.context("before the fault")?;
    until_busy(stage).await.context("before the fault")?;
    let chance = StdRng::seed_from_u64(seed);
    let log_before = stage.postgres.log().len();
    let mut scene = Scene {
        stage,
        chance,
        load: &load,
        broken: Vec::new(),
        remarks: Vec::new(),
        may_lose: false,
        must_take_over: false,
        log_before,
        tokens_before: 0,
    };
    act(&mut scene).await.context("the fault itself")?;
    let Scene { broken, remarks, may_lose, must_take_over, tokens_before, .. } = scene;
    let Timestamp(healed_at) = SystemClock::new().now();
    let fault = Fault { healed_at, accepted_by_then: load.accepted(), may_lose, tokens_before };
    stage.until_ready().await.context("after the fault")?;
    load.until_more(AROUND, END_MAX).await.context("after the fault")?;
    let mut outcome = judge(stage, &plan, load.stop().await?, fault).await?;
    outcome.must_take_over = must_take_over;
    outcome.broken.extend(broken);
    outcome.remarks.extend(remarks);
    Ok(outcome)
}

/// Waits until each coordinator drives a share of the sagas, and some are under way: a fault shall
/// meet some.
async fn until_busy(stage: &Stage) -> anyhow::Result<()> {
    let clients = stage.clients()?;
    let look = async || {
        for client in &clients {
            let own = client.metric("amends_partitions_owned").await.ok()?;
            let live = client.metric("amends_saga_live").await.ok()?;
            (own >= PARTITIONS_EACH && live >= LIVE_EACH).then_some(())?;
        }
        let counts = clients[0].get("/v1/sagas/counts").await.ok()?.body;
        let under_way = ["running", "confirming", "compensating"];
        let of = |status: &&str| counts["counts"][*status].as_u64();
        (under_way.iter().filter_map(of).sum::<u64>() >= UNDER_WAY).then_some(())
    };
    until("sagas to be under way at each coordinator", END_MAX, look).await
}

#[cfg(test)]
mod tests {
    use amends_demo::participants::Kind;
    use futures_util::FutureExt as _;
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::stage::Setup;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_lost_and_what_does_not_balance_is_found() {
        let mut stage = Stage::start(Setup::Plain).await.unwrap();
        let outcome = play(&mut stage, "planted", |scene| plant(scene).boxed_local(), 1).await;
        let outcome = outcome.unwrap();
        assert_eq!(outcome.lost.len(), 1, "{outcome:?}");
        assert_eq!(outcome.unbalanced.len(), 1, "{outcome:?}");
        assert!(outcome.unbalanced[0].contains("its order is missing"), "{outcome:?}");
        assert!(!outcome.is_good());
    }

    /// Lets the database forget a saga, and a participant an order of another one.
    async fn plant(scene: &mut Scene<'_>) -> anyhow::Result<()> {
        let postgres = &scene.stage.postgres;
        let ended = "SELECT saga_id FROM saga WHERE status = 'completed' ORDER BY 1 LIMIT 2";
        let ended = until("two sagas to complete", END_MAX, async || {
            let ids = postgres.psql("amends", ended).await.ok()?;
            (ids.lines().count() == 2).then_some(ids)
        });
        let ended = ended.await?;
        let ended: Vec<&str> = ended.lines().collect();
        for table in ["saga", "saga_journal"] {
            let forget = format!("DELETE FROM {table} WHERE saga_id = '{}'", ended[0]);
            postgres.psql("amends", &forget).await?;
        }
        let books = scene.stage.fleet.books().path(Kind::Orders);
        let mut orders = SqliteConnectOptions::new().filename(books).connect().await?;
        let forget = sqlx::query("DELETE FROM customer_order WHERE saga = ?").bind(ended[1]);
        assert_eq!(forget.execute(&mut orders).await?.rows_affected(), 1);
        Ok(())
    }
}
