//! Hints for open pages: that something has changed, and nothing else.
//!
//! A page that is told so asks for itself again and takes over the parts that differ, so that a
//! late hint can never show an old state. However much happens, a page is told at most once a
//! second (once a quarter of a second for one saga).

use std::convert::Infallible;
use std::time::Duration;

use amends_core::SagaId;
use amends_engine::{Engine, Hint};
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

const PACE_OF_LIST: Duration = Duration::from_secs(1);
const PACE_OF_SAGA: Duration = Duration::from_millis(250);
const HEARTBEAT: Duration = Duration::from_secs(15);

/// `GET /console/events`, `GET /console/events?saga=…`: ends when the coordinator drains.
pub(crate) async fn events(
    State(engine): State<Engine>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let saga = pairs.iter().find(|(name, _)| name == "saga").map(|(_, value)| value);
    let saga = saga.and_then(|id| SagaId::new(id).ok());
    let draining = engine.draining();
    let watch = Watch { hints: engine.hints(), saga };
    let stream = futures_util::stream::unfold(watch, move |mut watch| {
        let draining = draining.clone();
        async move {
            tokio::select! {
                () = draining.cancelled_owned() => None,
                changed = watch.changed() => {
                    changed.then(|| (Ok(Event::default().event("changed").data("1")), watch))
                }
            }
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

struct Watch {
    hints: Receiver<Hint>,
    saga: Option<SagaId>,
}

impl Watch {
    /// Waits until something has changed, and then a little longer for what comes with it. False
    /// when there is nothing to wait for any more.
    async fn changed(&mut self) -> bool {
        loop {
            match self.hints.recv().await {
                Ok(hint) if self.is_wanted(&hint) => break,
                Ok(_) => {}
                // Some were missed; one of them may have been for this page.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return false,
            }
        }
        let pace = if self.saga.is_some() { PACE_OF_SAGA } else { PACE_OF_LIST };
        tokio::time::sleep(pace).await;
        loop {
            match self.hints.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Closed) => return false,
            }
        }
    }

    fn is_wanted(&self, hint: &Hint) -> bool {
        self.saga.as_ref().is_none_or(|saga| *saga == hint.saga_id)
    }
}
