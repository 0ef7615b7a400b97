//! The form in one transaction, as a bed for the cases.

use std::any::Any;
use std::sync::Arc;

use amends_client::barrier::{Barrier, Entry, Error, Forward, Work};
use amends_client::participant::{Answer, Call};
use sqlx::Pool;

use crate::bed::{Bed, Entered};
use crate::database::Db;

/// A database whose table `effect` is the participant's own.
pub(crate) struct TransactionBed<D: Db> {
    pub(crate) pool: Pool<D>,
    server: Arc<dyn Any + Send + Sync>,
}

impl<D: Db> TransactionBed<D> {
    pub(crate) async fn start() -> Self {
        let (server, pool) = D::start().await;
        Self { pool, server }
    }

    /// The same, all of whose sessions begin with this statement.
    pub(crate) async fn start_with(first: &'static str) -> Self {
        let Self { pool, server } = Self::start().await;
        let options = pool.options().clone().after_connect(move |connection, _| {
            Box::pin(async move { D::execute(connection, first.to_owned()).await })
        });
        let pool = options.connect_with((*pool.connect_options()).clone()).await.unwrap();
        Self { pool, server }
    }
}

impl<D: Db> Bed for TransactionBed<D> {
    type Turn = Work<D>;
    const IN_TRANSACTION: bool = true;

    async fn enter(&self, call: Call) -> Result<Entered<Work<D>>, Error> {
        let barrier = Barrier::new(self.pool.clone(), call);
        Ok(match barrier.enter().await? {
            Entry::First(work) => Entered::Run(work),
            Entry::Settled(answer) => Entered::Settled(answer),
        })
    }

    async fn work(&self, turn: &mut Work<D>, effect: &str) {
        let sql = format!("INSERT INTO effect (name) VALUES ('{effect}')");
        D::execute(turn.tx(), sql).await.unwrap();
    }

    async fn settle(&self, turn: Work<D>, answer: Answer) -> Result<Answer, Error> {
        turn.settle(answer).await
    }

    fn forward(&self, turn: &Work<D>) -> Option<Forward> {
        turn.forward().cloned()
    }

    async fn crash(&self, turn: Work<D>) {
        drop(turn);
    }

    async fn lose_connection(&self, mut turn: Work<D>) {
        if let Some(kill) = D::KILL {
            D::execute(turn.tx(), kill.to_owned()).await.unwrap_err();
        }
    }

    async fn effects(&self, effect: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM effect WHERE name = '{effect}'");
        D::number(&self.pool, sql).await
    }

    async fn let_holds_pass(&self) {}
}
