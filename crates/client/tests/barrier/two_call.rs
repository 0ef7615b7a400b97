//! The two-call form, as a bed for the cases.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_client::barrier::{Begun, Error, Forward, Ledger, Started, TwoCall};
use amends_client::participant::{Answer, Call};
use sqlx::Pool;

use crate::bed::{Bed, Entered};
use crate::database::Db;

/// Longer than any case: a hold passes only when the case says so.
const HOLD: Duration = Duration::from_hours(1);

/// A ledger, and effects that stand elsewhere: here in memory.
pub(crate) struct TwoCallBed<L> {
    pub(crate) ledger: L,
    effects: Mutex<Vec<String>>,
    _server: Arc<dyn Any + Send + Sync>,
}

/// A ledger whose time can be moved.
pub(crate) trait Holding: Ledger {
    /// Lets all holds pass.
    async fn let_holds_pass(&self);
}

impl<L> TwoCallBed<L> {
    pub(crate) fn on(ledger: L, server: Arc<dyn Any + Send + Sync>) -> Self {
        Self { ledger, effects: Mutex::default(), _server: server }
    }
}

impl<D: Db> TwoCallBed<Pool<D>> {
    pub(crate) async fn start() -> Self {
        let (server, pool) = D::start().await;
        Self::on(pool, server)
    }
}

impl<D: Db> Holding for Pool<D> {
    async fn let_holds_pass(&self) {
        let let_go = "UPDATE amends_barrier SET held_until_ms = 0 WHERE state = 'started'";
        D::on(self, let_go).await;
    }
}

impl<L: Holding> TwoCallBed<L> {
    pub(crate) fn barrier(&self, call: Call) -> TwoCall<L> {
        TwoCall::new(self.ledger.clone(), call).hold(HOLD)
    }
}

impl<L: Holding> Bed for TwoCallBed<L> {
    type Turn = Started;
    const IN_TRANSACTION: bool = false;

    async fn enter(&self, call: Call) -> Result<Entered<Started>, Error> {
        Ok(match self.barrier(call).begin().await? {
            Begun::Run(started) => Entered::Run(started),
            Begun::Settled(answer) => Entered::Settled(answer),
        })
    }

    async fn work(&self, turn: &mut Started, effect: &str) {
        let mut effects = self.effects.lock().unwrap();
        // What the barrier can't know, the handler looks up, when it is told that it must.
        if !(turn.is_resumed() && effects.iter().any(|one| one == effect)) {
            effects.push(effect.to_owned());
        }
    }

    async fn settle(&self, turn: Started, answer: Answer) -> Result<Answer, Error> {
        self.barrier(turn.call.clone()).settle(&turn, answer).await
    }

    fn forward(&self, turn: &Started) -> Option<Forward> {
        turn.forward.clone()
    }

    async fn crash(&self, _: Started) {}

    async fn lose_connection(&self, _: Started) {}

    async fn effects(&self, effect: &str) -> i64 {
        let effects = self.effects.lock().unwrap();
        i64::try_from(effects.iter().filter(|one| *one == effect).count()).unwrap()
    }

    async fn let_holds_pass(&self) {
        self.ledger.let_holds_pass().await;
    }
}
